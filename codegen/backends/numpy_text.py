"""The fixed text of a NumPy module: its docstrings, and the functions that validate and call cores.

Braces are filled by :mod:`codegen.backends.numpy_backend`; nothing here computes.
"""

from __future__ import annotations

IMPORTS = """\
import math
import numbers
import operator
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt"""

IMPORTS_FOR_BLOCKS = IMPORTS.replace("operator\n", "operator\nimport threading\n").replace(
    "Any, Named", "Any, Literal, Named"
)

SUMMARY = '"""{} in {}: forward, backward, jvp, and two textbook forms of backward.'
DEFAULTS = {"eps": "1e-5"}
KEPT = '"""What forward saves for the others: x itself, not a copy, and float64 values for each {}.'
COUNTING = (
    "{}  The result has the dtype of x and takes m*m numbers: for teaching and as a reference."
)

MODULE = '''{summary}

By definition ({source}), for each {each},

{definitions}

and, for a loss l with dl/dy given,

{closed}

{layout_about}

This module needs {libraries} only and may be copied into another project.
"""

from __future__ import annotations

{imports}

{support}
'''

CACHE = '''
class Cache(NamedTuple):
    """{kept_about}

{kept}

    It stays valid whatever happens to y, and as long as x is not changed.
    """

{fields}


def _checked(cache: Cache) -> _Layout:
    if not isinstance(cache, Cache):
        raise TypeError(f"cache is a {{type(cache).__name__}}; what forward returned is needed")
    return _layout(cache.x, {cached_options})
'''

FORWARD = '''
def forward(
    x: npt.ArrayLike,
{learnt_defaults}{positional}    *,
{parameter_defaults}{keywords}    out: Array | tuple[Array] | None = None,
) -> tuple[Array, Cache]:
    """y and the cache that the other functions take, by the definitions.

{definitions}

{about}

{errors}
    """
    x = _array("x", x)
    layout = _layout(x, {options})
{setup}    (y,) = _results(out, {{"y": x.shape}}, x.dtype, replaces=x, apart={apart})
    if out is not None and _overlap(y, x):
        x = x.copy()  # y replaces it, and the cache has to stay valid
    with np.errstate(all="ignore"):
{core_call}
{kept}
'''

BACKWARD = '''
def backward(
    dy: npt.ArrayLike, cache: Cache, *, out: Array | tuple[Array | None, ...] | None = None
) -> {gradient_types}:
    """{gradient_names} from dy = dl/dy, in closed form.

{closed}

{about}

    Raises TypeError and ValueError like forward.
    """
    layout = _checked(cache)
    dy = _like("dy", dy, cache.x)
{one_shape}    shapes = {{"dx": layout.shape{gradient_shapes}}}
    {gradients} = _results(out, shapes, cache.x.dtype, replaces=dy, apart=[cache.x])
    with np.errstate(all="ignore"):
{backward_call}
{store}    return {returned}
'''

STAGED = '''
def backward_staged(dy: npt.ArrayLike, cache: Cache) -> {gradient_types}:
    """{gradient_names} by the chain rule, one adjoint after another, as textbooks do.

{staged}

    The same arguments and results as backward, from whole arrays and without closed forms: for
    teaching, as an independent reference, and as the baseline of benchmarks.
    """
    layout = _checked(cache)
    dy = _like("dy", dy, cache.x)
    {one_and_dtype}
    with np.errstate(all="ignore"):
{in_float64}{staged_call}
        return {staged_results}
'''

JVP = '''
def jvp(
    x_dot: npt.ArrayLike | None,
{tangent_arguments}    cache: Cache,
) -> Array:
    """The directional derivative of y along {tangent_names}, in closed form.

{jvp_form}

{about}

    Raises TypeError and ValueError like forward.
    """
    layout = _checked(cache)
    x_dot = _zero(cache.x) if x_dot is None else _like("x_dot", x_dot, cache.x)
{tangent_setup}    y_dot = np.empty(layout.shape, cache.x.dtype)
    with np.errstate(all="ignore"):
{jvp_call}
    return y_dot
'''

BATCH_JACOBIAN = '''
def jacobian(cache: Cache, channel: int = 0) -> Array:
    """The dense Jacobian uR of one channel, (m, m): dx = dy @ uR for that channel's m elements.

{u_and_r}

    Elements count in C order over every axis but the channels'.  The result has the dtype of x and
    takes m*m numbers: for teaching and as a reference.

    Raises TypeError for what is not a cache, ValueError for a channel that is out of range.
    """
    layout = _checked(cache)
    if not -layout.channels <= channel < layout.channels:
        raise ValueError(f"channel {{channel}} is out of range for {{layout.channels}} channels")
    m = layout.m
    with np.errstate(all="ignore"):
{in_float64}
        def column(values: Array) -> Array:
            moved = np.moveaxis(values, layout.axis, 0)[channel].reshape(-1)
            return _wide(moved) if values.shape == layout.shape else moved[0]

{columns}
        return _jacobian({column_names}, m).astype(cache.x.dtype)
'''

ROW_JACOBIAN = '''
def jacobian(cache: Cache, row: int = 0) -> Array:
    """The dense Jacobian uR of one {each}, (m, m): dx = dy @ uR for its m elements.

{u_and_r}

{counting}

    Raises TypeError for what is not a cache, ValueError for a row that is out of range.
    """
    layout = _checked(cache)
    rows = int(np.prod(layout.rows, dtype=np.int64))
    if not -rows <= row < rows:
        raise ValueError(f"row {{row}} is out of range for {{rows}} rows")
    at = np.unravel_index(row % rows, layout.rows)
    m = layout.m
    with np.errstate(all="ignore"):
{in_float64}
        def own(values: Array) -> Array:
            return _wide(layout.row(values, [int(k) for k in at]))

{columns}
        return _jacobian({column_names}, m).astype(cache.x.dtype)
'''

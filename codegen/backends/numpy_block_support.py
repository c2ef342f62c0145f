"""Array handling that the block's generated NumPy module carries with it.

As in :mod:`codegen.backends.numpy_support`: the text below the marker is copied verbatim, and what
is above it stands for what the generated module has from elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from codegen.backends.numpy_support import _array

# --- copied from here on ---

Array: TypeAlias = npt.NDArray[Any]
Function: TypeAlias = Callable[[Array], Array]

_WIDE: Any = np.float64  # everything is computed in this type and rounded once, at the end
_FLOATS = ("float16", "bfloat16", "float32", "float64")


def _wide(array: Array) -> Array:
    """The array in the type of the computation, with contiguous rows; no copy if it is so."""
    return np.ascontiguousarray(array, _WIDE)


def _total(values: Array) -> Array:
    """The sum over the samples, (C, 1)."""
    result: Array = np.add.reduce(values, axis=1, keepdims=True)
    return result


def _column(name: str, value: npt.ArrayLike | None, channels: int, default: int) -> Array:
    """One value for each channel, copied, as a column (C, 1)."""
    if value is None:
        return np.full((channels, 1), default, _WIDE)
    array = _array(name, value)
    if array.shape != (channels,):
        raise ValueError(
            f"{name} has shape {array.shape}; ({channels},) is needed: W has {channels} rows"
        )
    return array.astype(_WIDE).reshape(-1, 1)


def _elementwise(name: str, function: Function) -> Function:
    """A function of the caller's: what it is given it cannot change, what it returns is checked."""

    def apply(a: Array) -> Array:
        given = a.view()
        given.flags.writeable = False
        result = np.asarray(function(given))
        if result.shape != a.shape:
            raise ValueError(f"{name} made shape {result.shape} of {a.shape}; the same is needed")
        if not np.can_cast(result.dtype, _WIDE):
            raise TypeError(f"{name} made dtype {result.dtype}; real numbers are needed")
        return result

    return apply

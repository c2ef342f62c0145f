"""The fixed text of the block's NumPy module: docstrings, and functions that validate.

Braces are filled by :mod:`codegen.backends.numpy_block`; nothing here computes.
"""

from __future__ import annotations

MODULE = '''"""Linear layer, Batch Normalisation and activation in one block: forward and backward.

By definition ({source}), for channel p, sample i and feature r,

{before_definitions}

and, for a loss l with dl/dA_out given,

{before_gradients}

That dl/db vanishes is no accident: {why}.
Whatever b adds to a channel, its mean takes away again.  Leave the bias out of such a layer, beta
does its work; b is there for the definition's sake.

With placement="behind", Batch Norm comes after the activation:

{behind_definitions}

{behind_gradients}

There b has a gradient, and is worth having.

Samples are columns.  float16, bfloat16, float32 and float64 are computed in float64, matrix
products by BLAS, and rounded once; results have the dtype of A.  Strides, byte order and read-only
inputs are all fine, and inputs are never written to.  No NumPy warning escapes.  A NaN in W, b,
gamma or beta stays in its channel of A_out; one in A reaches them all, for W mixes features.  Where
sigmoid or tanh is saturated its slope is right to 1e-16, but not to 1e-16 of itself.

This module needs NumPy only and may be copied into another project.
"""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

{support}
'''

WITH_SLOPE = '''
def _with_slope(activation: str | tuple[Function, Function]) -> tuple[Function, Function]:
    """An activation by its name, or as its two functions."""
    if isinstance(activation, str):
        if activation not in _ACTIVATIONS:
            known = ", ".join(_ACTIVATIONS)
            raise ValueError(f"activation {activation!r} is not known; one of {known} is needed")
        return _ACTIVATIONS[activation]
    if not isinstance(activation, tuple) or [*map(callable, activation)] != [True, True]:
        raise TypeError(
            f"activation is {activation!r}; a name, or a tuple of functions (g, slope), is needed"
        )
    g, slope = activation
    return _elementwise("g", g), _elementwise("slope", slope)
'''

FORWARD = '''
class Cache(NamedTuple):
    """What forward saves for backward: A and W themselves, not copies, and float64 arrays.

    Z: (C, m).  gamma, beta, the mean mu, the variance var and inv_std = 1/sqrt(var + eps): (C, 1).
    g and slope: the activation.  It stays valid as long as A and W are not changed.
    """

    A: Array
    W: Array
    gamma: Array
    beta: Array
    Z: Array
    mu: Array
    var: Array
    inv_std: Array
    g: Function
    slope: Function
    placement: str


def forward(
    A: npt.ArrayLike,
    W: npt.ArrayLike,
    b: npt.ArrayLike | None = None,
    gamma: npt.ArrayLike | None = None,
    beta: npt.ArrayLike | None = None,
    *,
    activation: str | tuple[Function, Function] = "relu",
    eps: float = 1e-5,
    placement: str = "before",
) -> tuple[Array, Cache]:
    """A_out and the cache that backward takes, by the definitions at the top of this module.

    A: (K, m), a sample in each column; float16, bfloat16, float32 or float64.  W: (C, K) and b,
    gamma, beta: (C,), of any of these dtypes; None means b = 0, gamma = 1, beta = 0.  activation:
    "identity", "relu", "sigmoid" or "tanh", or a tuple of two functions of float64 arrays, g and
    its slope.  eps: a real number, used as given.  placement: where Batch Norm goes, "before" the
    activation or "behind" it.  Returns A_out, (C, m) in the dtype of A, and the cache.

    Raises TypeError for any other dtype and for what is not a number, an array or a function where
    one is needed; ValueError for shapes that do not fit and for an unknown name.
    """
    A, W = _array("A", A), _array("W", W)
    if A.ndim != 2 or W.ndim != 2 or W.shape[1] != A.shape[0]:
        raise ValueError(
            f"W has shape {{W.shape}} and A has shape {{A.shape}}; (C, K) and (K, m) are needed"
        )
    if placement not in ("before", "behind"):
        raise ValueError(f"placement is {{placement!r}}; 'before' or 'behind' is needed")
    b, gamma = _column("b", b, len(W), 0), _column("gamma", gamma, len(W), 1)
    beta = _column("beta", beta, len(W), 0)
    eps = _real("eps", eps)
    g, slope = _with_slope(activation)
    with np.errstate(all="ignore"):
        if placement == "before":
{before_forward}
        else:
{behind_forward}
        A_out = A_out.astype(A.dtype)
    return A_out, Cache(A, W, gamma, beta, Z, mu, var, inv_std, g, slope, placement)
'''

BACKWARD = '''
def backward(dA_out: npt.ArrayLike, cache: Cache) -> tuple[Array, Array, Array, Array, Array]:
    """dA, dW, db, dgamma, dbeta from dA_out = dl/dA_out, by the closed forms at the top.

    dA_out: the shape of A_out, any float dtype.  Returns dA, (K, m); dW, (C, K); db, dgamma and
    dbeta, (C,), also where the parameter was None; all in the dtype of A.

    db is zero before the activation: {why}.
    A bias there learns nothing and is best left out.

    Raises TypeError for another dtype and for what is not a cache, ValueError for another shape.
    """
    if not isinstance(cache, Cache):
        raise TypeError(f"cache is a {{type(cache).__name__}}; what forward returned is needed")
    dA_out = _array("dA_out", dA_out)
    if dA_out.shape != cache.Z.shape:
        raise ValueError(
            f"dA_out has shape {{dA_out.shape}}; the shape of A_out, {{cache.Z.shape}}, is needed"
        )
    dtype = cache.A.dtype
    with np.errstate(all="ignore"):
        if cache.placement == "before":
{before_backward}
        else:
{behind_backward}
        db, dgamma, dbeta = (column.reshape(-1).astype(dtype) for column in (db, dgamma, dbeta))
        return dA.astype(dtype), dW.astype(dtype), db, dgamma, dbeta
'''

"""Kernels whose double backward breaks one promise each.

All are in :data:`tests.verify.good_kernel.BAD`.
"""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from tests.verify.good_kernel import GOOD, breaks
from verify.accuracy_cases import Array

good = GOOD.double_backward


@breaks("signatures", "double_backward")
def dy_first(dy: Array, v_dx: Any, v_dgamma: Any, v_dbeta: Any, cache: Any) -> Any:
    return good(v_dx, v_dgamma, v_dbeta, dy, cache)


@breaks("double_backward_values", "double_backward")
def statistics_held_constant(v_dx: Any, v_dgamma: Any, v_dbeta: Any, dy: Any, cache: Any) -> Any:
    """g_x through x_hat alone: what a backward with saved statistics gives."""
    g_dy, _, g_gamma = good(v_dx, v_dgamma, v_dbeta, dy, cache)
    moved = tuple(k for k in range(cache.x.ndim) if k != cache.axis)
    shape = [-1 if k == cache.axis else 1 for k in range(cache.x.ndim)]
    m = cache.x.size // max(1, cache.x.shape[cache.axis])
    x_hat = (cache.x - cache.mean - cache.mean_rest) * cache.inv_std
    v = np.zeros_like(cache.x) if v_dx is None else v_dx
    v_dgamma = np.zeros(cache.x.shape[cache.axis]) if v_dgamma is None else v_dgamma
    of_dy = np.sum(dy * x_hat, axis=moved, keepdims=True)
    of_v = np.sum(v * x_hat, axis=moved, keepdims=True)
    g_x_hat = np.reshape(v_dgamma, shape) * dy
    g_x_hat = g_x_hat - cache.gamma * cache.inv_std / m * (v * of_dy + dy * of_v)
    return g_dy, (g_x_hat * cache.inv_std).astype(cache.x.dtype), g_gamma


@breaks("double_backward_values", "double_backward")
def no_term_of_dgamma(v_dx: Any, v_dgamma: Any, *rest: Any) -> Any:
    g_dy, _, g_gamma = good(v_dx, v_dgamma, *rest)
    return g_dy, good(v_dx, None, *rest)[1], g_gamma


@breaks("double_backward_hard_batches", "double_backward")
def computed_in_float32(v_dx: Any, v_dgamma: Any, v_dbeta: Any, dy: Any, cache: Any) -> Any:
    x = cache.x.astype(np.float32)
    x_hat = (x - np.float32(cache.mean)) * np.float32(cache.inv_std)
    g_dy, g_x, _ = good(v_dx, v_dgamma, v_dbeta, dy, cache)
    v, m = np.asarray(v_dx, np.float32), np.float32(len(x))
    total = v.sum(0) * dy.sum(0, dtype=np.float32)
    both = (v * dy).sum(0, dtype=np.float32) - total / m
    along = (v * x_hat).sum(0) * (dy * x_hat).sum(0) / m
    g_gamma = np.ravel(cache.inv_std) * (both - along)
    return g_dy, g_x, g_gamma.astype(cache.x.dtype)


@breaks("double_backward_absent", "double_backward")
def absent_means_one(v_dx: Any, v_dgamma: Any, v_dbeta: Any, dy: Any, cache: Any) -> Any:
    if v_dbeta is None:
        v_dbeta = np.ones(cache.x.shape[cache.axis], cache.x.dtype)
    return good(v_dx, v_dgamma, v_dbeta, dy, cache)


@breaks("double_backward_refuses", "double_backward")
def broadcasts_v(v_dx: Any, v_dgamma: Any, v_dbeta: Any, dy: Any, cache: Any) -> Any:
    with contextlib.suppress(ValueError, TypeError):
        v_dx = np.broadcast_to(v_dx, dy.shape)
    return good(v_dx, v_dgamma, v_dbeta, dy, cache)


@breaks("double_backward_refuses", "double_backward")
def takes_integers(v_dx: Any, *rest: Any) -> Any:
    if np.asarray(v_dx).dtype.kind == "i":
        v_dx = np.asarray(v_dx, np.float64)
    return good(v_dx, *rest)


@breaks("double_backward_layouts", "double_backward")
def writes_to_v(v_dx: Any, *rest: Any) -> Any:
    found = good(v_dx, *rest)
    if v_dx is not None and v_dx.size and v_dx.flags.writeable:
        v_dx[...] = 0
    return found


@breaks("double_backward_small", "double_backward")
def nan_of_nothing(v_dx: Any, v_dgamma: Any, v_dbeta: Any, dy: Any, cache: Any) -> Any:
    g_dy, g_x, g_gamma = good(v_dx, v_dgamma, v_dbeta, dy, cache)
    return g_dy, g_x, g_gamma if dy.size else g_gamma * np.nan


@breaks("double_backward_not_finite", "double_backward")
def nan_leaks(*arguments: Any) -> Any:
    g_dy, g_x, g_gamma = good(*arguments)
    return g_dy, g_x + 0 * g_x.sum(), g_gamma


@breaks("double_backward_not_finite", "double_backward")
def nan_hidden(*arguments: Any) -> Any:
    return tuple(np.nan_to_num(result) for result in good(*arguments))


@breaks("double_backward_no_warning", "double_backward")
def overflow_warns(v_dx: Any, *rest: Any) -> Any:
    _ = np.square(np.zeros(1) if v_dx is None else v_dx)
    return good(v_dx, *rest)

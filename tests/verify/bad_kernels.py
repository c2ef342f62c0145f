"""Kernels that break one promise of the contract each, by the clause that has to notice.

A good kernel with one function replaced; all are in :data:`tests.verify.good_kernel.BAD`.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np

from tests.verify.good_kernel import BAD, GOOD, Kernel, breaks
from verify.accuracy_cases import Array


@breaks("signatures")
def channels_last_by_default(
    x: Array,
    gamma: Any = None,
    beta: Any = None,
    *,
    eps: Any = 1e-5,
    axis: int = -1,
    out: Any = None,
) -> Any:
    return GOOD.forward(x, gamma, beta, eps=eps, axis=axis, out=out)


@breaks("signatures", "backward")
def cache_first(cache: Any, dy: Array, *, out: Any = None) -> Any:
    return GOOD.backward(dy, cache, out=out)


@breaks("result_tuples")
def opaque_object_as_cache(*arguments: Any, **options: Any) -> Any:
    y, cache = GOOD.forward(*arguments, **options)
    return y, {"cache": cache}


@breaks("result_tuples", "backward")
def list_of_gradients(*arguments: Any, **options: Any) -> Any:
    return list(GOOD.backward(*arguments, **options))


@breaks("values")
def axis_ignored(*arguments: Any, axis: int = 1, **options: Any) -> Any:
    return GOOD.forward(*arguments, **options)


@breaks("values", "backward")
def gamma_gradient_forgotten(dy: Array, cache: Any, *, out: Any = None) -> Any:
    dx, dgamma, dbeta = GOOD.backward(dy, cache, out=out)
    return dx, dgamma * 0, dbeta


@breaks("staged_form", "backward_staged")
def staged_without_the_mean_path(dy: Array, cache: Any) -> Any:
    dx, dgamma, dbeta = GOOD.backward_staged(dy, cache)
    return dx + dx.dtype.type(0.01), dgamma, dbeta


@breaks("jacobian_form", "jacobian")
def always_channel_0(cache: Any, channel: int = 0) -> Array:
    return GOOD.jacobian(cache)


@breaks("jacobian_form", "jacobian")
def jacobian_in_float16(cache: Any, channel: int = 0) -> Array:
    return GOOD.jacobian(cache, channel).astype(np.float16)


@breaks("absent_parameters", "backward")
def no_gradient_for_absent_gamma(dy: Array, cache: Any, *, out: Any = None) -> Any:
    dx, dgamma, dbeta = GOOD.backward(dy, cache, out=out)
    return dx, None if dgamma.shape == (3,) else dgamma, dbeta


@breaks("absent_parameters")
def gamma_required(x: Array, gamma: Array, beta: Any = None, **options: Any) -> Any:
    return GOOD.forward(x, np.asarray(gamma), beta, **options)


@breaks("absent_tangents", "jvp")
def absent_tangent_is_one(x_dot: Array, gamma_dot: Any, beta_dot: Any, cache: Any) -> Array:
    if beta_dot is None:
        beta_dot = np.ones(x_dot.shape[1], x_dot.dtype)
    return GOOD.jvp(x_dot, gamma_dot, beta_dot, cache)


class KeepsY(NamedTuple):
    y: Array
    kept: Any


def _reading_y(function: Callable[..., Any]) -> Callable[..., Any]:
    """The gradients come out wrong once y is not what it was."""

    def backward(dy: Array, cache: KeepsY, **options: Any) -> Any:
        dx, *rest = function(dy, cache.kept, **options)
        return (dx + 0 * cache.y, *rest)

    return backward


def forward_keeping_y(*arguments: Any, **options: Any) -> Any:
    y, cache = GOOD.forward(*arguments, **options)
    return y, KeepsY(y, cache)


KEEPS_Y = Kernel(
    forward_keeping_y,
    _reading_y(GOOD.backward),
    lambda dy, cache: GOOD.backward_staged(dy, cache.kept),
    lambda x_dot, gamma_dot, beta_dot, cache: GOOD.jvp(x_dot, gamma_dot, beta_dot, cache.kept),
    lambda cache, channel=0: GOOD.jacobian(cache.kept, channel),
)
BAD.append(("cache_outlives_y", KEEPS_Y))


@breaks("backward_repeats", "backward")
def backward_that_remembers(
    dy: Array,
    cache: Any,
    *,
    out: Any = None,
    seen: list[int] = [],  # noqa: B006 (the damage)
) -> Any:
    dx, dgamma, dbeta = GOOD.backward(dy, cache, out=out)
    seen.append(1)
    return dx, dgamma + dgamma.dtype.type(len(seen)), dbeta


def _with_copy(*arguments: Any, **options: Any) -> Any:
    y, cache = GOOD.forward(*arguments, **options)
    return y, KeepsY(np.array(arguments[0], np.float64), cache)


BAD.append(("cache_holds_no_copy", replace(KEEPS_Y, forward=_with_copy)))


@breaks("dtypes")
def everything_in_float64(*arguments: Any, **options: Any) -> Any:
    y, cache = GOOD.forward(*arguments, **options)
    return y.astype(np.float64), cache


@breaks("dtypes")
def rounds_through_float16(*arguments: Any, **options: Any) -> Any:
    y, cache = GOOD.forward(*arguments, **options)
    return y.astype(np.float16).astype(y.dtype), cache


@breaks("bfloat16")
def no_bfloat16(x: Array, *arguments: Any, **options: Any) -> Any:
    if x.dtype.name == "bfloat16":
        raise TypeError("bfloat16 is not supported")
    return GOOD.forward(x, *arguments, **options)


@breaks("wider_parameters")
def results_in_the_parameters_dtype(x: Array, gamma: Any = None, *rest: Any, **options: Any) -> Any:
    y, cache = GOOD.forward(x, gamma, *rest, **options)
    return (y if gamma is None else y.astype(np.result_type(y, gamma))), cache


@breaks("other_dtypes")
def integers_converted(x: Any, *arguments: Any, **options: Any) -> Any:
    return GOOD.forward(x * 1.0 if x.dtype.kind in "iub" else x, *arguments, **options)


@breaks("other_dtypes")
def refuses_without_a_name(x: Any, *arguments: Any, **options: Any) -> Any:
    if x.dtype.kind == "i":
        raise TypeError("x has a bad dtype")
    return GOOD.forward(x, *arguments, **options)


@breaks("parameter_shapes")
def gamma_broadcast(x: Array, gamma: Any = None, *rest: Any, **options: Any) -> Any:
    if gamma is not None and gamma.shape == (1,):
        gamma = np.repeat(gamma, x.shape[1])
    return GOOD.forward(x, gamma, *rest, **options)


@breaks("gradient_shapes", "backward")
def dy_broadcast(dy: Array, cache: Any, **options: Any) -> Any:
    return GOOD.backward(np.broadcast_to(dy, (4, 3)) if dy.ndim < 2 else dy, cache, **options)


@breaks("tangent_shapes", "jvp")
def tangent_broadcast(x_dot: Array, gamma_dot: Any, *rest: Any) -> Any:
    if gamma_dot is not None and gamma_dot.shape == (1,):
        gamma_dot = np.repeat(gamma_dot, x_dot.shape[1])
    return GOOD.jvp(x_dot, gamma_dot, *rest)


@breaks("too_few_axes")
def vectors_are_columns(x: Array, *arguments: Any, **options: Any) -> Any:
    return GOOD.forward(x[:, None] if x.ndim == 1 else x, *arguments, **options)


@breaks("axis_out_of_range")
def axis_wraps(x: Array, *arguments: Any, axis: int = 1, **options: Any) -> Any:
    return GOOD.forward(x, *arguments, axis=axis % max(x.ndim, 1), **options)


@breaks("layouts")
def memory_order_taken_for_index_order(x: Array, *arguments: Any, **options: Any) -> Any:
    return GOOD.forward(x.ravel("K").reshape(x.shape), *arguments, **options)


@breaks("layouts")
def byte_order_ignored(x: Array, *arguments: Any, **options: Any) -> Any:
    return GOOD.forward(x.view(x.dtype.newbyteorder("=")), *arguments, **options)


@breaks("zero_strides", "backward")
def zero_strides_refused(dy: Array, cache: Any, **options: Any) -> Any:
    if 0 in dy.strides:
        raise ValueError("dy must be contiguous")
    return GOOD.backward(dy, cache, **options)


@breaks("inputs_untouched", "backward")
def dy_is_scratch_space(dy: Array, cache: Any, **options: Any) -> Any:
    given = GOOD.backward(dy, cache, **options)
    if dy.flags.writeable:
        dy[...] = 0
    return given


@breaks("inputs_untouched")
def read_only_refused(x: Array, *arguments: Any, **options: Any) -> Any:
    x[...] = x * 1
    return GOOD.forward(x, *arguments, **options)


@breaks("out_is_returned")
def out_ignored(*arguments: Any, out: Any = None, **options: Any) -> Any:
    return GOOD.forward(*arguments, **options)


@breaks("out_is_returned", "backward")
def out_tuple_half_filled(dy: Array, cache: Any, *, out: Any = None) -> Any:
    if isinstance(out, tuple):
        out[0][...], *_ = GOOD.backward(dy, cache)
        return out
    return GOOD.backward(dy, cache, out=out)


@breaks("out_replaces_input")
def out_cleared_before_x_is_read(x: Array, *arguments: Any, out: Any = None, **options: Any) -> Any:
    if isinstance(out, np.ndarray) and out.flags.writeable:
        out[...] = 0
    return GOOD.forward(x, *arguments, out=out, **options)


@breaks("out_overlaps")
def overlap_accepted(x: Array, *arguments: Any, out: Any = None, **options: Any) -> Any:
    y, cache = GOOD.forward(x, *arguments, **options)
    if out is not None:
        out[...] = y
        return out, cache
    return y, cache


@breaks("out_overlaps")
def interleaved_refused(x: Array, *arguments: Any, out: Any = None, **options: Any) -> Any:
    if out is not None and out is not x and np.may_share_memory(x, out):
        raise ValueError("out overlaps x")
    return GOOD.forward(x, *arguments, out=out, **options)


@breaks("out_unfit", "backward")
def out_cast_to_fit(dy: Array, cache: Any, *, out: Any = None) -> Any:
    if isinstance(out, np.ndarray) and out.dtype == np.float64:
        dx, *rest = GOOD.backward(dy, cache)
        out[...] = dx
        return (out, *rest)
    return GOOD.backward(dy, cache, out=out)


@breaks("empty")
def empty_refused(x: Array, *arguments: Any, **options: Any) -> Any:
    if not x.size:
        raise ValueError("x is empty")
    return GOOD.forward(x, *arguments, **options)


@breaks("empty", "backward")
def empty_gradients_are_nan(dy: Array, cache: Any, **options: Any) -> Any:
    dx, dgamma, dbeta = GOOD.backward(dy, cache, **options)
    return dx, dgamma if dy.size else dgamma * np.nan, dbeta


@breaks("one_element")
def undefined_for_one_row(x: Array, *arguments: Any, **options: Any) -> Any:
    y, cache = GOOD.forward(x, *arguments, **options)
    return (y * np.nan if x.shape[0] == 1 else y), cache


@breaks("one_element", "backward")
def dx_of_one_row_nearly_zero(dy: Array, cache: Any, **options: Any) -> Any:
    dx, *rest = GOOD.backward(dy, cache, **options)
    return (dx + np.finfo(dx.dtype).tiny if dx.shape[0] == 1 else dx, *rest)


@breaks("eps_as_given")
def eps_clipped(*arguments: Any, eps: Any = 1e-5, **options: Any) -> Any:
    return GOOD.forward(*arguments, eps=max(eps, 1e-5), **options)


@breaks("eps_as_given")
def eps_in_the_dtype_of_x(x: Array, *arguments: Any, eps: Any = 1e-5, **options: Any) -> Any:
    return GOOD.forward(x, *arguments, eps=float(x.dtype.type(eps)), **options)


@breaks("eps_not_real")
def eps_parsed(*arguments: Any, eps: Any = 1e-5, **options: Any) -> Any:
    return GOOD.forward(*arguments, eps=float(eps) if isinstance(eps, str) else eps, **options)


@breaks("var_plus_eps_not_positive")
def zero_variance_hidden(*arguments: Any, eps: Any = 1e-5, **options: Any) -> Any:
    return GOOD.forward(
        *arguments, eps=eps if isinstance(eps, complex) else eps or 1e-300, **options
    )


@breaks("nan_stays_in_channel")
def nan_leaks(*arguments: Any, **options: Any) -> Any:
    y, cache = GOOD.forward(*arguments, **options)
    with np.errstate(all="ignore"):
        y += 0 * y.sum()
    return y, cache


@breaks("nan_stays_in_channel", "jvp")
def nan_leaks_forward(*arguments: Any) -> Any:
    y_dot = GOOD.jvp(*arguments)
    return y_dot + 0 * y_dot.sum()


@breaks("nan_stays_in_channel", "backward")
def nan_hidden(*arguments: Any, **options: Any) -> Any:
    dx, *rest = GOOD.backward(*arguments, **options)
    return (np.nan_to_num(dx), *rest)


@breaks("no_warning")
def overflow_warns(x: Array, *arguments: Any, **options: Any) -> Any:
    np.square(x)
    return GOOD.forward(x, *arguments, **options)


@breaks("no_warning", "backward")
def warns_by_itself(*arguments: Any, **options: Any) -> Any:
    warnings.warn("a slow path is taken", RuntimeWarning, stacklevel=2)
    return GOOD.backward(*arguments, **options)


@breaks("no_warning")
def error_state_left_changed(*arguments: Any, **options: Any) -> Any:
    np.seterr(all="ignore")
    return GOOD.forward(*arguments, **options)


@breaks("large_arrays")
def end_of_a_large_result_not_written(*arguments: Any, out: Any = None, **options: Any) -> Any:
    y, cache = GOOD.forward(*arguments, **options)
    if out is None:
        return y, cache
    length = len(y) if y.size < 50_000 else len(y) - 1
    out[:length] = y[:length]
    return out, cache

"""Kernels whose test mode, running statistics or folding breaks one promise each.

All are in :data:`tests.verify.good_kernel.BAD`.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.verify.good_kernel import GOOD, breaks
from verify.accuracy_cases import Array

# --- What test mode shares with training ----------------------------------------------------------


@breaks("signatures", "infer")
def statistics_before_parameters(
    x: Array,
    mean: Any,
    var: Any,
    gamma: Any,
    beta: Any,
    *,
    eps: Any = 1e-5,
    axis: int = 1,
    out: Any = None,
) -> Array:
    return GOOD.infer(x, gamma, beta, mean, var, eps=eps, axis=axis, out=out)


@breaks("signatures", "running_update")
def weighs_the_old_value_by_default(
    mean: Array, var: Array, cache: Any, *, momentum: float = 0.9, unbiased: bool = True
) -> Any:
    return GOOD.running_update(mean, var, cache, momentum=1 - momentum, unbiased=unbiased)


@breaks("result_tuples", "infer_backward")
def no_parameter_gradients(*arguments: Any, **options: Any) -> Any:
    return GOOD.infer_backward(*arguments, **options)[:1]


@breaks("values", "infer")
def uses_the_batch(x: Array, gamma: Any, beta: Any, *_: Any, **options: Any) -> Array:
    return GOOD.forward(x, gamma, beta, **options)[0]


@breaks("values", "infer_backward")
def gradient_through_the_statistics(
    dy: Array, x: Array, gamma: Any, *_: Any, **options: Any
) -> Any:
    return GOOD.backward(dy, GOOD.forward(x, gamma, **options)[1])


@breaks("absent_parameters", "infer_backward")
def gamma_needed(dy: Array, x: Array, gamma: Any, *rest: Any, **options: Any) -> Any:
    return GOOD.infer_backward(dy, x, np.asarray(gamma), *rest, **options)


@breaks("wider_parameters", "infer")
def infers_in_the_parameters_dtype(
    x: Array, gamma: Any, beta: Any, mean: Array, *rest: Any, **options: Any
) -> Array:
    y = GOOD.infer(x, gamma, beta, mean, *rest, **options)
    return y.astype(np.result_type(y, mean))


@breaks("other_dtypes", "infer_backward")
def integer_statistics_converted(
    dy: Array, x: Array, gamma: Any, mean: Array, *rest: Any, **options: Any
) -> Any:
    mean = mean * 1.0 if mean.dtype.kind == "i" else mean
    return GOOD.infer_backward(dy, x, gamma, mean, *rest, **options)


@breaks("parameter_shapes", "infer")
def one_mean_for_all(
    x: Array, gamma: Any, beta: Any, mean: Array, *rest: Any, **options: Any
) -> Array:
    mean = np.repeat(mean, 3) if mean.shape == (1,) else mean
    return GOOD.infer(x, gamma, beta, mean, *rest, **options)


@breaks("gradient_shapes", "infer_backward")
def dy_repeated(dy: Array, x: Array, *rest: Any, **options: Any) -> Any:
    dy = np.broadcast_to(dy, x.shape) if dy.shape == (3,) else dy
    return GOOD.infer_backward(dy, x, *rest, **options)


@breaks("axis_out_of_range", "infer")
def infer_axis_wraps(x: Array, *rest: Any, axis: int = 1, **options: Any) -> Array:
    return GOOD.infer(x, *rest, axis=axis % max(x.ndim, 1), **options)


@breaks("layouts", "infer")
def infer_in_memory_order(x: Array, *rest: Any, **options: Any) -> Array:
    return GOOD.infer(x.ravel("K").reshape(x.shape), *rest, **options)


@breaks("inputs_untouched", "infer")
def centres_in_place(
    x: Array, gamma: Any, beta: Any, mean: Array, *rest: Any, **options: Any
) -> Array:
    y = GOOD.infer(x, gamma, beta, mean, *rest, **options)
    if mean.flags.writeable:
        mean[...] = 0
    return y


@breaks("empty", "infer")
def infers_nothing(x: Array, *rest: Any, **options: Any) -> Array:
    if not x.size:
        raise ValueError("x is empty")
    return GOOD.infer(x, *rest, **options)


@breaks("eps_as_given", "infer")
def infer_eps_clipped(*arguments: Any, eps: Any = 1e-5, **options: Any) -> Array:
    return GOOD.infer(*arguments, eps=max(eps, 1e-5), **options)


@breaks("eps_not_real", "infer_backward")
def infer_eps_parsed(*arguments: Any, eps: Any = 1e-5, **options: Any) -> Any:
    return GOOD.infer_backward(*arguments, eps=float(eps) if eps == "1e-5" else eps, **options)


@breaks("no_warning", "infer")
def root_of_a_negative_warns(
    x: Array, gamma: Any, beta: Any, mean: Any, var: Array, **options: Any
) -> Array:
    np.sqrt(var)
    return GOOD.infer(x, gamma, beta, mean, var, **options)


# --- What is test mode's own ----------------------------------------------------------------------


@breaks("infer_out", "infer")
def infer_ignores_out(*arguments: Any, out: Any = None, **options: Any) -> Array:
    return GOOD.infer(*arguments, **options)


@breaks("infer_out", "infer")
def infer_clears_out_first(x: Array, *rest: Any, out: Any = None, **options: Any) -> Array:
    if out is not None:
        out[...] = 0
    return GOOD.infer(x, *rest, out=out, **options)


@breaks("infer_out_refused", "infer")
def infer_takes_any_out(*arguments: Any, out: Any = None, **options: Any) -> Array:
    y = GOOD.infer(*arguments, **options)
    if out is None:
        return y
    out[...] = y
    return out


@breaks("infer_out_refused", "infer")
def infer_refuses_what_is_between(x: Array, *rest: Any, out: Any = None, **options: Any) -> Array:
    if out is not None and out is not x and np.may_share_memory(x, out):
        raise ValueError("out overlaps x")
    return GOOD.infer(x, *rest, out=out, **options)


@breaks("infer_one_element", "infer")
def one_row_is_its_own_mean(
    x: Array, gamma: Any, beta: Any, mean: Array, var: Any, **options: Any
) -> Array:
    if x.shape[0] == 1:
        mean = x.reshape(-1).copy()
    return GOOD.infer(x, gamma, beta, mean, var, **options)


@breaks("infer_mean_zero", "infer")
def no_mean_is_the_mean_of_the_batch(
    x: Array, gamma: Any, beta: Any, mean: Array, var: Any, **options: Any
) -> Array:
    if not np.any(mean):
        mean = x.mean(axis=tuple(k for k in range(x.ndim) if k != options.get("axis", 1)))
    return GOOD.infer(x, gamma, beta, mean, var, **options)


@breaks("infer_not_finite", "infer")
def infer_leaks(*arguments: Any, **options: Any) -> Array:
    y = GOOD.infer(*arguments, **options)
    return y + 0 * y.sum()


@breaks("infer_not_finite", "infer_backward")
def infer_hides(*arguments: Any, **options: Any) -> Any:
    dx, *rest = GOOD.infer_backward(*arguments, **options)
    return (np.nan_to_num(dx), *rest)


@breaks("infer_not_finite", "infer")
def infer_clips_the_variance(
    x: Array, gamma: Any, beta: Any, mean: Any, var: Array, **options: Any
) -> Array:
    return GOOD.infer(x, gamma, beta, mean, np.maximum(var, 0), **options)


# --- Running and population statistics ------------------------------------------------------------


@breaks("running_update", "running_update")
def weighs_the_old_value(*arguments: Any, momentum: float = 0.1, unbiased: bool = True) -> Any:
    return GOOD.running_update(*arguments, momentum=1 - momentum, unbiased=unbiased)


@breaks("running_update", "running_update")
def never_corrected(*arguments: Any, momentum: float = 0.1, unbiased: bool = True) -> Any:
    return GOOD.running_update(*arguments, momentum=momentum, unbiased=False)


@breaks("running_update", "running_update")
def updated_in_the_dtype_of_x(mean: Array, var: Array, cache: Any, **options: Any) -> Any:
    pair = GOOD.running_update(mean, var, cache, **options)
    return tuple(array.astype(cache.x.dtype) for array in pair)


@breaks("running_update_one_row", "running_update")
def one_row_left_uncorrected(
    mean: Array, var: Array, cache: Any, *, momentum: float = 0.1, unbiased: bool = True
) -> Any:
    options: dict[str, Any] = {"momentum": momentum, "unbiased": unbiased and cache.x.shape[0] > 1}
    return GOOD.running_update(mean, var, cache, **options)


@breaks("running_update_one_row", "running_update")
def one_row_always_refused(mean: Array, var: Array, cache: Any, **options: Any) -> Any:
    if cache.x.shape[0] == 1:
        raise ValueError("one row has no variance")
    return GOOD.running_update(mean, var, cache, **options)


@breaks("momentum_not_real", "running_update")
def no_momentum_is_zero(*arguments: Any, momentum: Any = 0.1, unbiased: bool = True) -> Any:
    return GOOD.running_update(*arguments, momentum=momentum or 0.0, unbiased=unbiased)


@breaks("population_statistics", "population_statistics")
def population_not_corrected(means: Any, variances: Any, m: int) -> Any:
    mean, var = GOOD.population_statistics(means, variances, m)
    return mean, (var * (m - 1) / m).astype(var.dtype)


@breaks("population_statistics", "population_statistics")
def arrays_only(means: Any, variances: Any, m: int) -> Any:
    return GOOD.population_statistics(means[:, :], variances, m)


@breaks("population_statistics_refused", "population_statistics")
def shorter_of_both(means: Any, variances: Any, m: int) -> Any:
    count = min(len(means), len(variances))
    return GOOD.population_statistics(means[:count], variances[:count], m)


@breaks("population_statistics_refused", "population_statistics")
def one_row_batches(means: Any, variances: Any, m: int) -> Any:
    return GOOD.population_statistics(means, variances, 2 if m == 1 else m)


# --- Folding --------------------------------------------------------------------------------------


@breaks("fold", "fold")
def shift_forgets_the_mean(gamma: Any, beta: Any, mean: Array, var: Any, **options: Any) -> Any:
    return GOOD.fold(gamma, beta, mean * 0, var, **options)


@breaks("fold", "fold")
def folds_in_float64(*arguments: Any, **options: Any) -> Any:
    return tuple(array.astype(np.float64) for array in GOOD.fold(*arguments, **options))


@breaks("fold", "fold")
def fold_has_another_eps(*arguments: Any, eps: Any = 1e-3) -> Any:
    return GOOD.fold(*arguments, eps=eps)


@breaks("fold_linear", "fold_linear")
def bias_not_scaled(weight: Array, bias: Any, *rest: Any, **options: Any) -> Any:
    new_weight, new_bias = GOOD.fold_linear(weight, None, *rest, **options)
    return new_weight, new_bias if bias is None else new_bias + bias.astype(new_bias.dtype)


@breaks("fold_linear", "fold_linear")
def scales_the_last_axis(weight: Array, bias: Any, *rest: Any, **options: Any) -> Any:
    if weight.ndim != 2 or weight.shape[1] < 3:
        return GOOD.fold_linear(weight, bias, *rest, **options)
    turned, new_bias = GOOD.fold_linear(weight[:, :3].T, bias, *rest, **options)
    return np.concatenate([turned.T, weight[:, 3:]], axis=1), new_bias


@breaks("fold_linear", "fold_linear")
def matrices_only(weight: Array, *rest: Any, **options: Any) -> Any:
    _, _ = weight.shape
    return GOOD.fold_linear(weight, *rest, **options)


@breaks("fold_not_positive", "fold")
def folds_a_clipped_variance(gamma: Any, beta: Any, mean: Any, var: Array, **options: Any) -> Any:
    return GOOD.fold(gamma, beta, mean, np.maximum(var, 0.5), **options)


@breaks("fold_eps_not_real", "fold_linear")
def fold_eps_parsed(*arguments: Any, eps: Any = 1e-5) -> Any:
    return GOOD.fold_linear(*arguments, eps=float(eps) if isinstance(eps, str) else eps)


# --- What they take -------------------------------------------------------------------------------


@breaks("statistics_other_dtypes", "fold")
def folds_integers(gamma: Array, *rest: Any, **options: Any) -> Any:
    return GOOD.fold(gamma * 1.0 if gamma.dtype.kind == "i" else gamma, *rest, **options)


@breaks("statistics_shapes", "running_update")
def mean_of_one_channel(mean: Array, var: Array, cache: Any, **options: Any) -> Any:
    mean = np.repeat(mean, var.size) if mean.shape == (1,) else mean
    return GOOD.running_update(mean, var, cache, **options)


@breaks("statistics_shapes", "fold_linear")
def weight_of_one_channel(weight: Array, bias: Array, *rest: Any, **options: Any) -> Any:
    if weight.ndim and weight.shape[0] == 1:
        weight = np.repeat(weight, len(bias), axis=0)
    return GOOD.fold_linear(weight, bias, *rest, **options)


@breaks("statistics_layouts", "fold_linear")
def weight_in_memory_order(weight: Array, *rest: Any, **options: Any) -> Any:
    return GOOD.fold_linear(weight.ravel("K").reshape(weight.shape), *rest, **options)


@breaks("statistics_layouts", "population_statistics")
def population_ignores_byte_order(means: Array, *rest: Any) -> Any:
    return GOOD.population_statistics(means.view(means.dtype.newbyteorder("=")), *rest)


@breaks("statistics_untouched", "running_update")
def updates_in_place(mean: Array, var: Array, cache: Any, **options: Any) -> Any:
    mean[...], var[...] = GOOD.running_update(mean, var, cache, **options)
    return mean, var


@breaks("statistics_untouched", "fold_linear")
def returns_the_bias_itself(weight: Array, bias: Any, *rest: Any, **options: Any) -> Any:
    return GOOD.fold_linear(weight, bias, *rest, **options)[0], bias


@breaks("statistics_not_finite", "running_update")
def update_leaks(*arguments: Any, **options: Any) -> Any:
    mean, var = GOOD.running_update(*arguments, **options)
    return mean + 0 * mean.sum(), var


@breaks("statistics_not_finite", "fold")
def fold_hides(*arguments: Any, **options: Any) -> Any:
    return tuple(np.nan_to_num(array) for array in GOOD.fold(*arguments, **options))


@breaks("statistics_no_warning", "fold")
def fold_warns(gamma: Any, beta: Any, mean: Any, var: Array, **options: Any) -> Any:
    1 / np.sqrt(var)
    return GOOD.fold(gamma, beta, mean, var, **options)


@breaks("statistics_no_warning", "population_statistics")
def population_sets_the_error_state(*arguments: Any) -> Any:
    np.seterr(all="ignore")
    return GOOD.population_statistics(*arguments)

"""The clauses of the kernel contract about the values of running statistics and of folding.

What running_update, population_statistics, fold and fold_linear compute is compared with
:mod:`verify.exact_inference`; what they take and refuse is in :mod:`verify.contract_vectors`.
Where the contract says nothing nothing is asked: an update from an empty batch, statistics narrower
than x, a bool as momentum.

Each clause is a function whose docstring is the promise; it raises ViolationError where the kernel
breaks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from verify.accuracy import Reference
from verify.accuracy_cases import Array, columns
from verify.contract_edges import NOT_REAL
from verify.exact_batch_norm import Affine, Channel
from verify.exact_inference import Frozen, average, unbiased, updated
from verify.examiner import Call, Examiner, or_full

FLOATS = (np.float16, np.float32, np.float64)


def floats() -> list[Any]:
    """The dtypes of the contract, with bfloat16 where it is installed."""
    try:
        import ml_dtypes
    except ImportError:
        return list(FLOATS)
    return [*FLOATS, ml_dtypes.bfloat16]


# --- Running and population statistics ------------------------------------------------------------


def running_update(examiner: Examiner) -> None:
    """running_update weighs the new value by momentum, its variance times m/(m-1) if unbiased"""
    update = examiner.function("running_update")
    pairs = [*((dtype, dtype) for dtype in floats()), (np.float16, np.float32)]
    for x_dtype, dtype in pairs:
        for shape, axis in (((8, 3), 1), ((2, 3, 3, 2), 1), ((2, 3, 3, 2), -1)):
            call = examiner.call(*shape, dtype=x_dtype, parameters=dtype).on_axis(axis)
            _, cache = examiner.forward(call)
            what = f"{np.dtype(x_dtype)} x {call.x.shape}, {np.dtype(dtype)} statistics"
            _updated(examiner, call, update(call.mean, call.var, cache), 0.1, True, what)
            for momentum in (0.1, 0, 1, 0.5, np.float32(0.25), np.float64(0.99)):
                for corrected in (True, False):
                    options = {"momentum": momentum, "unbiased": corrected}
                    given = update(call.mean, call.var, cache, **options)
                    where = f"{what}, momentum={momentum!r}, unbiased={corrected}"
                    _updated(examiner, call, given, float(momentum), corrected, where)


def _updated(
    examiner: Examiner, call: Call, given: Any, momentum: float, corrected: bool, what: str
) -> None:
    """One update has the exact values."""
    x = np.moveaxis(call.x, call.axis, 1)
    channels = [Channel.of(column, 1.0, 0.0, 1e-5) for column in columns(x)]
    m = channels[0].x.m
    new_mean = [channel.x.mean for channel in channels]
    new_var = [unbiased(c.variance, m) if corrected else c.variance for c in channels]
    exact = {
        name: [updated(float(a), b, momentum) for a, b in zip(old, new, strict=True)]
        for name, old, new in (("mean", call.mean, new_mean), ("var", call.var, new_var))
    }
    condition = max(channel.condition for channel in channels)
    pair = _named(examiner, ("mean", "var"), given, f"running_update, {what}")
    _vectors(examiner, exact, condition, pair, call.mean.dtype, what)
    if momentum == 0:
        same = np.array_equal(pair["mean"], call.mean) and np.array_equal(pair["var"], call.var)
        examiner.hold(same, f"{what}: the statistics change")


def running_update_one_row(examiner: Examiner) -> None:
    """m = 1: an unbiased update is a ValueError, a biased one has a new variance of 0"""
    update = examiner.function("running_update")
    for shape in ((1, 3), (1, 3, 1, 1)):
        call = examiner.call(*shape)
        _, cache = examiner.forward(call)
        for options in ({}, {"unbiased": True}, {"momentum": 0.0}):
            what = f"an unbiased update from x {shape}"
            examiner.refuses(ValueError, what, update, call.mean, call.var, cache, **options)
        given = update(call.mean, call.var, cache, momentum=0.25, unbiased=False)
        _updated(examiner, call, given, 0.25, False, f"x {shape}")


def momentum_not_real(examiner: Examiner) -> None:
    """momentum that is not a real number is a TypeError"""
    update = examiner.function("running_update")
    call = examiner.call(6, 3)
    _, cache = examiner.forward(call)
    for momentum in NOT_REAL:
        what = f"momentum of type {type(momentum).__name__}"
        arguments = call.mean, call.var, cache
        examiner.refuses(TypeError, what, update, *arguments, momentum=momentum)


def population_statistics(examiner: Examiner) -> None:
    """population_statistics is the mean of the means and m/(m-1) of the mean of the variances"""
    function = examiner.function("population_statistics")
    for dtype in floats():
        for batches, m in ((1, 2), (5, 7), (4, np.int64(1000))):
            means = examiner.rng.normal(0.5, 1.0, (batches, 3)).astype(dtype)
            variances = examiner.rng.uniform(0.5, 2.0, (batches, 3)).astype(dtype)
            exact = {
                "mean": [average(map(float, column)) for column in means.T],
                "var": [unbiased(average(map(float, v)), int(m)) for v in variances.T],
            }
            what = f"population_statistics of {batches} batches, {np.dtype(dtype)}, m={m}"
            for how in (np.asarray, list, tuple):
                given = function(how(means), how(variances), m)
                pair = _named(examiner, ("mean", "var"), given, what)
                _vectors(examiner, exact, 1.0, pair, means.dtype, f"{what}, in a {how.__name__}")


def population_statistics_refused(examiner: Examiner) -> None:
    """no batches, m < 2, or means and variances of different shapes: a ValueError"""
    function = examiner.function("population_statistics")
    means = np.ones((4, 3), np.float32)
    for m in (1, 0, -3):
        examiner.refuses(ValueError, f"m = {m}", function, means, means, m, mentions=(m,))
    for what, first, second in (
        ("no batches", [], []),
        ("no batches", np.ones((0, 3), np.float32), np.ones((0, 3), np.float32)),
        ("fewer variances", means, means[:3]),
        ("fewer variances, in a list", list(means), list(means[:3])),
        ("variances of fewer channels", means, means[:, :2]),
        ("variances of one channel", means, means[:, :1]),
        ("means of different lengths", [means[0], means[1][:2]], list(means[:2])),
        ("vectors, not a vector for each batch", means[0], means[0]),
        ("three axes", means[..., None], means[..., None]),
    ):
        examiner.refuses(ValueError, what, function, first, second, 8)


# --- Folding --------------------------------------------------------------------------------------


def fold(examiner: Examiner) -> None:
    """fold gives gamma/sqrt(var+eps) and beta - mean gamma/sqrt(var+eps), in mean's dtype"""
    function = examiner.function("fold")
    for dtype in floats():
        for what, call in _foldable(examiner, dtype):
            given = function(call.gamma, call.beta, call.mean, call.var, eps=call.eps)
            pair = _named(examiner, ("scale", "shift"), given, "fold")
            frozen = _frozen(call)
            exact = {"scale": [c.scale for c in frozen], "shift": [c.shift for c in frozen]}
            condition = max(channel.condition for channel in frozen)
            _vectors(examiner, exact, condition, pair, call.mean.dtype, f"fold, {what}")
    call = examiner.call(6, 3)
    usual = function(call.gamma, call.beta, call.mean, call.var)
    explicit = function(call.gamma, call.beta, call.mean, call.var, eps=1e-5)
    same = all(np.array_equal(*pair) for pair in zip(usual, explicit, strict=True))
    examiner.hold(same, "fold: eps is not 1e-5 by default")


def fold_linear(examiner: Examiner) -> None:
    """fold_linear folds into a weight (C, ...) and a bias (C,) or None, in weight's dtype"""
    function = examiner.function("fold_linear")
    for dtype in floats():
        for what, call in _foldable(examiner, dtype):
            for shape in ((3, 5), (3, 2, 3, 3), (3,), (3, 0)):
                weight = examiner.rng.normal(size=shape).astype(dtype)
                for bias in (call.gamma_dot, None):
                    arguments = weight, bias, call.gamma, call.beta, call.mean, call.var
                    given = function(*arguments, eps=call.eps)
                    where = f"fold_linear, {what}, weight {shape}, bias {bias is not None}"
                    _folded(examiner, call, weight, bias, given, where)


def _folded(
    examiner: Examiner, call: Call, weight: Array, bias: Array | None, given: Any, what: str
) -> None:
    """One fold has the exact values."""
    pair = _named(examiner, ("weight", "bias"), given, what)
    channels = [np.ravel(row) for row in weight]
    frozen = _frozen(call)
    biases = or_full(bias, (3,), 0.0)
    exact: dict[str, list[Affine | Fraction]] = {
        "bias": [c.folded_bias(Fraction(float(b))) for c, b in zip(frozen, biases, strict=True)]
    }
    if weight.ndim == 1:
        exact["weight"] = [
            c.scale * Fraction(float(w)) for c, w in zip(frozen, weight, strict=True)
        ]
    elif weight.size:
        exact["weight"] = [c.folded_weight(row) for c, row in zip(frozen, channels, strict=True)]
    else:
        examiner.like(pair.pop("weight"), weight.shape, weight.dtype, what)
    reference = Reference(exact, max(channel.condition for channel in frozen))
    shapes = {"weight": weight.shape, "bias": (3,)}
    examiner.agree(reference, pair, shapes, weight.dtype, what, axis=0)


def _foldable(examiner: Examiner, dtype: Any) -> Iterator[tuple[str, Call]]:
    """Parameters and statistics to fold, in a call."""
    call = examiner.call(6, 3, dtype=dtype)
    name = str(np.dtype(dtype))
    yield name, call
    for absent in (("gamma",), ("beta",), ("gamma", "beta")):
        yield f"{name}, {' and '.join(absent)} None", call.but(**dict.fromkeys(absent))
    for eps in (0.0, 1, -0.25, np.float32(1e-3), 1e-300):
        yield f"{name}, eps={eps!r}", call.but(eps=eps)
    wide = examiner.call(6, 3, dtype=np.float64)
    yield f"{name}, float64 parameters", call.but(gamma=wide.gamma, beta=wide.beta)


def _frozen(call: Call) -> list[Frozen]:
    gamma, beta = or_full(call.gamma, (3,), 1.0), or_full(call.beta, (3,), 0.0)
    channels = zip(gamma, beta, call.mean, call.var, strict=True)
    eps = float(call.eps)
    return [Frozen.of(float(g), float(b), float(m), float(v), eps) for g, b, m, v in channels]


def fold_not_positive(examiner: Examiner) -> None:
    """where var + eps <= 0 what is folded is not finite in that channel, the others as ever"""
    call = examiner.call(6, 3)
    weight = examiner.rng.normal(size=(3, 5)).astype(np.float32)
    for name, function in _folds(examiner):
        first = (weight, None) if name == "fold_linear" else ()
        for var, eps in ((-0.25, 0.25), (0.25, -0.5)):
            variances = call.var.copy()
            variances[1] = var
            given = function(*first, call.gamma, call.beta, call.mean, variances, eps=eps)
            expected = function(*first, call.gamma, call.beta, call.mean, call.var, eps=eps)
            what = f"{name}, var={var}, eps={eps}"
            for array, due in zip(given, expected, strict=True):
                examiner.close(np.delete(array, 1, 0), np.delete(due, 1, 0), what)
                examiner.hold(not np.isfinite(array[1]).any(), f"{what}: finite, which hides it")


def fold_eps_not_real(examiner: Examiner) -> None:
    """eps of fold and fold_linear that is not a real number is a TypeError"""
    call = examiner.call(6, 3)
    arguments = call.gamma, call.beta, call.mean, call.var
    for name, function in _folds(examiner):
        first = (np.ones((3, 5), np.float32), None) if name == "fold_linear" else ()
        for eps in NOT_REAL:
            what = f"{name}: eps of type {type(eps).__name__}"
            examiner.refuses(TypeError, what, function, *first, *arguments, eps=eps)


def _folds(examiner: Examiner) -> list[tuple[str, Callable[..., Any]]]:
    """fold and fold_linear, if there is one of them."""
    names = [name for name in ("fold", "fold_linear") if examiner.offers(name)]
    return [(name, examiner.function(name)) for name in names or ["fold"]]


# --- Helpers --------------------------------------------------------------------------------------


def _named(examiner: Examiner, names: tuple[str, str], given: Any, what: str) -> dict[str, Array]:
    """Both arrays of a pair, by name."""
    pair = isinstance(given, tuple) and len(given) == 2
    examiner.hold(pair, f"{what} gives no pair ({', '.join(names)})")
    return dict(zip(names, given, strict=True))


def _vectors(
    examiner: Examiner,
    exact: dict[str, list[Fraction]],
    condition: float,
    given: dict[str, Array],
    dtype: Any,
    what: str,
) -> None:
    """The arrays are (C,) and have these values."""
    values: dict[str, list[Affine | Fraction]] = {name: [*exact[name]] for name in exact}
    shapes: dict[str, tuple[int, ...]] = {name: (len(value),) for name, value in exact.items()}
    examiner.agree(Reference(values, condition), given, shapes, dtype, what)


STATISTICS_CLAUSES = (
    running_update,
    running_update_one_row,
    momentum_not_real,
    population_statistics,
    population_statistics_refused,
    fold,
    fold_linear,
    fold_not_positive,
    fold_eps_not_real,
)

"""The clauses of the kernel contract about double_backward, the vjp of backward.

Values are held to exact rational arithmetic (:mod:`verify.exact_batch_norm`), as accurately as the
contract asks of backward.  Each clause is a function whose docstring is the promise; it raises
ViolationError where the kernel breaks it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any

import numpy as np

from verify.accuracy import PRECISIONS, scaled_error
from verify.accuracy_cases import Array
from verify.contract_arrays import LAYOUTS, OTHER_DTYPES
from verify.exact_batch_norm import Affine, Channel, Deviation, deviation
from verify.examiner import Call, Examiner, ViolationError

RESULTS = ("g_dy", "g_x", "g_gamma")


@dataclass(frozen=True)
class Use:
    """Arguments of forward and of double_backward after it."""

    call: Call
    v_dx: Array | None
    v_dgamma: Array | None
    v_dbeta: Array | None

    def but(self, **changes: Any) -> Use:
        return replace(self, **changes)

    def results(self, examiner: Examiner) -> dict[str, Array]:
        """g_dy, g_x and g_gamma by name."""
        _, cache = examiner.forward(self.call)
        return self.after(examiner, cache)

    def after(self, examiner: Examiner, cache: Any) -> dict[str, Array]:
        """The same from a cache of forward."""
        double_backward = examiner.function("double_backward")
        cotangents = (getattr(self, f"v_d{name}") for name in ("x", *examiner.learnt))
        found = double_backward(*cotangents, self.call.dy, cache)
        examiner.hold(
            isinstance(found, tuple) and len(found) == len(RESULTS),
            f"double_backward returns {type(found).__name__}, not a tuple of three",
        )
        return dict(zip(RESULTS, found, strict=True))


def use_of(examiner: Examiner, *shape: int, dtype: Any = np.float32) -> Use:
    examiner.function("double_backward")
    call = examiner.call(*shape, dtype=dtype)
    return Use(call, call.x_dot, call.gamma_dot, call.beta_dot)


def double_backward_values(examiner: Examiner) -> None:
    """double_backward is right for every shape, axis and dtype; results have x's dtype"""
    # Not m = 2: there x̂ is ±1 but for eps, and g_x all but zero.
    for shape in ((8, 3), (5, 4), (4, 3, 2), (2, 3, 2, 2)):
        for dtype in (np.float16, np.float32, np.float64):
            use = use_of(examiner, *shape, dtype=dtype)
            for axis in (1, -1, 0):
                _exact(examiner, use, axis, f"{np.dtype(dtype)} x {shape}, axis {axis}")


def double_backward_hard_batches(examiner: Examiner) -> None:
    """double_backward keeps its digits where the mean is large beside the spread"""
    for mean, std in ((1e4, 1e-2), (1e6, 1.0), (0.0, 1e15), (0.0, 1e-15), (1e10, 1e3)):
        use = use_of(examiner, 64, 3)
        x = (mean + std * examiner.rng.normal(size=(64, 3))).astype(np.float32)
        dy = (use.call.dy + 100).astype(np.float32)
        _exact(examiner, use.but(call=use.call.but(x=x, dy=dy)), 1, f"mean {mean:g} std {std:g}")


def _exact(examiner: Examiner, use: Use, axis: int, what: str) -> None:
    moved = {name: np.moveaxis(getattr(use.call, name), 1, axis) for name in ("x", "dy")}
    assert use.v_dx is not None
    there = use.but(call=use.call.but(axis=axis, **moved), v_dx=np.moveaxis(use.v_dx, 1, axis))
    found = there.results(examiner)
    dtype = use.call.x.dtype
    precision = PRECISIONS[dtype.name]
    for name, worst in _deviations(examiner, use, found, axis, what).items():
        error = scaled_error(worst, precision)
        examiner.measured(error, precision.limit, precision.unit, f"{what}: {name}")


def _deviations(
    examiner: Examiner, use: Use, found: dict[str, Array], axis: int, what: str
) -> dict[str, Deviation]:
    """The worst of each result over all channels."""
    call = use.call
    worst = {name: Deviation(Fraction(0), Fraction(0), 0) for name in RESULTS}
    shapes = {
        **dict.fromkeys(RESULTS, np.moveaxis(call.x, 1, axis).shape),
        "g_gamma": call.x.shape[1:2],
    }
    for name, array in found.items():
        examiner.like(array, shapes[name], call.x.dtype, f"{what}: {name}")
    for c in range(call.x.shape[1]):
        for name, exact in zip(RESULTS, _channel(use, c), strict=True):
            array = found[name]
            column = np.moveaxis(array, axis, 0)[c] if array.ndim > 1 else array[c]
            worst[name] = worst[name].merge(deviation(column, exact))
    return worst


def _channel(use: Use, c: int) -> tuple[Affine | Fraction, ...]:
    call = use.call
    assert use.v_dx is not None
    x, dy, v_dx = (np.asarray(a[:, c]).ravel() for a in (call.x, call.dy, use.v_dx))
    gamma, v_dgamma, v_dbeta = (
        default if vector is None else float(vector[c])
        for vector, default in ((call.gamma, 1.0), (use.v_dgamma, 0.0), (use.v_dbeta, 0.0))
    )
    channel = Channel.of(x, gamma, 0.0, float(call.eps))
    return channel.double_backward(dy, v_dx, v_dgamma, v_dbeta)


def double_backward_absent(examiner: Examiner) -> None:
    """None in the place of v_dx, v_dgamma, v_dbeta means zero, and of gamma one"""
    use = use_of(examiner, 6, 3)
    for argument in arguments_of(examiner)[3:]:
        zero = use.but(**{argument: np.zeros_like(getattr(use, argument))}).results(examiner)
        absent = use.but(**{argument: None}).results(examiner)
        examiner.same(absent, zero, f"{argument} None")
    ones = use.but(call=use.call.but(gamma=np.ones(3, np.float32))).results(examiner)
    examiner.same(use.but(call=use.call.but(gamma=None)).results(examiner), ones, "gamma None")


def double_backward_refuses(examiner: Examiner) -> None:
    """double_backward refuses other dtypes with TypeError and other shapes with ValueError"""
    use = use_of(examiner, 4, 3)
    full, vectors = ((4, 1), (3,), (), (3, 4), (5, 3)), ((1,), (4,), (), (1, 3))
    for argument in ("dy", *arguments_of(examiner)[3:]):
        shapes = full if argument in ("dy", "v_dx") else vectors
        good = use.call.dy if argument == "dy" else getattr(use, argument)
        for dtype in OTHER_DTYPES:
            name = np.dtype(dtype).name
            bad = with_argument(use, argument, np.ones(good.shape, dtype))
            what = f"double_backward: {argument} of dtype {name}"
            examiner.refuses(TypeError, what, bad.results, examiner, mentions=(name,))
        for shape in shapes:
            bad = with_argument(use, argument, np.ones(shape, np.float32))
            what = f"double_backward: {argument} of shape {shape}"
            examiner.refuses(ValueError, what, bad.results, examiner, mentions=(shape,))


def with_argument(use: Use, argument: str, array: Array) -> Use:
    if argument in ("x", "dy", "gamma"):
        return use.but(call=use.call.but(**{argument: array}))
    return use.but(**{argument: array})


def arguments_of(examiner: Examiner) -> tuple[str, ...]:
    """The arrays that forward and double_backward take, but for beta."""
    return ("x", "dy", "gamma", *(f"v_d{name}" for name in ("x", *examiner.learnt)))


def argument_of(use: Use, argument: str) -> Array:
    array: Array = getattr(use.call if argument in ("x", "dy", "gamma") else use, argument)
    return array


def double_backward_layouts(examiner: Examiner) -> None:
    """double_backward takes any strides and byte order, and read-only arrays; it writes to none"""
    layouts: dict[str, Callable[[Array], Array]] = {**LAYOUTS, "read-only": _locked}
    for dtype in (np.float16, np.float32, np.float64):
        use = use_of(examiner, 6, 4, dtype=dtype)
        expected = use.results(examiner)
        for what, lay in layouts.items():
            laid, laid_out = use, arguments_of(examiner)
            for argument in arguments_of(examiner):
                laid = with_argument(laid, argument, lay(argument_of(use, argument)))
            before = {argument: argument_of(laid, argument).tobytes() for argument in laid_out}
            examiner.same(laid.results(examiner), expected, f"{what}, {np.dtype(dtype)}")
            for argument, content in before.items():
                same = argument_of(laid, argument).tobytes() == content
                examiner.hold(same, f"double_backward writes to {argument} ({what})")


def _locked(array: Array) -> Array:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def double_backward_small(examiner: Examiner) -> None:
    """no elements give zero g_gamma; one element gives g_dy = v_dbeta, and zero for the others"""
    for shape in ((0, 3), (0, 3, 2), (4, 0), (0, 0)):
        use = use_of(examiner, *shape)
        found = use.results(examiner)
        for name in ("g_dy", "g_x"):
            examiner.like(found[name], shape, np.float32, f"x {shape}: {name}")
        due = np.zeros(shape[1:2], np.float32)
        examiner.close(found["g_gamma"], due, f"x {shape}: g_gamma")
    for shape in ((1, 3), (1, 3, 1)):
        use = use_of(examiner, *shape)
        found = use.results(examiner)
        assert use.v_dbeta is not None
        expected = {
            "g_dy": np.broadcast_to(use.v_dbeta.reshape(3, *(1,) * (len(shape) - 2)), shape),
            "g_x": np.zeros(shape, np.float32),
            "g_gamma": np.zeros(3, np.float32),
        }
        examiner.same(found, expected, f"x {shape}")


REACHED = {
    "x": RESULTS,
    "dy": ("g_x", "g_gamma"),
    "v_dx": RESULTS,
    "gamma": ("g_dy", "g_x"),
    "v_dgamma": ("g_dy", "g_x"),
    "v_dbeta": ("g_dy",),
}


def double_backward_not_finite(examiner: Examiner) -> None:
    """NaN and infinity stay in their channel of the double backward, and are not hidden"""
    use = use_of(examiner, 8, 3)
    expected = use.results(examiner)
    for bad in _spoilt(use):
        found = bad.use.results(examiner)
        for name, array in expected.items():
            axis = 1 if array.ndim > 1 else 0
            others, due = (np.delete(side, 1, axis) for side in (found[name], array))
            examiner.close(others, due, f"{bad.what}: {name} of the other channels")
        for name in REACHED[bad.argument]:
            channel = found[name][:, 1] if found[name].ndim > 1 else found[name][1]
            finite = np.isfinite(channel).all()
            examiner.hold(not finite, f"{bad.what}: {name} is finite, which hides it")


@dataclass(frozen=True)
class _Spoilt:
    what: str
    argument: str
    use: Use


def _spoilt(use: Use) -> Iterator[_Spoilt]:
    for argument in REACHED:
        for value in (np.nan, np.inf, -np.inf):
            array = argument_of(use, argument).copy()
            array[(0, 1) if array.ndim > 1 else 1] = value
            yield _Spoilt(f"{value} in {argument}", argument, with_argument(use, argument, array))


def double_backward_no_warning(examiner: Examiner) -> None:
    """no warning escapes from double_backward, even where NumPy is told to raise"""
    for dtype in (np.float16, np.float32, np.float64):
        largest, least = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
        for shape in ((0, 3), (1, 3), (4, 3)):
            use = use_of(examiner, *shape, dtype=dtype)
            for argument in arguments_of(examiner):
                for value in (np.nan, np.inf, largest, -largest, least, 0.0):
                    bad = with_argument(
                        use, argument, np.full_like(argument_of(use, argument), value)
                    )
                    _silent(examiner, bad, f"{value} in {argument}, x {shape}")


def _silent(examiner: Examiner, use: Use, what: str) -> None:
    _, cache = examiner.forward(use.call)
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        try:
            use.after(examiner, cache)
        except (Warning, FloatingPointError) as error:
            raise ViolationError(f"{what}: {type(error).__name__}: {error}") from error


SECOND_ORDER_CLAUSES = (
    double_backward_values,
    double_backward_hard_batches,
    double_backward_absent,
    double_backward_refuses,
    double_backward_layouts,
    double_backward_small,
    double_backward_not_finite,
    double_backward_no_warning,
)

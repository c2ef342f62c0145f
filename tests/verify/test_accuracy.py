"""The accuracy table: references are exact, the kernel is accurate, inaccurate ones are seen."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Any, NamedTuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from generated.numpy_kernels import batch_norm
from verify import accuracy
from verify.accuracy_cases import CASES, LISTED, Array, Case
from verify.exact_batch_norm import (
    Affine,
    Channel,
    deviation,
    integers,
    inverse_root,
    power_of_two,
)
from verify.report import Result, failures

# --- The references -------------------------------------------------------------------------------


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=1, max_size=8))
def test_integers_are_exact(values: list[float]) -> None:
    numbers, exponent = integers(np.array(values))
    unit = power_of_two(exponent)
    assert [int(number) * unit for number in numbers] == [Fraction(value) for value in values]


@given(st.fractions(min_value=Fraction(1, 10**30), max_value=10**30), st.integers(-900, 900))
def test_inverse_root_is_right_to_250_bits(base: Fraction, exponent: int) -> None:
    q = base * power_of_two(exponent)
    assert abs(inverse_root(q) ** 2 * q - 1) < power_of_two(-250)


def test_inverse_root_refuses_what_has_none() -> None:
    with pytest.raises(ValueError, match="needs var"):
        inverse_root(Fraction(0))


def test_channel_against_the_definition_in_fractions() -> None:
    """The textbook formulas, with ε chosen so that √(σ²+ε) = 2 is rational."""
    x, g, x_dot = (
        [Fraction(value) for value in values]
        for values in ((3.0, -1.0, 0.5, 7.25), (1.0, -2.0, 0.25, 3.0), (0.5, 1.0, -1.0, 2.0))
    )
    zero, m, gamma, beta = Fraction(0), 4, Fraction(3, 2), Fraction(-5, 4)
    mean = sum(x, zero) / m
    var = sum(((value - mean) ** 2 for value in x), zero) / m
    eps = float(4 - var)
    assert Fraction(eps) == 4 - var
    x_hat = [(value - mean) / 2 for value in x]
    sum_g = sum(g, zero)
    sum_gx = sum((a * h for a, h in zip(g, x_hat, strict=True)), zero)
    dx = [gamma / (2 * m) * (m * a - sum_g - h * sum_gx) for a, h in zip(g, x_hat, strict=True)]
    jacobian = [
        [gamma / (2 * m) * (m * (i == j) - 1 - x_hat[i] * x_hat[j]) for j in range(m)]
        for i in range(m)
    ]
    moved = [sum((a * b for a, b in zip(row, x_dot, strict=True)), zero) for row in jacobian]
    y_dot = [a + 5 * h + 7 for a, h in zip(moved, x_hat, strict=True)]

    channel = Channel.of(np.array(x, float), float(gamma), float(beta), eps)
    found_dx, dgamma, dbeta = channel.backward(np.array(g, float))

    def exact(value: Affine) -> list[Fraction]:
        numbers, denominator = value.exact(np.arange(m))
        return [Fraction(int(number), denominator) for number in numbers]

    def near(found: list[Fraction], expected: list[Fraction]) -> bool:
        pairs = zip(found, expected, strict=True)
        return all(abs(one - other) < power_of_two(-240) for one, other in pairs)

    assert near(exact(channel.y()), [gamma * h + beta for h in x_hat])
    assert near(exact(found_dx), dx)
    assert near([dgamma, dbeta], [sum_gx, sum_g])
    assert near(exact(channel.jvp(np.array(x_dot, float), 5.0, 7.0)), y_dot)


def test_deviation_measures_what_was_added() -> None:
    channel = Channel.of(np.array([1.0, 2.0, 4.0]), 1.0, 0.0, 1e-5)
    found = deviation(np.zeros(3), channel.y())
    assert found.error == found.magnitude  # a result of zero is off by all of it
    assert not deviation(np.array([0.0, np.nan, 0.0]), channel.y()).finite


@pytest.mark.parametrize(
    ("dtype", "magnitude", "unit"),
    [
        ("float32", Fraction(3), 3 * power_of_two(-24)),
        ("float16", Fraction(3), Fraction(float(np.spacing(np.float16(3))))),
        ("float16", Fraction(1024), Fraction(float(np.spacing(np.float16(1024))))),
        ("float16", Fraction(1, 10**9), power_of_two(-24)),  # the smallest subnormal
        ("float64", Fraction(1), power_of_two(-53)),
    ],
)
def test_units(dtype: str, magnitude: Fraction, unit: Fraction) -> None:
    assert accuracy.PRECISIONS[dtype].unit_at(magnitude) == unit


# --- The table ------------------------------------------------------------------------------------


def test_names_are_unique_and_batches_as_described() -> None:
    assert len({(case.dtype, case.name) for case in CASES}) == len(CASES)
    for case in CASES:
        if case.quick:
            x, gamma, beta, dy = case.make(np.random.default_rng(0))
            assert x.dtype == dy.dtype == np.dtype(case.dtype)
            assert x.shape == dy.shape
            assert gamma.shape == beta.shape == x.shape[1:2]


def test_the_kernel_is_accurate() -> None:
    results = accuracy.run(batch_norm)
    assert not failures(results)
    assert {result.name for result in results} >= {f"{case.dtype}: {case.name}" for case in LISTED}
    assert all(result.cases > 0 for result in results)
    # The limit for float64 grows with |mean|/std; this kernel needs none of that.
    assert all((r.worst or 0) <= 16 for r in results if r.name.startswith("float64"))


def test_same_seed_same_numbers() -> None:
    chosen = CASES[:3]
    assert accuracy.run(batch_norm, cases=chosen) == accuracy.run(batch_norm, cases=chosen)
    alone = accuracy.run(batch_norm, cases=chosen[2:])
    assert accuracy.run(batch_norm, cases=chosen)[-len(alone) :] == alone


# --- Kernels that are not accurate ----------------------------------------------------------------


class Cache(NamedTuple):
    x_hat: Array
    inv_std: Array
    gamma: Array


@dataclass(frozen=True)
class Textbook:
    """The textbook's formulas with everything in one dtype, and damages to choose from."""

    dtype: Any = np.float64
    expanded: bool = False  # E[x²] − μ²
    eps_outside: bool = False
    unbiased: bool = False
    keeps_mean_term: bool = True
    keeps_variance_term: bool = True
    staged_sign: float = 1.0
    rounds: bool = True  # the result to x's dtype

    def forward(self, x: Array, gamma: Array, beta: Array, *, eps: float) -> tuple[Array, Cache]:
        wide = x.astype(self.dtype)
        over = tuple(axis for axis in range(x.ndim) if axis != 1)
        mean = wide.mean(axis=over, keepdims=True)
        d = wide - mean
        var = (d * d).mean(axis=over, keepdims=True)
        if self.expanded:
            var = (wide * wide).mean(axis=over, keepdims=True) - mean * mean
        if self.unbiased:
            m = x.size // x.shape[1]
            var = var * self.dtype(m / (m - 1))
        root = (
            np.sqrt(var) + self.dtype(eps) if self.eps_outside else np.sqrt(var + self.dtype(eps))
        )
        shape = var.shape
        cache = Cache(d / root, 1 / root, gamma.astype(self.dtype).reshape(shape))
        return self._round(
            cache.gamma * cache.x_hat + beta.astype(self.dtype).reshape(shape), x
        ), cache

    def backward(self, dy: Array, cache: Cache) -> tuple[Array, Array, Array]:
        g = dy.astype(self.dtype)
        over = tuple(axis for axis in range(dy.ndim) if axis != 1)
        dgamma = (g * cache.x_hat).sum(axis=over)
        dx = cache.gamma * cache.inv_std * self._project(g, cache)
        return self._round(dx, dy), self._round(dgamma, dy), self._round(g.sum(axis=over), dy)

    def backward_staged(self, dy: Array, cache: Cache) -> tuple[Array, Array, Array]:
        dx, dgamma, dbeta = self.backward(dy, cache)
        return dx * dx.dtype.type(self.staged_sign), dgamma, dbeta

    def jvp(self, x_dot: Array, gamma_dot: Array, beta_dot: Array, cache: Cache) -> Array:
        shape = cache.gamma.shape
        moved = cache.gamma * cache.inv_std * self._project(x_dot.astype(self.dtype), cache)
        moved = moved + gamma_dot.astype(self.dtype).reshape(shape) * cache.x_hat
        return self._round(moved + beta_dot.astype(self.dtype).reshape(shape), x_dot)

    def jacobian(self, cache: Cache, channel: int = 0) -> Array:
        raise NotImplementedError

    def _project(self, v: Array, cache: Cache) -> Array:
        over = tuple(axis for axis in range(v.ndim) if axis != 1)
        projected = v
        if self.keeps_mean_term:
            projected = projected - v.mean(axis=over, keepdims=True)
        if self.keeps_variance_term:
            slope = (v * cache.x_hat).mean(axis=over, keepdims=True)
            projected = projected - cache.x_hat * slope
        return projected

    def _round(self, value: Array, like: Array) -> Array:
        return value.astype(like.dtype) if self.rounds else value


GOOD = Textbook()
WELL = "float32: well-conditioned"


def _failed(kernel: Any, *, cases: tuple[Case, ...] = CASES) -> dict[str, set[str]]:
    """Results that failed, by case."""
    found: dict[str, set[str]] = {}
    for result in failures(accuracy.run(kernel, cases=cases, quick=True)):
        found.setdefault(result.name, set()).add(result.detail)
    return found


def test_textbook_in_float64_passes() -> None:
    """A plain two-pass kernel in float64 is good enough, so the limits ask for nothing exotic: but
    for equal float64 numbers, whose mean as it takes it is not one of them."""
    assert _failed(GOOD).keys() <= {"float64: constant columns"}


def test_textbook_in_float32_fails_where_it_should() -> None:
    failed = _failed(Textbook(dtype=np.float32))
    for name in ("mean 1e4 std 1e-2", "mean 1e6 std 1", "scaled 1e30", "blood panel"):
        assert "y" in failed[f"float32: {name}"]


def test_textbook_in_float16_fails() -> None:
    failed = _failed(Textbook(dtype=np.float16))
    assert {"float16: std 300", "float16: mean 5 std 0.1"} <= failed.keys()


@pytest.mark.parametrize(
    ("kernel", "case", "results"),
    [
        (Textbook(expanded=True), "float32: mean 1e6 std 1", {"y", "dx", "dgamma", "y_dot"}),
        (Textbook(expanded=True), "float32: mean 1e4 std 1e-2 NCHW", {"y", "dx"}),
        (Textbook(expanded=True), "float64: mean 1e8 std 1", {"y", "dx"}),
        (Textbook(eps_outside=True), WELL, {"y", "dx"}),
        (Textbook(unbiased=True), WELL, {"y", "dx", "dgamma"}),
        (Textbook(keeps_mean_term=False), WELL, {"dx", "y_dot"}),
        (Textbook(keeps_variance_term=False), WELL, {"dx", "y_dot"}),
        (Textbook(keeps_variance_term=False), "float64: well-conditioned", {"dx", "y_dot"}),
    ],
)
def test_damaged_kernels_fail(kernel: Textbook, case: str, results: set[str]) -> None:
    assert results <= _failed(kernel)[case]


def test_each_form_answers_for_itself() -> None:
    failed = _failed(Textbook(staged_sign=-1.0))
    assert failed[WELL] == {"dx staged"}


def test_the_expanded_variance_passes_easy_data() -> None:
    """What the hard cases are for: on easy data this kernel looks right."""
    assert WELL not in _failed(Textbook(expanded=True))


def test_results_must_be_rounded_to_the_dtype() -> None:
    failed = _failed(Textbook(rounds=False), cases=CASES[:1])
    assert "y: is float64 (256, 5), not float32 (256, 5)" in failed[WELL]


def test_a_zero_array_must_be_exactly_zero() -> None:
    class NearlyZero(Textbook):
        def backward(self, dy: Array, cache: Cache) -> tuple[Array, Array, Array]:
            dx, dgamma, dbeta = super().backward(dy, cache)
            return dx, dgamma + np.float32(1e-30), dbeta

    assert "dgamma" in _failed(NearlyZero())["float32: constant columns"]


def test_small_columns_are_not_hidden_by_the_largest() -> None:
    class WrongSmallColumn(Textbook):
        def backward(self, dy: Array, cache: Cache) -> tuple[Array, Array, Array]:
            dx, dgamma, dbeta = super().backward(dy, cache)
            dx[:, 0] *= np.float32(1.01)  # the red cells, whose dx is the smallest
            return dx, dgamma, dbeta

    blood = next(case for case in CASES if case.name == "blood panel")
    assert "dx" in _failed(WrongSmallColumn(), cases=(blood,))["float32: blood panel"]
    assert not _failed(WrongSmallColumn(), cases=(replace(blood, by_channel=False),))


@pytest.mark.parametrize("value", [1.001, np.nan, np.inf])
def test_one_wrong_element_among_many_is_found(value: float) -> None:
    class OneWrong(Textbook):
        def forward(self, x: Array, *rest: Any, **options: Any) -> tuple[Array, Cache]:
            y, cache = super().forward(x, *rest, **options)
            y[12_345, 1] *= np.float32(value)
            return y, cache

    def make(rng: np.random.Generator) -> Any:
        batch = CASES[0].make(rng)
        x, dy = (rng.normal(size=(20_000, 5)).astype(np.float32) for _ in range(2))
        return batch._replace(x=x, dy=dy)

    long = Case("long", make, "float32", "sampled")
    assert _failed(OneWrong(), cases=(long,)) == {"float32: long": {"y"}}
    assert not _failed(GOOD, cases=(long,))


def test_a_kernel_that_raises_fails_without_stopping_the_run() -> None:
    class Raises(Textbook):
        def jvp(self, *arguments: Any) -> Array:
            raise RuntimeError("no such thing")

    failed = _failed(Raises(), cases=CASES[:2])
    assert failed[WELL] == {"y_dot: raised RuntimeError: no such thing"}
    assert len(failed) == 2

    class RaisesAtOnce(Textbook):
        def forward(self, *arguments: Any, **options: Any) -> tuple[Array, Cache]:
            raise MemoryError

    results = accuracy.run(RaisesAtOnce(), cases=CASES[:1])
    assert {result.detail for result in results} == {
        f"{name}: forward raised MemoryError: " for name in accuracy.RESULTS[:8]
    }
    assert {result.status for result in results} == {"FAIL"}


def test_a_skipped_check_is_never_a_pass() -> None:
    with pytest.raises(ValueError, match="cannot have passed"):
        Result("contract", "name", "", 0, None, None, ok=True, skipped="no library")

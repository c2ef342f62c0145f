"""What holds for the generated kernel on every batch, with batches that hypothesis draws.

Each channel is drawn by a recipe of its own, so that huge and tiny, constant and spread columns
stand side by side.  Results are compared channel by channel with :mod:`verify.exact_batch_norm`,
within the contract's 8u (float32), 2 ulp (float16) or 64κu (float64), and *one allowance*: what
cancels in the closed form was computed in float64, so an error of 64·2⁻⁵³ (in float64 κ times that)
of the largest term is allowed.  It matters where dx is nearly zero by itself: for m = 2 and ε = 0
the projection has nothing left, whatever dy is.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from generated.numpy_kernels import batch_norm as kernel
from tests.verify import bad_kernels
from tests.verify.good_kernel import GOOD
from verify.accuracy import PRECISIONS
from verify.accuracy_cases import Array, columns
from verify.contract_arrays import LAYOUTS
from verify.exact_batch_norm import Affine, Channel, deviation, power_of_two

DTYPES = (np.float16, np.float32, np.float64)
# Powers of ten between which data stay finite; in float64 squares must, in the others need not.
RANGES = {"float16": (-7, 3), "float32": (-44, 37), "float64": (-120, 120)}
WIDE_UNIT = power_of_two(-53)


def for_all(*strategies: Any) -> Callable[[Callable[..., None]], Any]:
    """Try a property on many batches; its attribute ``once`` stops at the first that fails."""

    def decorate(holds: Callable[..., None]) -> Any:
        tried: Any = given(*strategies)
        thorough: Any = settings(deadline=None)(tried(holds))
        first = settings(
            deadline=None, phases=[Phase.generate], database=None, report_multiple_bugs=False
        )
        thorough.once = first(tried(holds))
        return thorough

    return decorate


@dataclass(frozen=True)
class Batch:
    """Arguments with the channels on ``axis``, of m elements each."""

    x: Array
    gamma: Array
    beta: Array
    dy: Array
    axis: int
    eps: float
    m: int

    def forward(self, **changes: Any) -> tuple[Array, Any]:
        given = {"eps": self.eps, "axis": self.axis, **changes}
        return kernel.forward(given.pop("x", self.x), self.gamma, self.beta, **given)

    def lined_up(self, array: Array) -> list[Array]:
        """One vector per channel of an array of x's shape."""
        return columns(np.moveaxis(array, self.axis, 1))


@st.composite
def channels(draw: st.DrawFn, rows: int, dtype: str, rng: np.random.Generator) -> Array:
    """One column: constant, two-valued, spread about a level, or with an outlier."""
    low, high = RANGES[dtype]
    powers = st.integers(low, high)
    level, spread = (10.0 ** draw(powers) * draw(st.sampled_from((0, 1, -1))) for _ in range(2))
    kind = draw(st.sampled_from(("spread", "constant", "two values", "outlier")))
    noises: dict[str, Array] = {
        "spread": rng.normal(size=rows),
        "constant": np.zeros(rows),
        "two values": rng.choice([-1.0, 1.0], rows),
        "outlier": np.arange(rows) == rows // 2,
    }
    column: Array = level + spread * noises[kind]
    return column


@st.composite
def batches(
    draw: st.DrawFn, dtypes: tuple[Any, ...] = DTYPES, smallest: int = 0, gentle: bool = False
) -> Batch:
    """Any shape down to ``smallest``, any axis; ``gentle`` keeps the values near 1."""
    dtype = np.dtype(draw(st.sampled_from(dtypes)))
    sizes = st.integers(smallest, 5)
    reduced, size = draw(st.lists(sizes, min_size=1, max_size=3)), draw(sizes)
    axis, rows = draw(st.integers(-len(reduced) - 1, len(reduced))), math.prod(reduced)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    if gentle:
        table = rng.normal(draw(st.integers(-3, 3)), 1.0, (rows, size))
    else:
        drawn = [draw(channels(rows, dtype.name, rng)) for _ in range(size)]
        table = np.array(drawn).reshape(size, rows).T
    limit = float(np.finfo(dtype).max) / 4
    x = np.moveaxis(table.reshape([*reduced, size]), -1, axis).clip(-limit, limit)
    gamma, beta = rng.uniform(-2, 2, size), rng.normal(size=size)
    dy = rng.normal(draw(st.sampled_from((0, 100))), 1.0, x.shape)
    eps = draw(st.sampled_from((1e-5, 1e-3, 1.0)))
    x, gamma, beta, dy = (np.ascontiguousarray(a).astype(dtype) for a in (x, gamma, beta, dy))
    return Batch(x, gamma, beta, dy, axis, eps, rows)


# --- Values ---------------------------------------------------------------------------------------


def close(given: Array, exact: Affine | Fraction, largest: Fraction, condition: float) -> bool:
    """The contract's accuracy, and the allowance for terms of size ``largest``."""
    precision = PRECISIONS[given.dtype.name]
    factor = Fraction(condition) if given.dtype == np.float64 else Fraction(1)
    found = deviation(given, exact)
    allowed = Fraction(precision.limit) * precision.unit_at(found.magnitude)
    return found.finite and found.error <= factor * (allowed + 64 * WIDE_UNIT * largest)


def largest_of(array: Array) -> Fraction:
    return Fraction(float(np.abs(array.astype(np.float64)).max()))


@for_all(batches(smallest=1))
def test_values_are_exact_within_the_limit(batch: Batch) -> None:
    y, cache = batch.forward()
    dx, dgamma, dbeta = kernel.backward(batch.dy, cache)
    y_dot = kernel.jvp(batch.dy, batch.beta, batch.gamma, cache)
    every = zip(*map(batch.lined_up, (batch.x, batch.dy, y, dx, y_dot)), strict=True)
    for k, (x, g, y_k, dx_k, y_dot_k) in enumerate(every):
        gamma, beta = float(batch.gamma[k]), float(batch.beta[k])
        channel = Channel.of(x, gamma, beta, batch.eps)
        due_dx, due_dgamma, due_dbeta = channel.backward(g)
        moved = abs(channel.gamma) * channel.inv_std * largest_of(g)
        total = batch.m * largest_of(g)
        kappa = channel.condition
        assert close(y_k, channel.y(), abs(channel.beta), kappa)
        assert close(dx_k, due_dx, moved, kappa)
        assert close(dgamma[k : k + 1], due_dgamma, total, kappa)
        assert close(dbeta[k : k + 1], due_dbeta, total, kappa)
        turned = abs(channel.beta) * batch.m + abs(channel.gamma)
        assert close(y_dot_k, channel.jvp(g, beta, gamma), moved + turned, kappa)


@for_all(batches())
def test_shapes_and_dtypes(batch: Batch) -> None:
    """Sizes of 0 and 1 too; one element a channel is its own mean."""
    y, cache = batch.forward()
    dx, dgamma, dbeta = kernel.backward(batch.dy, cache)
    size = (batch.x.shape[batch.axis],)
    for array, shape in ((y, batch.x.shape), (dx, batch.x.shape), (dgamma, size), (dbeta, size)):
        assert (array.shape, array.dtype) == (shape, batch.x.dtype)
        assert np.isfinite(array).all()
    if size[0] and batch.m == 0:
        assert not dgamma.any()
        assert not dbeta.any()
    if size[0] and batch.m == 1:
        assert np.array_equal(y.ravel(), batch.beta)
        assert not dx.any()


# --- Symmetries -----------------------------------------------------------------------------------


def agree(given: Array, due: Array, terms: float) -> bool:
    """Equal up to the order of sums, of terms that add up to about ``terms`` in float64, and in
    float32 up to the 8u that each may be off by."""
    if not due.size:
        return given.shape == due.shape
    one, other = given.astype(np.float64), due.astype(np.float64)
    rounded = 16 * 2.0 ** -PRECISIONS[due.dtype.name].bits * abs(other).max()
    return bool(abs(one - other).max() <= rounded + 64 * 2.0**-53 * terms)


@for_all(batches(smallest=1, gentle=True), st.data())
def test_permuting_the_batch_permutes_the_results(batch: Batch, data: st.DataObject) -> None:
    along = data.draw(
        st.sampled_from([k for k in range(batch.x.ndim) if k != batch.axis % batch.x.ndim])
    )
    order = data.draw(st.permutations(range(batch.x.shape[along])))
    y, cache = batch.forward()
    dx, *sums = kernel.backward(batch.dy, cache)
    moved_y, moved_cache = batch.forward(x=np.take(batch.x, order, along))
    moved_dx, *moved_sums = kernel.backward(np.take(batch.dy, order, along), moved_cache)
    assert agree(moved_y, np.take(y, order, along), 10)
    assert agree(moved_dx, np.take(dx, order, along), 1e5)
    for one, other in zip(moved_sums, sums, strict=True):
        assert agree(one, other, 1e5)


@for_all(batches((np.float32, np.float64), gentle=True), st.integers(-20, 20))
def test_powers_of_two_scale_exactly(batch: Batch, power: int) -> None:
    """x → 2ᵏx with ε → 4ᵏε leaves y and dγ as they are, and divides dx by 2ᵏ: to the last bit."""
    factor = batch.x.dtype.type(2.0**power)
    y, cache = batch.forward()
    dx, dgamma, dbeta = kernel.backward(batch.dy, cache)
    scaled_y, scaled_cache = batch.forward(x=batch.x * factor, eps=batch.eps * 4.0**power)
    scaled_dx, *scaled_sums = kernel.backward(batch.dy, scaled_cache)
    same = (y, dx, dgamma, dbeta)
    for one, other in zip((scaled_y, scaled_dx * factor, *scaled_sums), same, strict=True):
        assert np.array_equal(one, other)
    twice = kernel.backward(batch.dy * 2, cache)
    for one, other in zip(twice, (dx, dgamma, dbeta), strict=True):
        assert np.array_equal(one, other * 2)


@for_all(batches((np.float16, np.float32), smallest=1))
def test_given_statistics_of_the_batch_itself(batch: Batch) -> None:
    """infer with the batch's own statistics is forward, and running_update with momentum 1 is where
    they come from."""
    zeros = np.zeros(batch.x.shape[batch.axis])
    y, cache = batch.forward()
    mean, var = kernel.running_update(zeros, zeros, cache, momentum=1, unbiased=False)
    arguments = batch.x, batch.gamma, batch.beta, mean, var
    inferred = kernel.infer(*arguments, eps=batch.eps, axis=batch.axis)
    for one, other in zip(batch.lined_up(inferred), batch.lined_up(y), strict=True):
        assert agree(one, other, float(abs(other.astype(np.float64)).max()))


# --- The same bytes -------------------------------------------------------------------------------


@for_all(batches())
def test_out_gives_the_same_bytes(batch: Batch) -> None:
    y, cache = batch.forward()
    gradients = kernel.backward(batch.dy, cache)
    out = np.full_like(y, np.nan)
    assert batch.forward(out=out)[0] is out
    assert out.tobytes() == y.tobytes()
    over = batch.x.copy()
    replaced, kept = batch.forward(x=over, out=over)
    assert replaced.tobytes() == y.tobytes()
    dy = batch.dy.copy()
    outs = (dy, *(np.full_like(one, np.nan) for one in gradients[1:]))
    for one, other in zip(kernel.backward(dy, kept, out=outs), gradients, strict=True):
        assert one.tobytes() == other.tobytes()


@for_all(batches())
def test_backward_twice_gives_the_same_bytes(batch: Batch) -> None:
    _, cache = batch.forward()
    first = kernel.backward(batch.dy, cache)
    kernel.jvp(batch.dy, None, None, cache)
    for one, other in zip(kernel.backward(batch.dy, cache), first, strict=True):
        assert one.tobytes() == other.tobytes()


@for_all(batches(gentle=True), st.sampled_from(sorted(LAYOUTS)))
def test_memory_layouts_agree(batch: Batch, layout: str) -> None:
    y, cache = batch.forward()
    dx, *_ = kernel.backward(batch.dy, cache)
    laid = batch.forward(x=LAYOUTS[layout](batch.x))
    assert agree(laid[0], y, 10)
    assert agree(kernel.backward(LAYOUTS[layout](batch.dy), laid[1])[0], dx, 1e5)


@for_all(batches(gentle=True))
def test_images_are_long_batches(batch: Batch) -> None:
    """(N, H, W, C) and its (m, C) give the same results, up to their rounding."""
    last = np.ascontiguousarray(np.moveaxis(batch.x, batch.axis, -1))
    dy = np.ascontiguousarray(np.moveaxis(batch.dy, batch.axis, -1))
    flat = (-1, last.shape[-1]) if last.size else (batch.m, last.shape[-1])
    y, cache = batch.forward(x=last, axis=-1)
    flat_y, flat_cache = batch.forward(x=last.reshape(flat), axis=1)
    assert agree(flat_y.reshape(y.shape), y, 10)
    flat_results = kernel.backward(dy.reshape(flat), flat_cache)
    for one, other in zip(flat_results, kernel.backward(dy, cache), strict=True):
        assert agree(one.reshape(other.shape), other, 1e5)


# --- Each property is seen to fail ----------------------------------------------------------------


def first_element_matters(x: Array, *rest: Any, **options: Any) -> Any:
    y, cache = GOOD.forward(x, *rest, **options)
    y.flat[:1] += 1
    return y, cache


def images_are_shifted(x: Array, *rest: Any, **options: Any) -> Any:
    y, cache = GOOD.forward(x, *rest, **options)
    return y + y.dtype.type(x.ndim > 2), cache


def beta_is_forgotten(x: Array, gamma: Any, beta: Array, *rest: Any, **options: Any) -> Array:
    return GOOD.infer(x, gamma, beta * 0, *rest, **options)


@pytest.mark.parametrize(
    ("holds", "function", "damaged"),
    [
        (test_values_are_exact_within_the_limit, "backward", bad_kernels.gamma_gradient_forgotten),
        (test_shapes_and_dtypes, "forward", bad_kernels.undefined_for_one_row),
        (test_permuting_the_batch_permutes_the_results, "forward", first_element_matters),
        (test_powers_of_two_scale_exactly, "forward", bad_kernels.eps_clipped),
        (test_given_statistics_of_the_batch_itself, "infer", beta_is_forgotten),
        (test_out_gives_the_same_bytes, "forward", bad_kernels.out_ignored),
        (test_backward_twice_gives_the_same_bytes, "backward", bad_kernels.backward_that_remembers),
        (test_memory_layouts_agree, "forward", bad_kernels.memory_order_taken_for_index_order),
        (test_images_are_long_batches, "forward", images_are_shifted),
    ],
)
def test_a_damaged_kernel_breaks_it(
    holds: Any, function: str, damaged: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    changed = SimpleNamespace(**(vars(kernel) | {function: damaged}))
    monkeypatch.setitem(globals(), "kernel", changed)
    with pytest.raises(AssertionError):
        holds.once()

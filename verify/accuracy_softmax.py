"""The contract's accuracy table for softmax: rows that are hard for a reason.

Every result of the kernel (y, dx, ẏ, and g_dy and g_x of the double backward, whose cotangent is ẋ;
dx again from the staged form) is compared with :mod:`verify.precise_softmax`, row by row: each
row's error is in units of its own largest result, and the worst row counts.  Limits are those of
:mod:`verify.accuracy`, with κ = 1 + d in float64, where d is how far the largest x is above the
others.

Where one x is far above the others the results are exp(−d), and the staged form, which subtracts
what is all but equal, has no digit of them left: it is left out there, as its definition asks for
no better.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import numpy as np

from verify.accuracy import Kernel, called, judged, offered
from verify.accuracy_cases import Array, Batch, Case
from verify.precise_softmax import PreciseSoftmax
from verify.report import Result

Draw = Callable[[np.random.Generator], Array]
NONE = np.empty(0)  # softmax learns nothing


def _case(
    name: str,
    dtype: str,
    note: str,
    x: Draw,
    *,
    staged: bool = True,
    quick: bool = True,
    dy: Callable[[Array], Array] = lambda drawn: drawn,
) -> Case:
    def make(rng: np.random.Generator) -> Batch:
        drawn = np.asarray(x(rng), np.float64).astype(dtype)
        return Batch(drawn, NONE, NONE, dy(rng.normal(size=drawn.shape)).astype(dtype))

    return Case(name, make, dtype, note, quick=quick, staged=staged, by_channel=True)


def _normal(*shape: int, mean: float = 0.0, std: float = 1.0) -> Draw:
    return lambda rng: rng.normal(mean, std, shape)


def _above(gap: float, *, m: int = 33) -> Draw:
    """One x of each row so far above the others."""

    def draw(rng: np.random.Generator) -> Array:
        x = rng.normal(size=(6, m))
        x[np.arange(6), rng.integers(m, size=6)] += gap
        return x

    return draw


def _masked(rng: np.random.Generator) -> Array:
    x = rng.normal(0.0, 3.0, (8, 24))
    x[np.triu_indices(8, 1)] = -np.inf
    return x


def _equal(value: float) -> Draw:
    return lambda _: np.full((3, 100), value)


def _outliers(rng: np.random.Generator) -> Array:
    x = rng.normal(size=(4, 20))
    x[0, 3], x[1, 5], x[2, [4, 6]], x[3, 7] = 1e30, -1e30, 1e30, 1e8
    return x


CASES: tuple[Case, ...] = (
    _case("well-conditioned", "float32", "logits of a classifier", _normal(8, 50, std=3.0)),
    _case("mean 1e4 std 1e-2", "float32", "exp(1e4) overflows", _normal(6, 50, mean=1e4, std=1e-2)),
    _case("mean -1e4 std 1", "float32", "exp(-1e4) underflows", _normal(6, 50, mean=-1e4)),
    _case("1e30 among others", "float32", "x less the largest is huge", _outliers, staged=False),
    _case("all equal, 0.1", "float32", "y = 1/m, a sum of equal numbers", _equal(0.1)),
    _case("all equal, 1e30", "float32", "the same far from zero", _equal(1e30)),
    _case("nearly equal", "float32", "differences of 1e-7", _normal(4, 40, std=1e-7)),
    _case("std 30", "float32", "y over many magnitudes", _normal(8, 60, std=30.0), staged=False),
    _case("one 12 above the others", "float32", "dy - sum dy y cancels", _above(12), staged=False),
    _case("one 60 above the others", "float32", "it cancels wholly", _above(60), staged=False),
    _case("masked by -inf", "float32", "attention's causal mask", _masked, staged=False),
    _case("two elements", "float32", "a binary choice", _normal(9, 2, std=2.0)),
    _case("one element", "float32", "y = 1 and dx = 0, exactly", _normal(9, 1, std=100.0)),
    _case("dy of mean 1e4 std 1e-2", "float32", "all but the spread of dy cancels",
          _normal(6, 50), staged=False, dy=lambda dy: 1e4 + 1e-2 * dy),
    _case("an outlier of 1e8 in dy", "float32", "one dy hides the others", _normal(6, 50),
          dy=lambda dy: dy + 1e8 * (np.arange(50) == 7)),
    _case("dy of 1e30", "float32", "products overflow float32", _normal(6, 50),
          dy=lambda dy: 1e30 * dy),
    _case("5,000 elements", "float32", "float64 judges", _normal(3, 5000, std=5.0)),
    _case("a million elements", "float32", "a long sum", _normal(1, 1_000_000, mean=100.0),
          quick=False),
    _case("a million, equal", "float32", "a long sum of equal numbers",
          lambda _: np.full((1, 1_000_000), 7.5), quick=False),
    _case("well-conditioned", "float64", "logits of a classifier", _normal(8, 50, std=3.0)),
    _case("mean 1e4 std 1e-2", "float64", "exp(1e4) overflows", _normal(6, 50, mean=1e4, std=1e-2)),
    _case("std 30", "float64", "y over many magnitudes", _normal(8, 60, std=30.0), staged=False),
    _case("one 40 above the others", "float64", "dy - sum dy y cancels", _above(40), staged=False),
    _case("one 700 above the others", "float64", "exp nearly underflows", _above(700),
          staged=False),
    _case("well-conditioned", "float16", "logits of a classifier", _normal(8, 50, std=3.0)),
    _case("std 300", "float16", "differences overflow exp", _normal(8, 50, std=300.0),
          staged=False),
    _case("70,000 elements", "float16", "1/m is subnormal", _normal(1, 70_000)),
    _case("one 8 above the others", "float16", "dy - sum dy y cancels", _above(8)),
)  # fmt: skip


def run(
    module: Kernel, *, seed: int = 0, cases: tuple[Case, ...] = CASES, quick: bool = False
) -> list[Result]:
    """Hold ``module`` to every case; one result per case and result array, never an exception.

    ``quick`` leaves out the very long rows.
    """
    chosen = [case for case in cases if case.quick or not quick]
    with np.errstate(all="ignore"):
        return [result for case in chosen for result in _run_case(module, case, seed)]


def _run_case(module: Kernel, case: Case, seed: int) -> Iterator[Result]:
    rng = np.random.default_rng([seed, zlib.crc32(f"{case.dtype} {case.name}".encode())])
    batch = case.make(rng)
    x_dot = rng.normal(size=batch.x.shape).astype(case.dtype)
    # References first: a bad kernel may write to its input.
    reference = PreciseSoftmax.of(batch.x, batch.dy, x_dot)
    limit = reference.limit(case.dtype)

    def compare(name: str, array: Array) -> tuple[int, float]:
        return array.size, reference.worst(name, array)

    for name, array in _call(module, case, batch, x_dot).items():
        yield judged(case, name, array, batch.x.shape, limit, partial(compare, name, array))


def _call(module: Kernel, case: Case, batch: Batch, x_dot: Array) -> dict[str, Any]:
    """The kernel's arrays by name; a message in the place of each that could not be had."""
    cache: Any = None

    def forward() -> Any:
        nonlocal cache
        y, cache = module.forward(batch.x)
        return (y,)

    calls: dict[tuple[str, ...], Callable[[], Any]] = {
        ("y",): forward,
        ("dx",): lambda: (module.backward(batch.dy, cache),),
    }
    if jvp := offered(module, "jvp"):
        calls["y_dot",] = lambda: (jvp(x_dot, cache),)
    if twice := offered(module, "double_backward"):
        calls["g_dy", "g_x"] = lambda: twice(x_dot, batch.dy, cache)
    if case.staged and (staged := offered(module, "backward_staged")):
        calls["dx staged",] = lambda: (staged(batch.dy, cache),)
    return called(calls)

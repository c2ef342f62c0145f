"""The contract's accuracy table: what a Batch Norm kernel computes against what is exact.

Every case of :mod:`verify.accuracy_cases` is a batch that is hard for a reason; every result of the
kernel (y, dx, dγ, dβ, ẏ; dx, dγ, dβ again from the staged form; y, dx, dγ, dβ of test mode, with
the batch's own statistics given in float64) is compared with :mod:`verify.exact_batch_norm` and
:mod:`verify.exact_inference`, which round nothing.  The references see the same rounded inputs as
the kernel, and the exact value of ε.  What a module does not offer is left out.

**Scaled error** = max |result − exact| / max |exact| over a result array; where the exact array is
all zero the result must be exactly zero.  max |exact| counts as no less than the smallest normal
number of the dtype, below which the format itself has no relative accuracy.  In the cases marked
``by_channel`` y, dx and ẏ are scaled channel by channel and the worst channel counts, because
otherwise the largest column hides all the others.

**Limits**, by the dtype of x:

- float32: 8u, u = 2⁻²⁴ (kernel-contract).
- float16, bfloat16: 2 ulp (kernel-contract); one ulp is the spacing of the format at max |exact|,
  so that rounding once costs at most half an ulp.
- float64: 64κu, u = 2⁻⁵³, κ = 1 + max |μ|/√(σ²+ε) over the channels, with the batch's and with the
  given statistics.  The contract fixes no limit here, and 64u alone would ask for more than double
  precision inside: rounding x by u moves x̂ by κu, so κu is what a backward stable kernel can
  promise, and 64 leaves room for sums of a hundred terms in any order.  An unstable one, E[x²]−μ²,
  loses κ²u and is far outside.

**Sampling.**  A channel of up to 4,096 elements is compared whole.  Of a longer one 2,000 random
rows are, with the largest exact value, the extremes of the result and the eight elements that
deviate most, as float64 finds them; the sums behind the references are exact over all rows.
"""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial, reduce
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from verify.accuracy_cases import CASES, Array, Batch, Case, Statistics, Tangents, columns
from verify.exact_batch_norm import (
    Affine,
    Channel,
    Choose,
    Deviation,
    Floats,
    deviation,
    power_of_two,
)
from verify.exact_inference import Frozen
from verify.kernel_paths import ways
from verify.report import Result


class Kernel(Protocol):
    """What every module of Batch Norm kernels offers; kernel-contract.md gives the signatures.

    The other functions are optional: see :func:`offered`.
    """

    @property
    def forward(self) -> Callable[..., Any]: ...
    @property
    def backward(self) -> Callable[..., Any]: ...


def offered(module: Kernel, name: str) -> Callable[..., Any] | None:
    """A function of the module, or None where it is not there."""
    found = getattr(module, name, None)
    return found if callable(found) else None


# --- Limits ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Precision:
    """A floating-point format: its precision p, smallest normal exponent, unit and limit."""

    bits: int
    least: int
    unit: str
    limit: float

    def unit_at(self, magnitude: Fraction) -> Fraction:
        """The error that counts as one unit, for results of this size: u·|v|, or one ulp of v."""
        floor = max(magnitude, power_of_two(self.least))
        if self.unit == "u":
            return floor * power_of_two(-self.bits)
        exponent = floor.numerator.bit_length() - floor.denominator.bit_length()
        if power_of_two(exponent) > floor:
            exponent -= 1
        return power_of_two(exponent - self.bits + 1)


PRECISIONS = {
    "float16": Precision(11, -14, "ulp", 2.0),
    "bfloat16": Precision(8, -126, "ulp", 2.0),
    "float32": Precision(24, -126, "u", 8.0),
    "float64": Precision(53, -1022, "u", 64.0),
}


def scaled_error(found: Deviation, precision: Precision) -> float:
    """The error in units of the format; infinite where a result is not finite, or not zero where
    the exact array is."""
    if not found.finite or (found.magnitude == 0 and found.error != 0):
        return math.inf
    try:
        return float(found.error / precision.unit_at(found.magnitude))
    except OverflowError:
        return math.inf


# --- References -----------------------------------------------------------------------------------

ROWS_COMPARED_WHOLE = 4096
ROWS_SAMPLED = 2000

GRADIENTS = ("dx", "dgamma", "dbeta")
STAGED = ("dx staged", "dgamma staged", "dbeta staged")
INFERRED = ("dx infer", "dgamma infer", "dbeta infer")
RESULTS = ("y", *GRADIENTS, "y_dot", *STAGED, "y infer", *INFERRED)


@dataclass(frozen=True)
class Reference:
    """The exact results of one batch, by name and then by channel.

    ``condition`` is κ.
    """

    exact: dict[str, list[Affine | Fraction]]
    condition: float

    @classmethod
    def of(
        cls, batch: Batch, tangents: Tangents, statistics: Statistics, eps: float = 1e-5
    ) -> Reference:
        """For a batch with its channels on axis 1, m ≥ 1 and σ²+ε > 0 everywhere."""
        exact: dict[str, list[Affine | Fraction]] = {name: [] for name in RESULTS}
        condition = 1.0
        per_channel = zip(*map(columns, (*batch, *tangents, *statistics)), strict=True)
        for x, gamma, beta, dy, x_dot, gamma_dot, beta_dot, mean, var in per_channel:
            parameters = float(gamma[0]), float(beta[0])
            channel = Channel.of(x, *parameters, eps)
            frozen = Frozen.of(*parameters, float(mean[0]), float(var[0]), eps)
            gradients = channel.backward(dy)
            y_dot = channel.jvp(x_dot, float(gamma_dot[0]), float(beta_dot[0]))
            values: list[Affine | Fraction] = [channel.y(), *gradients, y_dot, *gradients]
            values += [frozen.y(x), *frozen.backward(dy, x)]
            for name, value in zip(RESULTS, values, strict=True):
                exact[name].append(value)
            condition = max(condition, channel.condition, frozen.condition)
        return cls(exact, condition)

    def limit(self, dtype: str) -> float:
        """The largest scaled error allowed, in the units of the dtype."""
        return PRECISIONS[dtype].limit * (self.condition if dtype == "float64" else 1.0)

    def compare(
        self, name: str, array: Array, rng: np.random.Generator, *, by_channel: bool = False
    ) -> tuple[int, float]:
        """How many elements of a result were compared, and the worst scaled error."""
        precision = PRECISIONS[array.dtype.name]
        given = columns(array)
        choose = sampler(rng) if given[0].size > ROWS_COMPARED_WHOLE else None
        found = [deviation(*pair, choose) for pair in zip(given, self.exact[name], strict=True)]
        if not by_channel or array.ndim == 1:
            found = [reduce(Deviation.merge, found)]
        return sum(one.count for one in found), max(scaled_error(one, precision) for one in found)


def sampler(rng: np.random.Generator) -> Choose:
    def choose(result: Floats, approximate: Floats) -> NDArray[np.intp]:
        deviating = np.argpartition(np.nan_to_num(abs(result - approximate), nan=np.inf), -8)[-8:]
        extremes = [abs(approximate).argmax(), result.argmin(), result.argmax()]
        return np.unique([*rng.integers(result.size, size=ROWS_SAMPLED), *deviating, *extremes])

    return choose


# --- Running --------------------------------------------------------------------------------------


def run(
    module: Kernel, *, seed: int = 0, cases: tuple[Case, ...] = CASES, quick: bool = False
) -> list[Result]:
    """Hold ``module`` to every case; one result per case and result array, never an exception.

    ``quick`` leaves out the two very long batches.
    """
    chosen = [case for case in cases if case.quick or not quick]
    with np.errstate(all="ignore"):
        return [result for case in chosen for result in _run_case(module, case, seed)]


def by_case(results: Iterable[Result]) -> list[Result]:
    """One row for each batch: its worst result decides."""
    rows: dict[str, list[Result]] = {}
    for result in results:
        rows.setdefault(result.name, []).append(result)
    return [_together(group) for group in rows.values()]


def _together(group: list[Result]) -> Result:
    worst = max(group, key=lambda r: (not r.ok, (r.worst or 0.0) / (r.limit or 1.0)))
    return replace(worst, cases=sum(result.cases for result in group))


def _run_case(module: Kernel, case: Case, seed: int) -> Iterator[Result]:
    # The stream depends on the case alone, so that leaving one out changes no other.
    rng = np.random.default_rng([seed, zlib.crc32(f"{case.dtype} {case.name}".encode())])
    batch = case.make(rng)
    tangents, statistics = batch.tangents(rng), batch.statistics()
    # References first: a bad kernel may write to its input.
    reference = Reference.of(batch, tangents, statistics, case.eps)
    given = []
    for way in ways(module, batch.x.size):
        with way:
            given.append(_call(module, case, batch, tangents, statistics))
    limit = reference.limit(case.dtype)
    for name in (name for name in RESULTS if name in given[0]):
        shape = (
            batch.gamma.shape if isinstance(reference.exact[name][0], Fraction) else batch.x.shape
        )
        found = []
        for array in (results[name] for results in given):
            compare = partial(reference.compare, name, array, rng, by_channel=case.by_channel)
            found.append(judged(case, name, array, shape, limit, compare))
        yield _together(found)


def judged(
    case: Case,
    name: str,
    array: Any,
    shape: tuple[int, ...],
    limit: float,
    compare: Callable[[], tuple[int, float]],
) -> Result:
    """One result of a kernel: a message in its place or a misfit fails; else ``compare`` tells how
    many numbers were compared and the worst error."""
    problem = array if isinstance(array, str) else misfit(array, shape, case.dtype)
    count, worst = (0, math.inf) if problem else compare()
    return Result(
        group="accuracy",
        name=f"{case.dtype}: {case.name}",
        detail=f"{name}: {problem}" if problem else name,
        cases=count,
        worst=worst,
        limit=limit,
        ok=worst <= limit,
        unit=PRECISIONS[case.dtype].unit,
    )


def _call(
    module: Kernel, case: Case, batch: Batch, tangents: Tangents, statistics: Statistics
) -> dict[str, Any]:
    """The kernel's arrays by name; a message in the place of each that could not be had."""
    x, gamma, beta, dy = batch
    cache: Any = None

    def forward() -> Any:
        nonlocal cache
        y, cache = module.forward(x, gamma, beta, eps=case.eps)
        return (y,)

    calls: dict[tuple[str, ...], Callable[[], Any]] = {
        ("y",): forward,
        GRADIENTS: lambda: module.backward(dy, cache),
    }
    if jvp := offered(module, "jvp"):
        calls["y_dot",] = lambda: (jvp(*tangents, cache),)
    if case.staged and (staged := offered(module, "backward_staged")):
        calls[STAGED] = lambda: staged(dy, cache)
    if infer := offered(module, "infer"):
        calls["y infer",] = lambda: (infer(x, gamma, beta, *statistics, eps=case.eps),)
    if infer_backward := offered(module, "infer_backward"):
        calls[INFERRED] = lambda: infer_backward(dy, x, gamma, *statistics, eps=case.eps)
    return called(calls)


def called(calls: Mapping[tuple[str, ...], Callable[[], Any]]) -> dict[str, Any]:
    """What each call returned, by the names of its results; forward, which gives y, comes first.

    A message in the place of each result that could not be had.
    """
    found: dict[str, Any] = {}
    for names, call in calls.items():
        try:
            found.update(zip(names, call(), strict=True))
        except Exception as error:  # a kernel under test may raise anything
            message = f"raised {type(error).__name__}: {error}"
            if names == ("y",):  # without a cache there is no more to say
                every = (name for group in calls for name in group)
                return dict.fromkeys(every, f"forward {message}")
            found.update(dict.fromkeys(names, message))
    return found


def misfit(array: Any, shape: tuple[int, ...], dtype: str) -> str:
    """What is wrong with a result before its values are; empty if nothing."""
    if not isinstance(array, np.ndarray):
        return f"is a {type(array).__name__}, not an array"
    if (array.shape, array.dtype) != (shape, np.dtype(dtype)):
        return f"is {array.dtype} {array.shape}, not {dtype} {shape}"
    return ""

"""What folding costs in float32: scale·x + shift beside infer, for means of growing size.

Folding replaces s(x − μ) + β, s = γ/√(v + ε), by s·x + (β − s·μ).  The first subtracts numbers of
like size before anything is rounded; the second rounds s·x and the shift, which cancel.

**Limit.**  Let Y = max |y| over the batch and κ = 1 + |μ|/√(v + ε).  With the batch's own
statistics the mean of y² is γ² + β², so |γ| ≤ Y and |β| ≤ Y.  Hence |s·μ| = |γ|(κ − 1) ≤ (κ − 1)Y,
|s·x| ≤ |y| + |β| + |s·μ| ≤ (κ + 1)Y and |shift| ≤ κY.  Each of four roundings is wrong by u at
most: that of s and that of s·x by (κ + 1)uY each, that of the shift by κuY, that of the sum by uY.
Together, to first order, by (3κ + 3)uY: the price grows with |mean|/std, and no faster.  ε and the
rounding of the statistics change γ² + β² by less than the bound has to spare.

The scaled error is that of :mod:`verify.accuracy`, against exact values for the same rounded
inputs, channel by channel; infer's own limit is the contract's, whatever the mean.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from types import ModuleType

import numpy as np

from verify.accuracy import PRECISIONS, scaled_error
from verify.accuracy_cases import Array, Batch
from verify.exact_batch_norm import deviation
from verify.exact_inference import Frozen
from verify.report import Result

QUOTIENTS = ("1", "1e2", "1e4", "1e6")  # |mean|/std
ROWS, CHANNELS, EPS = 1000, 8, 1e-5
FLOAT32 = PRECISIONS["float32"]


@dataclass(frozen=True)
class Frame:
    """A batch in float32, and the statistics that test mode is given, in float32 too."""

    x: Array
    gamma: Array
    beta: Array
    mean: Array
    var: Array

    @classmethod
    def draw(cls, quotient: float, rng: np.random.Generator) -> Frame:
        """Each channel with std 1 and the mean ±quotient, and its own statistics."""
        sign = rng.choice((-1.0, 1.0), size=CHANNELS)
        drawn = (
            sign * quotient + rng.normal(size=(ROWS, CHANNELS)),
            rng.uniform(0.5, 2.0, CHANNELS),
            rng.normal(size=CHANNELS),
        )
        x, gamma, beta = (array.astype(np.float32) for array in drawn)
        statistics = Batch(x, gamma, beta, x).statistics()
        return cls(x, gamma, beta, *(array.astype(np.float32) for array in statistics))

    @property
    def parameters(self) -> tuple[Array, Array, Array, Array]:
        return self.gamma, self.beta, self.mean, self.var


def price_of_folding(module: ModuleType, *, seed: int = 0) -> list[Result]:
    """Two rows for each quotient, y of infer and of the folded layer; never an exception."""
    return [row for quotient in QUOTIENTS for row in _rows(module, quotient, seed)]


def _rows(module: ModuleType, quotient: str, seed: int) -> Iterator[Result]:
    size = float(quotient)
    frame = Frame.draw(size, np.random.default_rng([seed, int(size)]))

    def inferred() -> Array:
        y: Array = module.infer(frame.x, *frame.parameters, eps=EPS)
        return y

    def folded() -> Array:
        scale, shift = module.fold(*frame.parameters, eps=EPS)
        y: Array = scale * frame.x + shift
        return y

    exact = [
        Frozen.of(float(gamma), float(beta), float(mean), float(var), EPS)
        for gamma, beta, mean, var in zip(*frame.parameters, strict=True)
    ]
    for what, run, limit in (
        ("infer", inferred, lambda _: FLOAT32.limit),
        ("scale x + shift", folded, lambda kappa: 3 * kappa + 3),
    ):
        yield _row(f"{what}, mean/std {quotient}", frame, exact, run, limit)


def _row(
    name: str,
    frame: Frame,
    exact: list[Frozen],
    run: Callable[[], Array],
    limit: Callable[[float], float],
) -> Result:
    """The worst channel, by the share of its limit."""
    try:
        y = run()
        if (y.shape, y.dtype) != (frame.x.shape, frame.x.dtype):
            raise TypeError(f"y is {y.dtype} {y.shape}")
        found = [
            (scaled_error(deviation(y[:, c], one.y(frame.x[:, c])), FLOAT32), limit(one.condition))
            for c, one in enumerate(exact)
        ]
    except Exception as error:  # a kernel under test may raise anything
        message = f"raised {type(error).__name__}: {error}"
        return Result("checked", name, message, 0, None, None, False)
    worst, allowed = max(found, key=lambda pair: pair[0] / pair[1])
    detail = f"float32, {CHANNELS} channels of {ROWS}"
    return Result("checked", name, detail, y.size, worst, allowed, worst <= allowed, FLOAT32.unit)

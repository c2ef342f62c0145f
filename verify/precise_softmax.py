"""Softmax and its derivatives to as many digits as it takes, to judge kernels by.

Written out by hand on purpose: nothing here comes from the derivation that it helps to check.

    y = exp(x)/Σ exp(x)         dx = y (dy − Σ dy y)         ẏ = y (ẋ − Σ ẋ y)
    g_dy = y (v − Σ v y)        g_x = y (dy v − dy Σ vy − v Σ dy y + 2 Σ dy y Σ vy − Σ dy v y)

Where one y is all but 1 these cancel to exp(−d), where d is how far the largest x is above another,
so mpmath computes with as many digits more as the least of exp(−d) takes.  Rows of more than a few
thousand elements are computed in float64 with sums that are rounded once (:func:`math.fsum`) about
the largest x, which is within some 2⁻⁵² of the truth: nothing beside u of float32.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import Any

import numpy as np
from mpmath import MPContext

from verify.accuracy import PRECISIONS
from verify.accuracy_cases import Array

LONG = 4096  # elements from which on float64 will do
DIGITS = 100  # so that what is left of equal cotangents is nothing beside subnormal float32
UNDERFLOW = 750.0  # exp of less than minus this is zero in float64


@dataclass(frozen=True)
class PreciseRow:
    """The results of one row by name, and κ = 1 + d: how much a relative change of x less the
    largest x is magnified in exp."""

    results: Mapping[str, Array]
    condition: float

    @classmethod
    def of(cls, x: Array, dy: Array, x_dot: Array) -> PreciseRow:
        """From the floats of one row; x_dot is v, too.  -Inf is allowed in x."""
        wide = [np.asarray(row, np.float64) for row in (x, dy, x_dot)]
        *_, second, first = [0.0, *np.sort(wide[0])[-2:]] if len(x) > 1 else [0.0, 0.0]
        gap = float(min(first - second, UNDERFLOW))
        if len(x) > LONG:
            return cls(_in_float64(*wide), 1 + gap)
        finite = wide[0][np.isfinite(wide[0])]
        spread = min(finite.max(initial=0.0) - finite.min(initial=0.0), UNDERFLOW)
        return cls(_in_digits(DIGITS + int(spread / math.log(10)), *wide), 1 + gap)


@cache
def _context(digits: int) -> Any:
    context = MPContext()
    context.dps = digits
    return context


def _in_digits(digits: int, x: Array, dy: Array, x_dot: Array) -> dict[str, Array]:
    context = _context(digits)

    def numbers(row: Array) -> Array:
        return np.array([context.mpf(value) for value in row.tolist()], object)

    e = np.array([context.exp(value) for value in numbers(x) - x.max(initial=-math.inf)], object)
    return _results(e / context.fsum(e), numbers(dy), numbers(x_dot), context.fsum)


def _in_float64(x: Array, dy: Array, x_dot: Array) -> dict[str, Array]:
    place = int(x.argmax())
    e = np.exp(x - x[place])
    return _results(e / math.fsum(e), dy - dy[place], x_dot - x_dot[place], math.fsum)


def _results(y: Array, g: Array, v: Array, total: Callable[[Array], Any]) -> dict[str, Array]:
    of_g, of_v = total(y * g), total(y * v)
    along = y * (v - of_v)
    second = y * (g * v - g * of_v - v * of_g + 2 * of_g * of_v - total(y * g * v))
    return {"y": y, "dx": y * (g - of_g), "y_dot": along, "g_dy": along, "g_x": second}


@dataclass(frozen=True)
class PreciseSoftmax:
    """The results of every row."""

    rows: tuple[PreciseRow, ...]

    @classmethod
    def of(cls, x: Array, dy: Array, x_dot: Array, axis: int = -1) -> PreciseSoftmax:
        """From arrays of one shape whose rows extend along an axis."""
        tables = (_lined_up(array, axis) for array in (x, dy, x_dot))
        return cls(tuple(PreciseRow.of(*rows) for rows in zip(*tables, strict=True)))

    def limit(self, dtype: str) -> float:
        """The largest scaled error allowed, in the units of the dtype: in float64 64κ, as x less
        the largest x is rounded before exp magnifies that."""
        condition = max((row.condition for row in self.rows), default=1.0)
        return PRECISIONS[dtype].limit * (condition if dtype == "float64" else 1.0)

    def worst(self, name: str, array: Array, axis: int = -1) -> float:
        """The worst scaled error of a result, each row by its own size."""
        due = (row.results[name.split()[0]] for row in self.rows)
        return max(
            (
                _error(*pair, array.dtype.name)
                for pair in zip(_lined_up(array, axis), due, strict=True)
            ),
            default=0.0,
        )


def _lined_up(array: Array, axis: int) -> Array:
    moved = np.moveaxis(array, axis, -1)
    return moved.reshape(math.prod(moved.shape[:-1]), moved.shape[-1])


def _error(given: Array, due: Array, dtype: str) -> float:
    """max |given − due| in units of the largest |due|, or of the smallest normal number."""
    if not due.size:
        return 0.0
    wide = np.asarray(given, np.float64)
    if not np.isfinite(wide).all():
        return math.inf
    error, size = (float(abs(array).max()) for array in (wide - due, due))
    return float(Fraction(error) / PRECISIONS[dtype].unit_at(Fraction(size)))

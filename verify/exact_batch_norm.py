"""Batch Norm in exact integer arithmetic: what a floating-point kernel is measured against.

A floating-point number is an integer times a power of two, so a channel is a vector of Python
integers X with one common unit, x = X·2ᵉ.  Σx, Σx², Σv and Σv·x are then exact, and with them

    μ = Σx/m,   σ² = Σ(x−μ)²/m = (mΣx² − (Σx)²)/m²,   q = σ² + ε,   Σv(x−μ) = Σvx − μΣv

are exact rationals.  One number is not rational, r = 1/√q; it comes from an integer square root
and is right to 2⁻²⁵⁵.  With the tangent or cotangent v projected as

    P(v)ᵢ = vᵢ − Σv/m − (xᵢ−μ) Σv(x−μ)/(mq)

(where the cancellation happens, and where nothing is rounded) every result is affine in at most
two centred vectors:

    y  = γr(x−μ) + β        dx = γr P(dy)        dγ = r Σdy(x−μ)        dβ = Σdy
    ẏ  = γ̇r(x−μ) + γr P(ẋ) + β̇

and of backward, differentiated again, in three.

Written out by hand on purpose: nothing here comes from the derivation that it helps to check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from math import isqrt, lcm
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Integers = NDArray[np.object_]
ROOT_BITS = 256


def power_of_two(exponent: int) -> Fraction:
    """2ᵉ, exactly."""
    return Fraction(1 << exponent) if exponent >= 0 else Fraction(1, 1 << -exponent)


def inverse_root(q: Fraction) -> Fraction:
    """1/√q for q > 0, with a relative error below 2⁻²⁵⁵."""
    if q <= 0:
        raise ValueError(f"1/sqrt(var + eps) needs var + eps > 0, not {float(q)!r}")
    n, d = q.numerator, q.denominator
    bits = ROOT_BITS + (n.bit_length() - d.bit_length() + 1) // 2
    squared = (d << 2 * bits) // n if bits >= 0 else d // (n << -2 * bits)
    return Fraction(isqrt(squared)) * power_of_two(-bits)


def integers(values: NDArray[Any]) -> tuple[Integers, int]:
    """Finite floats of any width up to 64 bits as Python integers times one power of two.

    Returns the integers, in the shape of ``values``, and the exponent of their unit.
    """
    wide = np.asarray(values, np.float64)
    if not np.isfinite(wide).all():
        raise ValueError("an exact reference needs finite values")
    fraction, exponent = np.frexp(wide)
    mantissa = np.ldexp(fraction, 53).astype(np.int64)
    used = mantissa != 0
    if not used.any():
        return np.full(wide.shape, 0, object), 0
    trailing = np.frexp((mantissa & -mantissa).astype(np.float64))[1] - 1
    low = np.where(used, exponent - 53 + trailing, 0)
    unit = int(low[used].min())
    if int(exponent[used].max()) - unit <= 62:
        return np.ldexp(wide, -unit).astype(np.int64).astype(object), unit
    odd = np.where(used, mantissa >> np.where(used, trailing, 0), 0).astype(object)
    shift = np.where(used, low - unit, 0).astype(object)
    return odd << shift, unit


@dataclass(frozen=True)
class Centred:
    """A vector minus its mean, v − Σv/m = (m·V − ΣV)·unit/m."""

    values: Floats
    numbers: Integers
    total: int
    unit: Fraction

    @classmethod
    def of(cls, values: NDArray[Any]) -> Centred:
        """From the m floats of one channel."""
        numbers, exponent = integers(values)
        return cls(
            np.asarray(values, np.float64), numbers, int(numbers.sum()), power_of_two(exponent)
        )

    @property
    def m(self) -> int:
        return self.numbers.size

    @property
    def mean(self) -> Fraction:
        return self.total * self.unit / self.m

    def dot(self, other: Centred) -> Fraction:
        """Σ(v−v̄)(w−w̄)."""
        cross = self.m * int(self.numbers.dot(other.numbers)) - self.total * other.total
        return cross * self.unit * other.unit / self.m

    def exact(self, rows: NDArray[np.intp]) -> tuple[Integers, Fraction]:
        """Some elements as integers and their unit."""
        return self.m * self.numbers[rows] - self.total, self.unit / self.m

    def approximate(self) -> Floats:
        """All elements in float64, good enough to tell where to look."""
        return self.values - float(self.mean)


class Vector(Protocol):
    """A vector that is known exactly, as integers of one unit, and roughly, in float64."""

    @property
    def values(self) -> Floats: ...

    def exact(self, rows: NDArray[np.intp]) -> tuple[Integers, Fraction]: ...

    def approximate(self) -> Floats: ...


@dataclass(frozen=True)
class Affine:
    """Σ coefficient·vector + constant: one channel of y, dx or ẏ."""

    terms: tuple[tuple[Fraction, Vector], ...]
    constant: Fraction = Fraction(0)

    def exact(self, rows: NDArray[np.intp]) -> tuple[Integers, int]:
        """Some elements as integers over one common denominator."""
        parts = [(factor, *vector.exact(rows)) for factor, vector in self.terms]
        scales = [factor * unit for factor, _, unit in parts]
        denominator = lcm(self.constant.denominator, *(scale.denominator for scale in scales))
        values = np.full(rows.shape, int(self.constant * denominator), object)
        for (_, numbers, _), scale in zip(parts, scales, strict=True):
            values = values + numbers * int(scale * denominator)
        return values, denominator

    def approximate(self) -> Floats:
        """All elements in float64."""
        start = np.full(self.terms[0][1].values.shape, float(self.constant))
        return sum((float(factor) * v.approximate() for factor, v in self.terms), start)


@dataclass(frozen=True)
class Channel:
    """One channel: its centred data, 1/√(σ²+ε) and parameters."""

    x: Centred
    variance: Fraction
    q: Fraction
    inv_std: Fraction
    gamma: Fraction
    beta: Fraction

    @classmethod
    def of(cls, x: NDArray[Any], gamma: float, beta: float, eps: float) -> Channel:
        """From the m ≥ 1 floats of one channel; ``eps`` is taken as the exact value it has.

        Raises ValueError where σ²+ε ≤ 0 or a value is not finite.
        """
        centred = Centred.of(x)
        variance = centred.dot(centred) / centred.m
        q = variance + Fraction(eps)
        return cls(centred, variance, q, inverse_root(q), Fraction(gamma), Fraction(beta))

    @property
    def condition(self) -> float:
        """1 + |μ|/√(σ²+ε): how much a relative change of x is magnified in x̂."""
        return 1.0 + float(abs(self.x.mean) * self.inv_std)

    def y(self) -> Affine:
        return Affine(((self.gamma * self.inv_std, self.x),), self.beta)

    def backward(self, dy: NDArray[Any]) -> tuple[Affine, Fraction, Fraction]:
        """(dx, dγ, dβ) for the m floats of the cotangent."""
        cotangent = Centred.of(dy)
        dgamma = self.inv_std * cotangent.dot(self.x)
        return self._projected(cotangent), dgamma, cotangent.total * cotangent.unit

    def jvp(self, x_dot: NDArray[Any], gamma_dot: float, beta_dot: float) -> Affine:
        """ẏ for the m floats of ẋ and the channel's γ̇ and β̇."""
        moved = self._projected(Centred.of(x_dot))
        scaled = (Fraction(gamma_dot) * self.inv_std, self.x)
        return Affine((*moved.terms, scaled), Fraction(beta_dot))

    def double_backward(
        self, dy: NDArray[Any], v_dx: NDArray[Any], v_dgamma: float, v_dbeta: float
    ) -> tuple[Affine, Affine, Fraction]:
        """(g_dy, g_x, g_γ), the gradients of Σ v_dx dx + v_dγ dγ + v_dβ dβ."""
        g, v, m, r = Centred.of(dy), Centred.of(v_dx), self.x.m, self.inv_std
        of_dy, of_v, both = r * g.dot(self.x), r * v.dot(self.x), v.dot(g)
        curvature = self.gamma * r * r / m
        along = curvature * (3 * of_v * of_dy / m - both) - Fraction(v_dgamma) * r * of_dy / m
        g_x = (
            (along * r, self.x),
            (-curvature * of_dy, v),
            (Fraction(v_dgamma) * r - curvature * of_v, g),
        )
        return self.jvp(v_dx, v_dgamma, v_dbeta), Affine(g_x), r * (both - of_v * of_dy / m)

    def _projected(self, v: Centred) -> Affine:
        scale = self.gamma * self.inv_std
        return Affine(((scale, v), (-scale * v.dot(self.x) / (v.m * self.q), self.x)))


# --- Comparing ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Deviation:
    """max |result − exact| and max |exact| over the ``count`` elements compared.

    Where a result is not finite ``finite`` is False and ``error`` says nothing.
    """

    error: Fraction
    magnitude: Fraction
    count: int
    finite: bool = True

    def merge(self, other: Deviation) -> Deviation:
        """Both taken as one array."""
        return Deviation(
            max(self.error, other.error),
            max(self.magnitude, other.magnitude),
            self.count + other.count,
            self.finite and other.finite,
        )


Choose = Callable[[Floats, Floats], NDArray[np.intp]]


def deviation(
    result: NDArray[Any], exact: Affine | Fraction, choose: Choose | None = None
) -> Deviation:
    """Compare one channel of a result with its exact value.

    ``choose(result, approximation)`` picks the elements to compare, given the whole channel in
    float64; None compares them all.
    """
    wide = np.asarray(result, np.float64).ravel()
    if isinstance(exact, Fraction):
        numbers, denominator = np.array([exact.numerator], object), exact.denominator
    else:
        rows = choose(wide, exact.approximate()) if choose else np.arange(wide.size)
        numbers, denominator = exact.exact(rows)
        wide = wide[rows]
    magnitude = Fraction(int(abs(numbers).max()), denominator)
    if not np.isfinite(wide).all():
        return Deviation(Fraction(0), magnitude, wide.size, finite=False)
    given, exponent = integers(wide)
    unit = power_of_two(exponent)
    difference = given * (unit.numerator * denominator) - numbers * unit.denominator
    error = Fraction(int(abs(difference).max()), unit.denominator * denominator)
    return Deviation(error, magnitude, wide.size)

"""Layers that reduce rows, in exact integer arithmetic: Layer, RMS, Group and Instance Norm.

As in :mod:`verify.exact_batch_norm`, floats are integers times a power of two, and all but
r = 1/√q is rational.  With d = x − μ, for RMS Norm d = x, q = Σd²/m + ε, and the projection

    P(v) = v − Σv/m − d Σvd/(mq)        (RMS Norm: without Σv/m)

of one row v of m elements, and with g = γ·dy, elementwise,

    y  = r γ·d + β                      dx = r P(g)
    ẏ  = r γ·P(ẋ) + r γ̇·d + β̇           dγ = Σₙ rₙ dyₙ·dₙ        dβ = Σₙ dyₙ

and, for cotangents v of dx, w of dγ and b of dβ, with k = w·dy,

    g_dy = r γ·P(v) + r w·d + b        g_γ = Σₙ rₙ dyₙ·P(vₙ)
    g_x  = r P(k) + r/(mq) [(3 Σgd Σvd/(mq) − Σ(g−ḡ)(v−v̄)) d − (g−ḡ) Σvd − (v−v̄) Σgd]

(RMS Norm: without ḡ and v̄) are all sums of a few vectors, or for dγ and dβ of one for each row n.
Where neighbours in a row share an element of γ (the positions of a channel), theirs are added up.
Written out by hand on purpose: nothing here comes from the derivation that it helps to check.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.exact_batch_norm import (
    Affine,
    Floats,
    Integers,
    integers,
    inverse_root,
    power_of_two,
)

ONE = Fraction(1)


@dataclass(frozen=True)
class Row:
    """The m numbers of a row: integers times a unit, and about the same in float64."""

    values: Floats
    numbers: Integers
    unit: Fraction

    @classmethod
    def of(cls, values: NDArray[Any]) -> Row:
        """From the floats of one row."""
        numbers, exponent = integers(values)
        return cls(np.asarray(values, np.float64), numbers, power_of_two(exponent))

    @property
    def mean(self) -> Fraction:
        return int(self.numbers.sum()) * self.unit / self.numbers.size

    def centred(self) -> Row:
        """Less the mean."""
        m, total = self.numbers.size, int(self.numbers.sum())
        return Row(self.values - float(self.mean), m * self.numbers - total, self.unit / m)

    def __mul__(self, other: Row) -> Row:
        return Row(self.values * other.values, self.numbers * other.numbers, self.unit * other.unit)

    def dot(self, other: Row) -> Fraction:
        """Σvw."""
        return int(self.numbers.dot(other.numbers)) * self.unit * other.unit

    def folded(self, shared: int) -> Row:
        """The sums of so many neighbours."""
        starts = np.arange(0, self.values.size, shared)
        values, numbers = (np.add.reduceat(a, starts) for a in (self.values, self.numbers))
        return Row(values, numbers, self.unit)

    def exact(self, rows: NDArray[np.intp]) -> tuple[Integers, Fraction]:
        """Some elements as integers and their unit."""
        return self.numbers[rows], self.unit

    def approximate(self) -> Floats:
        return self.values


@dataclass(frozen=True)
class Normalised:
    """One row of data: d, q, r = 1/√q, and its parameters, with a value for each element."""

    d: Row
    q: Fraction
    r: Fraction
    condition: float
    gamma: Row
    beta: Row
    centres: bool

    @classmethod
    def of(
        cls, values: NDArray[Any], gamma: Row, beta: Row, eps: float, *, centres: bool
    ) -> Normalised:
        """From the m ≥ 1 floats of a row; ``centres`` unless it is RMS Norm.

        ``condition`` is how much a relative change of x is magnified in x̂: 1 + |μ|r.  Raises
        ValueError where q ≤ 0 or a value is not finite.
        """
        x = Row.of(values)
        d = x.centred() if centres else x
        q = d.dot(d) / x.numbers.size + Fraction(eps)
        r = inverse_root(q)
        condition = 1.0 + (float(abs(x.mean) * r) if centres else 0.0)
        return cls(d, q, r, condition, gamma, beta, centres)

    def y(self) -> Affine:
        return Affine(((self.r, self.gamma * self.d), (ONE, self.beta)))

    def dx(self, dy: NDArray[Any]) -> Affine:
        cotangent = self.gamma * Row.of(dy)
        moved = cotangent.centred() if self.centres else cotangent
        return Affine(((self.r, moved), (self._along(cotangent), self.d)))

    def jvp(self, x_dot: NDArray[Any], gamma_dot: Row, beta_dot: Row) -> Affine:
        tangent = Row.of(x_dot)
        moved = tangent.centred() if self.centres else tangent
        return Affine(
            (
                (self.r, self.gamma * moved),
                (self._along(tangent), self.gamma * self.d),
                (self.r, gamma_dot * self.d),
                (ONE, beta_dot),
            )
        )

    def double_backward(
        self, dy: NDArray[Any], v_dx: NDArray[Any], v_dgamma: Row, v_dbeta: Row
    ) -> tuple[Affine, Affine, tuple[tuple[Fraction, Row], ...]]:
        """g_dy and g_x, and what the row adds to g_γ."""
        of_dy, v = Row.of(dy), Row.of(v_dx)
        g, v_c, k = (self._centred(row) for row in (self.gamma * of_dy, v, v_dgamma * of_dy))
        r, scale = self.r, 1 / (self.d.numbers.size * self.q)
        along_g, along_v, along_k = (row.dot(self.d) * scale for row in (g, v_c, k))
        both = (3 * along_g * along_v / scale - g.dot(v_c)) * scale
        g_x = (
            (r * (both - along_k), self.d),
            (-r * along_v, g),
            (-r * along_g, v_c),
            (r, k),
        )
        added = ((r, of_dy * v_c), (-r * along_v, of_dy * self.d))
        return self.jvp(v_dx, v_dgamma, v_dbeta), Affine(g_x), added

    def _centred(self, v: Row) -> Row:
        return v.centred() if self.centres else v

    def _along(self, v: Row) -> Fraction:
        """−r Σvd/(mq)."""
        return -self.r * v.dot(self.d) / (v.numbers.size * self.q)


def parameter_gradients(
    rows: list[Normalised], dy: NDArray[Any], shared: int = 1
) -> tuple[Affine, Affine]:
    """(dγ, dβ) of all rows with the same parameters together; ``dy`` has a row for each.

    So many neighbours have an element of γ and β in common.
    """
    cotangents = [Row.of(row) for row in dy]
    pairs = list(zip(rows, cotangents, strict=True))
    dgamma = Affine(tuple((row.r, (dy * row.d).folded(shared)) for row, dy in pairs))
    return dgamma, Affine(tuple((ONE, dy.folded(shared)) for dy in cotangents))

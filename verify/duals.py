"""Dual numbers a + b e with e^2 = 0: the derivative without a rule for sums or indices.

f(a + e) = f(a) + f'(a) e, so running a definition once on dual numbers yields its exact
directional derivative.  The parts may be Fractions, integers modulo p, mpmath numbers or dual
numbers again: two nested levels give second derivatives (hyper-dual numbers), three the third.

A plain number beside a Dual is a constant.  Duals of different depths do not mix: which of the
two infinitesimals is meant would have to be guessed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from verify.fields import Arithmetic, Scalar


class Dual:
    """``re`` + ``du`` e.  ``level`` is the depth of nesting, 1 over plain numbers."""

    __slots__ = ("du", "level", "re")

    def __init__(self, re: Scalar, du: Scalar, level: int = 1) -> None:
        self.re, self.du, self.level = re, du, level

    def __repr__(self) -> str:
        return f"({self.re!r} + {self.du!r} e{self.level})"

    def __hash__(self) -> int:
        return hash((self.re, self.du, self.level))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Dual):
            return bool(self.re == other and self.du == 0)
        return bool(self.level == other.level and self.re == other.re and self.du == other.du)

    def __neg__(self) -> Dual:
        return Dual(-self.re, -self.du, self.level)

    def __add__(self, other: Scalar) -> Dual:
        if self._constant(other):
            return Dual(self.re + other, self.du, self.level)
        return Dual(self.re + other.re, self.du + other.du, self.level)

    def __sub__(self, other: Scalar) -> Dual:
        if self._constant(other):
            return Dual(self.re - other, self.du, self.level)
        return Dual(self.re - other.re, self.du - other.du, self.level)

    def __mul__(self, other: Scalar) -> Dual:
        if self._constant(other):
            return Dual(self.re * other, self.du * other, self.level)
        return Dual(self.re * other.re, self.re * other.du + self.du * other.re, self.level)

    def __truediv__(self, other: Scalar) -> Dual:
        if self._constant(other):
            return Dual(self.re / other, self.du / other, self.level)
        quotient = self.re / other.re
        return Dual(quotient, (self.du - quotient * other.du) / other.re, self.level)

    def __radd__(self, other: Scalar) -> Dual:
        return self + other

    def __rsub__(self, other: Scalar) -> Dual:
        return -self + other

    def __rmul__(self, other: Scalar) -> Dual:
        return self * other

    def __rtruediv__(self, other: Scalar) -> Dual:
        quotient = other / self.re
        return Dual(quotient, -quotient * self.du / self.re, self.level)

    def __pow__(self, exponent: int) -> Dual:
        if not isinstance(exponent, int):
            return NotImplemented
        if exponent == 0:
            return Dual(self.re**0, self.du * 0, self.level)
        slope = self.re ** (exponent - 1)
        return Dual(slope * self.re, slope * self.du * exponent, self.level)

    def __gt__(self, other: Scalar) -> bool:
        return bool(self.re > (other if self._constant(other) else other.re))

    def _constant(self, other: Scalar) -> bool:
        if not isinstance(other, Dual):
            return True
        if other.level != self.level:
            raise TypeError(f"dual numbers of depth {self.level} and {other.level} do not mix")
        return False


SLOPES: Mapping[str, Callable[[Arithmetic, Scalar], Scalar]] = {
    "log": lambda numbers, a: numbers.number(1) / a,
    "erf": lambda numbers, a: numbers.transcendental("gauss", a),
    "gauss": lambda numbers, a: a * numbers.transcendental("gauss", a) * -2,
}


@dataclass(frozen=True)
class Duals:
    """The arithmetic of dual numbers over ``base``, itself possibly a ``Duals``."""

    base: Arithmetic

    @property
    def level(self) -> int:
        return self.base.level + 1 if isinstance(self.base, Duals) else 1

    def variable(self, value: Scalar, du: Scalar = None) -> Dual:
        """``value`` moving in the direction ``du`` (one if not given)."""
        return Dual(value, self.base.number(1) if du is None else du, self.level)

    def derivative(self, value: Scalar) -> Scalar:
        """The coefficient of e; zero for a plain number."""
        return value.du if self._holds(value) else self.base.number(0)

    def number(self, value: int | Fraction) -> Dual:
        return Dual(self.base.number(value), self.base.number(0), self.level)

    def sqrt(self, a: Scalar) -> Scalar:
        if not self._holds(a):
            return self.base.sqrt(a)
        root = self.base.sqrt(a.re)
        return Dual(root, a.du / (root * 2), self.level)

    def exp(self, a: Scalar) -> Scalar:
        if not self._holds(a):
            return self.base.exp(a)
        power = self.base.exp(a.re)
        return Dual(power, power * a.du, self.level)

    def log(self, a: Scalar) -> Scalar:
        if not self._holds(a):
            return self.base.log(a)
        return Dual(self.base.log(a.re), a.du / a.re, self.level)

    def transcendental(self, name: str, a: Scalar) -> Scalar:
        if not self._holds(a):
            return self.base.transcendental(name, a)
        slope = SLOPES[name](self.base, a.re)
        return Dual(self.base.transcendental(name, a.re), slope * a.du, self.level)

    def _holds(self, value: Scalar) -> bool:
        return isinstance(value, Dual) and value.level == self.level

"""Exact numbers: the rationals, and the integers modulo the prime p = 2^61 - 1.

A formula that a definition implies is an identity between rational functions of the inputs, of
the radicals and of the exponentials in it.  Such an identity holds at every point of every field,
and one that is wrong fails at a random point of a field of p elements with probability about
1 - degree/p (Schwartz-Zippel).  Equality is therefore tested by ``==``, with no tolerance.

- A square root exists only for some elements.  Where it does, one of the two roots is chosen once
  and for all: over the rationals the positive one, modulo p the one that is itself a square (as
  p = 3 mod 4, exactly one of r and -r is).  Both choices respect products, sqrt(ab) = sqrt(a)
  sqrt(b).  Elsewhere :class:`NotASquare` is raised, and the caller draws another point.
- A formal exponential is enough, since the derivations use only exp' = exp and exp(a + b) =
  exp(a) exp(b).  Here it is exp(a) := 2^a (rationals) and 37^a (modulo p) at whole numbers a.
- Its inverse is the logarithm: to the base 2, of whole powers of 2, and the discrete logarithm
  modulo p, which everything but 0 has.  Of it the derivations use only log' a = 1/a.
- erf and its slope gauss are formal too: the derivations use only erf' = gauss and gauss' = -2a
  gauss, so any functions do that differ from what else may stand in a formula.
- The rationals are ordered, and the integers modulo p are not: a definition that asks whether a > 0
  raises :class:`NotOrdered` there, and is compared over the rationals alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from math import isqrt
from random import Random
from typing import Any, Protocol, TypeAlias

# A Fraction, a Mod, an mpf, or a Dual over any of these: no static type spans them.
Scalar: TypeAlias = Any
Index: TypeAlias = tuple[int, ...]
Values: TypeAlias = Mapping[str, Mapping[Index, Scalar]]  # quantities by label, then by index

P = 2**61 - 1
GENERATOR = 37  # its powers are all that is not 0; the base of exp and log
PRIME_POWERS = (2, 9, 25, 7, 11, 13, 31, 41, 61, 151, 331, 1321)  # their product is P - 1


class OutsideTheField(ArithmeticError):  # noqa: N818  (a reason to redraw or skip, not a mistake)
    """What is asked for does not exist in the field."""


class NotASquare(OutsideTheField):
    """The square root lies outside the field; that of another number may not."""


class NotOrdered(OutsideTheField):
    """The field has no order, whatever the numbers."""


class Arithmetic(Protocol):
    """What a definition may ask of its numbers beyond + - * / and whole powers."""

    def number(self, value: int | Fraction) -> Scalar:
        """The constant; needed because int / int is a float."""

    def sqrt(self, a: Scalar) -> Scalar:
        """The chosen square root, or NotASquare."""

    def exp(self, a: Scalar) -> Scalar:
        """The exponential, possibly a formal one."""

    def log(self, a: Scalar) -> Scalar:
        """The inverse of exp, or NotASquare."""

    def transcendental(self, name: str, a: Scalar) -> Scalar:
        """erf or gauss, possibly a formal one."""


# erf is odd and gauss even, as derive.functions takes them to be.
FORMAL: Mapping[str, Callable[[Scalar], Scalar]] = {
    "erf": lambda a: a**5 + a * 7,
    "gauss": lambda a: a**4 + 3,
}


class Field(Arithmetic, Protocol):
    """An exact field that points can be drawn from."""

    @property
    def name(self) -> str:
        """As reports print it."""

    def random(self, rng: Random) -> Scalar:
        """A nonzero whole number: a zero would hide the terms that it multiplies."""


@dataclass(frozen=True)
class Rationals:
    """fractions.Fraction."""

    name: str = "rational"

    def number(self, value: int | Fraction) -> Fraction:
        return Fraction(value)

    def random(self, rng: Random) -> Fraction:
        return Fraction(rng.randint(1, 30) * rng.choice((-1, 1)))

    def sqrt(self, a: Fraction) -> Fraction:
        if a >= 0:
            root = Fraction(isqrt(a.numerator), isqrt(a.denominator))
            if root * root == a:
                return root
        raise NotASquare(f"{a} is not the square of a rational")

    def exp(self, a: Fraction) -> Fraction:
        if a.denominator != 1:
            raise NotASquare(f"2^({a}) is not rational")
        return Fraction(2) ** a.numerator

    def log(self, a: Fraction) -> Fraction:
        power = a.numerator.bit_length() - a.denominator.bit_length()
        if a > 0 and Fraction(2) ** power == a:
            return Fraction(power)
        raise NotASquare(f"{a} is not a whole power of 2")

    def transcendental(self, name: str, a: Fraction) -> Fraction:
        result: Fraction = FORMAL[name](a)
        return result


class Mod:
    """An integer modulo p, mixing with int."""

    __slots__ = ("value",)

    def __init__(self, value: int) -> None:
        self.value = value % P

    def __repr__(self) -> str:
        return str(self.value)

    def __hash__(self) -> int:
        return hash(self.value)

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Mod):
            return self.value == other.value
        return isinstance(other, int) and self.value == other % P

    def __neg__(self) -> Mod:
        return Mod(-self.value)

    def __add__(self, other: Mod | int) -> Mod:
        if isinstance(other, Mod):
            return Mod(self.value + other.value)
        return Mod(self.value + other) if isinstance(other, int) else NotImplemented

    def __sub__(self, other: Mod | int) -> Mod:
        if isinstance(other, Mod):
            return Mod(self.value - other.value)
        return Mod(self.value - other) if isinstance(other, int) else NotImplemented

    def __mul__(self, other: Mod | int) -> Mod:
        if isinstance(other, Mod):
            return Mod(self.value * other.value)
        return Mod(self.value * other) if isinstance(other, int) else NotImplemented

    def __truediv__(self, other: Mod | int) -> Mod:
        if isinstance(other, Mod):
            return Mod(self.value * _inverse(other.value))
        return Mod(self.value * _inverse(other)) if isinstance(other, int) else NotImplemented

    def __radd__(self, other: int) -> Mod:
        return self + other

    def __rsub__(self, other: int) -> Mod:
        return -self + other

    def __rmul__(self, other: int) -> Mod:
        return self * other

    def __rtruediv__(self, other: int) -> Mod:
        return Mod(_inverse(self.value)) * other

    def __gt__(self, other: object) -> bool:
        raise NotOrdered("the integers modulo 2^61-1 have no order")

    def __pow__(self, exponent: int) -> Mod:
        if not isinstance(exponent, int):
            return NotImplemented
        base = self.value if exponent >= 0 else _inverse(self.value)
        return Mod(pow(base, abs(exponent), P))


def _inverse(value: int) -> int:
    if value % P == 0:
        raise ZeroDivisionError("division by zero modulo 2^61-1")
    return pow(value, -1, P)


@dataclass(frozen=True)
class PrimeField:
    """The integers modulo 2^61 - 1."""

    name: str = "field 2^61-1"

    def number(self, value: int | Fraction) -> Mod:
        ratio = Fraction(value)
        return Mod(ratio.numerator) / ratio.denominator

    def random(self, rng: Random) -> Mod:
        # Well below p, so that a sum of some of these, taken with a sign, does not wrap round
        # and exp stays a homomorphism on it.
        return Mod(rng.randint(1, 2**50) * rng.choice((-1, 1)))

    def sqrt(self, a: Mod) -> Mod:
        root: Mod = a ** ((P + 1) // 4)
        if root * root == a:
            return root
        raise NotASquare(f"{a} is not a square modulo 2^61-1")

    def exp(self, a: Mod) -> Mod:
        signed = a.value if a.value <= P // 2 else a.value - P
        return Mod(GENERATOR) ** signed

    def log(self, a: Mod) -> Mod:
        if a.value == 0:
            raise NotASquare("0 has no logarithm")
        exponent = discrete_logarithm(a.value)
        return Mod(exponent if exponent <= P // 2 else exponent - (P - 1))  # as exp reads it

    def transcendental(self, name: str, a: Mod) -> Mod:
        result: Mod = FORMAL[name](a)
        return result


@cache
def _small_logarithms() -> dict[int, dict[int, int]]:
    """For each prime power q of P - 1, the logarithms of the q elements of order q or below."""
    bases = {q: pow(GENERATOR, (P - 1) // q, P) for q in PRIME_POWERS}
    return {q: {pow(base, k, P): k for k in range(q)} for q, base in bases.items()}


def discrete_logarithm(value: int) -> int:
    """The k in 0 ... P - 2 with GENERATOR^k = value, modulo P, for a value that is not 0.

    P - 1 has small prime factors only, so k is looked up modulo each of their powers q and put
    together by the Chinese remainder theorem (Pohlig & Hellman 1978).
    """
    k = 0
    for q, logarithms in _small_logarithms().items():
        cofactor = (P - 1) // q
        k += logarithms[pow(value, cofactor, P)] * cofactor * pow(cofactor, -1, q)
    return k % (P - 1)


RATIONALS = Rationals()
PRIME_FIELD = PrimeField()
FIELDS: tuple[Field, ...] = (RATIONALS, PRIME_FIELD)

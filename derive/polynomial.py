"""Sparse Laurent polynomials, the values of the normal form.

A polynomial maps monomials to coefficients.  A monomial is a product of *generators* (indexed
quantities, sums, δs, elementary functions of those) to whole powers, negative ones included.  A
coefficient is a rational function of the axis sizes and the layer's constants, reduced by SymPy's
field arithmetic, so that 1/m, m - 1 and ε need no rules of their own.

Two polynomials are equal exactly when their dictionaries are.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any

from sympy import Expr

Coefficient = Any  # an element of SymPy's FracField, which is untyped
Monomial = tuple[tuple[Expr, int], ...]
Poly = dict[Monomial, Coefficient]

ONE: Monomial = ()


@cache
def name_of(generator: Expr) -> str:
    """The text by which generators are ordered: the same under every hash seed."""
    return str(generator)


def monomial(powers: Mapping[Expr, int]) -> Monomial:
    """Generators to powers, in a fixed order and without zeroth powers."""
    present = [(generator, power) for generator, power in powers.items() if power]
    return tuple(sorted(present, key=lambda item: name_of(item[0])))


def plus(*polys: Poly) -> Poly:
    """The sum."""
    total: Poly = {}
    for poly in polys:
        for powers, coefficient in poly.items():
            value = _sum(total[powers], coefficient) if powers in total else coefficient
            if value:
                total[powers] = value
            else:
                del total[powers]
    return total


def minus(left: Poly, right: Poly) -> Poly:
    """The difference."""
    return plus(left, {powers: -coefficient for powers, coefficient in right.items()})


# Remembered: few coefficients occur, and a gcd cancels each sum and product of them.


@cache
def _sum(p: Coefficient, q: Coefficient) -> Coefficient:
    return p + q


@cache
def _product(p: Coefficient, q: Coefficient) -> Coefficient:
    return p * q


def times(left: Poly, right: Poly) -> Poly:
    """The product."""
    total: Poly = {}
    for a, p in left.items():
        for b, q in right.items():
            powers = join(a, b)
            product = _product(p, q)
            value = _sum(product, total[powers]) if powers in total else product
            if value:
                total[powers] = value
            else:
                total.pop(powers, None)
    return total


def scale(poly: Poly, coefficient: Coefficient) -> Poly:
    """The product with a coefficient."""
    return (
        {powers: _product(value, coefficient) for powers, value in poly.items()}
        if coefficient
        else {}
    )


def join(left: Monomial, right: Monomial) -> Monomial:
    """The product of two monomials."""
    if not left:
        return right
    if not right:
        return left
    powers = dict(left)
    for generator, power in right:
        powers[generator] = powers.get(generator, 0) + power
    return monomial(powers)


def power_of(powers: Monomial, exponent: int) -> Monomial:
    """A monomial to a whole power."""
    return tuple((generator, power * exponent) for generator, power in powers) if exponent else ONE


def generators(polys: Iterable[Poly]) -> list[Expr]:
    """Every generator that occurs, in the fixed order."""
    found = {g for poly in polys for powers in poly for g, _ in powers}
    return sorted(found, key=name_of)


def common_monomial(poly: Poly) -> Monomial:
    """The largest monomial that divides every term (Laurent: by whole powers of either sign)."""
    terms = [dict(powers) for powers in poly]
    shared = set(terms[0]).intersection(*terms[1:]) if terms else set()
    lowest: dict[Expr, int] = {}
    for generator in sorted(shared, key=name_of):
        lowest[generator] = min(term[generator] for term in terms)
    for term in terms:
        for generator, power in term.items():
            if generator not in shared and power < 0:
                lowest[generator] = min(lowest.get(generator, 0), power)
    return monomial(lowest)

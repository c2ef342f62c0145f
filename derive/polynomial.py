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

from sympy import ZZ, Expr
from sympy.polys.fields import FracField

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
    if len(present) > 1:
        present.sort(key=lambda item: name_of(item[0]))
    return tuple(present)


def plus(*polys: Poly) -> Poly:
    """The sum."""
    total = dict(polys[0]) if polys else {}
    for poly in polys[1:]:
        for powers, coefficient in poly.items():
            before = total.get(powers)
            value = coefficient if before is None else _sum(before, coefficient)
            if value:
                total[powers] = value
            else:
                del total[powers]
    return total


def minus(left: Poly, right: Poly) -> Poly:
    """The difference."""
    return plus(left, {powers: -coefficient for powers, coefficient in right.items()})


# Remembered: few coefficients occur, and a gcd cancels each sum and product of them.  Equal ones
# are one object: that two objects are equal takes SymPy long to see.


@cache
def rational_functions(constants: tuple[Expr, ...]) -> Any:
    """The field of coefficients: numerators and denominators have whole coefficients."""
    field = FracField(constants, ZZ)
    for value in (field.one, *field.gens):
        _one_object(value)
    return field


@cache
def rational(field: Any, p: int, q: int) -> Coefficient:
    """p/q in the field."""
    return _one_object(field(p) / field(q))


@cache
def _one_object(value: Coefficient) -> Coefficient:
    return value


@cache
def _sum(p: Coefficient, q: Coefficient) -> Coefficient:
    return _one_object(p + q)


@cache
def _product(p: Coefficient, q: Coefficient) -> Coefficient:
    return _one_object(p * q)


@cache
def raised(value: Coefficient, exponent: int) -> Coefficient:
    """A coefficient to a whole power."""
    return _one_object(value**exponent)


def times(left: Poly, right: Poly) -> Poly:
    """The product."""
    total: Poly = {}
    for a, p in left.items():
        for b, q in right.items():
            powers = join(a, b)
            product, before = _product(p, q), total.get(powers)
            value = product if before is None else _sum(before, product)
            if value:
                total[powers] = value
            else:
                del total[powers]
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

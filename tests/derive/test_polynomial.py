"""Laurent polynomials: the laws of a commutative ring, and evaluation as the judge."""

from __future__ import annotations

from fractions import Fraction
from math import prod

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sympy import Expr, Symbol

from derive.expr import Axis, Delta, SumOver, Var
from derive.polynomial import (
    ONE,
    Coefficient,
    Monomial,
    Poly,
    common_monomial,
    generators,
    join,
    monomial,
    name_of,
    plus,
    power_of,
    raised,
    rational,
    rational_functions,
    scale,
    times,
)
from tests.derive.expressions import FEW

n = Axis("n", "m")
a, b, x = Var("a"), Var("b"), Var("x", n)
GENERATORS: tuple[Expr, ...] = (a, b, x, SumOver(x, n), Delta(n, n.prime()))
VALUES = dict(zip(GENERATORS, map(Fraction, (3, -5, 7, 11, 13)), strict=True))
FIELD = rational_functions((Symbol("m"),))
(m,) = FIELD.gens
COEFFICIENTS = (m, m - 1, 1 / m, FIELD.one, -FIELD.one, rational(FIELD, 2, 3), (m + 1) / (m - 2))

monomials = st.dictionaries(
    st.sampled_from(GENERATORS), st.integers(-2, 3).filter(bool), max_size=3
).map(monomial)
polys = st.dictionaries(monomials, st.sampled_from(COEFFICIENTS), max_size=4)
coefficients = st.sampled_from((*COEFFICIENTS, FIELD.zero))


def at_a_point(poly: Poly) -> Fraction:
    """The value at ``VALUES`` and m = 17."""
    return sum(
        (_coefficient(value) * _monomial(powers) for powers, value in poly.items()), Fraction(0)
    )


def _monomial(powers: Monomial) -> Fraction:
    return prod((VALUES[generator] ** power for generator, power in powers), start=Fraction(1))


def _coefficient(value: Coefficient) -> Fraction:
    number = value.as_expr().subs(Symbol("m"), 17)
    return Fraction(int(number.p), int(number.q))


@FEW
@given(polys, polys, polys)
def test_the_laws_of_a_ring(f: Poly, g: Poly, h: Poly) -> None:
    one: Poly = {ONE: FIELD.one}
    assert plus(f, g) == plus(g, f)
    assert plus(f, plus(g, h)) == plus(plus(f, g), h) == plus(f, g, h)
    assert times(f, g) == times(g, f)
    assert times(f, times(g, h)) == times(times(f, g), h)
    assert times(f, plus(g, h)) == plus(times(f, g), times(f, h))
    assert (plus(), plus(f, {}), times(f, one), times(f, {})) == ({}, f, f, {})
    assert plus(f, scale(f, -FIELD.one)) == {}


def test_equal_coefficients_are_one_object() -> None:
    square = times({ONE: m}, {ONE: m})[ONE]
    assert raised(m, 2) is square
    assert times({ONE: square}, {ONE: raised(m, -2)})[ONE] is FIELD.one
    assert rational(FIELD, 2, 4) is rational(FIELD, 1, 2)
    assert plus({ONE: rational(FIELD, 1, 2)}, {ONE: rational(FIELD, 1, 2)})[ONE] is FIELD.one


@FEW
@given(polys, polys, coefficients)
def test_values_are_added_and_multiplied(f: Poly, g: Poly, coefficient: Coefficient) -> None:
    assert at_a_point(plus(f, g)) == at_a_point(f) + at_a_point(g)
    assert at_a_point(times(f, g)) == at_a_point(f) * at_a_point(g)
    assert at_a_point(scale(f, coefficient)) == at_a_point(f) * _coefficient(coefficient)


@FEW
@given(polys, polys)
def test_no_coefficient_and_no_power_is_zero(f: Poly, g: Poly) -> None:
    minus = plus(f, scale(g, -FIELD.one))
    for poly in (plus(f, g), times(f, g), minus, times(plus(f, g), minus), scale(f, FIELD.zero)):
        assert all(poly.values())
        assert all(power for powers in poly for _, power in powers)


@FEW
@given(polys, polys)
def test_nothing_is_written_to(f: Poly, g: Poly) -> None:
    before = dict(f), dict(g)
    for operation in (plus, times):
        operation(f, g)
    common_monomial(f)
    assert (f, g) == before


@FEW
@given(monomials, monomials, st.integers(-3, 3))
def test_monomials_are_a_group(p: Monomial, q: Monomial, exponent: int) -> None:
    assert join(p, q) == join(q, p)
    assert join(p, ONE) == p
    assert join(p, power_of(p, -1)) == ONE
    assert _monomial(join(p, q)) == _monomial(p) * _monomial(q)
    assert _monomial(power_of(p, exponent)) == _monomial(p) ** exponent


@FEW
@given(st.permutations(GENERATORS))
def test_the_order_of_generators_is_fixed(order: list[Expr]) -> None:
    powers = monomial(dict.fromkeys(order, 1))
    assert [g for g, _ in powers] == sorted(GENERATORS, key=name_of)
    poly: Poly = {((g, 1),): FIELD.one for g in order}
    assert generators([poly]) == sorted(GENERATORS, key=name_of)
    assert monomial({a: 0, b: 1}) == ((b, 1),)


@FEW
@given(polys, monomials)
def test_the_common_monomial_divides_and_is_the_largest(f: Poly, p: Monomial) -> None:
    shared = common_monomial(f)
    rest: Poly = {join(powers, power_of(shared, -1)): value for powers, value in f.items()}
    assert all(power > 0 for powers in rest for _, power in powers)
    assert common_monomial(rest) == ONE
    assert times({shared: FIELD.one}, rest) == f
    if f:
        assert common_monomial(times(f, {p: FIELD.one})) == join(shared, p)


@pytest.mark.parametrize(
    ("terms", "shared"),
    [
        ([{a: 2}], {a: 2}),
        ([{a: 2, b: 1}, {a: 3}], {a: 2}),
        ([{a: -2}, {}], {a: -2}),
        ([{a: -2}, {a: 1}], {a: -2}),
        ([{a: 1}, {b: 1}], {}),
    ],
    ids=str,
)
def test_common_monomials(terms: list[dict[Expr, int]], shared: dict[Expr, int]) -> None:
    poly: Poly = {monomial(powers): FIELD.one for powers in terms}
    assert common_monomial(poly) == monomial(shared)


def test_a_poly_of_nothing_has_no_common_monomial() -> None:
    assert common_monomial({}) == ONE

"""Division by c(uʲ + k)ⁿ: inverses, partial fractions, and that the result is a basis."""

from __future__ import annotations

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sympy import QQ, Expr, Symbol
from sympy.polys.fields import FracField

from derive.denominators import Denominators
from derive.expr import Var
from derive.polynomial import ONE, Coefficient, Poly, monomial, plus, scale, times
from tests.derive.expressions import FEW

EPS = Symbol("eps")
FIELD = FracField([EPS], QQ)
(eps,) = FIELD.gens
u, v, r = Var("u", positive=True), Var("v", positive=True), Var("r", positive=True)
AT = {u: Fraction(3), v: Fraction(-5), r: Fraction(7)}
constants = st.sampled_from((eps, -eps, FIELD.one, eps + 1, FIELD(QQ(-2, 3)), 1 / eps))
exponents = st.integers(1, 3)


def poly_of(*terms: tuple[dict[Expr, int], Coefficient]) -> Poly:
    return plus(*({monomial(powers): value} for powers, value in terms))


def power(base: Poly, exponent: int) -> Poly:
    result: Poly = {ONE: FIELD.one}
    for _ in range(exponent):
        result = times(result, base)
    return result


def at_a_point(poly: Poly) -> Fraction:
    """The value at ``AT`` and ε = 17; a denominator is a sum like any other."""

    def number(expr: Expr) -> Fraction:
        value = expr.subs({**{g: QQ(int(x)) for g, x in AT.items()}, EPS: 17})
        return Fraction(int(value.p), int(value.q))

    total = Fraction(0)
    for powers, coefficient in poly.items():
        term = number(coefficient.as_expr())
        for generator, exponent in powers:
            term *= number(generator) ** exponent
        total += term
    return total


@FEW
@given(exponents, constants, constants, exponents, st.integers(-2, 2), st.sampled_from((u, r)))
def test_a_base_times_its_inverse_is_one(
    j: int, k: Coefficient, factor: Coefficient, n: int, beside: int, generator: Var
) -> None:
    """factor · vᵇ · (uʲ + k)ⁿ, u an ordinary generator or a root."""
    denominators = Denominators(FIELD, ["r"])
    base = power(poly_of(({generator: j}, FIELD.one), ({}, k)), n)
    base = scale(times(base, poly_of(({v: beside}, FIELD.one))), factor)
    inverse = denominators.inverse(base)
    assert inverse is not None
    assert denominators.reduce(times(base, inverse)) == {ONE: FIELD.one}
    assert at_a_point(inverse) == 1 / at_a_point(base)
    assert all(g == v or (g in denominators) or generator == r for p in inverse for g, _ in p)


def test_one_over_a_root_is_kept_as_the_root() -> None:
    """With r = 1/σ, 1/(1 + rε) is r⁻¹/(r⁻¹ + ε): the generator is σ + ε, as a person writes it."""
    denominators = Denominators(FIELD, ["r"])
    inverse = denominators.inverse(poly_of(({}, FIELD.one), ({r: 1}, eps)))
    assert inverse is not None
    ((powers, value),) = inverse.items()
    assert value == 1
    assert dict(powers) == {r: -1, r**-1 + EPS: -1}


@pytest.mark.parametrize(
    "base",
    [
        poly_of(({u: 1}, FIELD.one), ({v: 1}, FIELD.one)),
        poly_of(({u: 1}, FIELD.one), ({v: 1}, FIELD.one), ({}, FIELD.one)),
        poly_of(({u: 2}, FIELD.one), ({u: 1}, FIELD.one), ({}, FIELD.one)),
        poly_of(({u: 3}, FIELD.one), ({u: 2}, FIELD.one), ({}, eps)),
        poly_of(({u: 2}, FIELD.one), ({u: 1}, 2 * eps), ({}, eps)),
    ],
    ids=["u + v", "u + v + 1", "u^2 + u + 1", "u^3 + u^2 + k", "no square"],
)
def test_what_has_another_shape_has_no_inverse(base: Poly) -> None:
    denominators = Denominators(FIELD, [])
    assert denominators.inverse(base) is None
    assert denominators.reduce(base) == base


@FEW
@given(
    exponents,
    constants,
    st.lists(st.tuples(st.integers(-4, 4), st.integers(-2, 2), st.integers(-3, 2)), max_size=4),
    st.sampled_from((u, r)),
)
def test_partial_fractions_keep_the_value_and_reach_the_basis(
    j: int, k: Coefficient, terms: list[tuple[int, int, int]], generator: Var
) -> None:
    denominators = Denominators(FIELD, ["r"])
    inverse = denominators.inverse(poly_of(({generator: j}, FIELD.one), ({}, k)))
    assert inverse is not None
    (d,) = (g for powers in inverse for g, _ in powers if g in denominators)
    poly = plus(
        *(
            poly_of(({generator: a, v: b, d: e}, FIELD(QQ(i + 1))))
            for i, (a, b, e) in enumerate(terms)
        )
    )
    reduced = denominators.reduce(poly)
    assert at_a_point(reduced) == at_a_point(poly)
    assert denominators.reduce(reduced) == reduced
    sign = 1 if generator == u else -1
    for powers in reduced:
        found = dict(powers)
        assert found.get(d, 0) <= 0
        if d in found:
            assert 0 <= sign * found.get(generator, 0) < j


@FEW
@given(exponents, st.data())
def test_different_elements_of_the_basis_are_independent(j: int, data: st.DataObject) -> None:
    """Two ways to the same fraction: multiplied by (uʲ + k)/d and by nothing."""
    denominators = Denominators(FIELD, [])
    base = poly_of(({u: j}, FIELD.one), ({}, eps))
    inverse = denominators.inverse(base)
    assert inverse is not None
    a, e = data.draw(st.integers(-4, 4)), data.draw(st.integers(0, 3))
    fraction = times(poly_of(({u: a}, FIELD.one)), power(inverse, e))
    again = times(times(fraction, power(base, 2)), power(inverse, 2))
    assert denominators.reduce(again) == denominators.reduce(fraction)
    other = plus(again, fraction)
    assert denominators.reduce(other) != denominators.reduce(fraction)


def test_two_denominators_in_different_quantities() -> None:
    denominators = Denominators(FIELD, [])
    bases = [poly_of(({g: 1}, FIELD.one), ({}, eps)) for g in (u, v)]
    first, second = (denominators.inverse(base) for base in bases)
    assert first is not None
    assert second is not None
    for f, g in product((first, second), repeat=2):
        whole = times(times(f, g), times(*bases))
        assert at_a_point(denominators.reduce(whole)) == at_a_point(whole)
    assert denominators.reduce(times(times(first, second), times(*bases))) == {ONE: FIELD.one}

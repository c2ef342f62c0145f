"""The exact numbers: field laws, roots that respect products, a formal exponential."""

from __future__ import annotations

import operator
from fractions import Fraction
from itertools import combinations
from math import gcd, prod
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from verify.fields import (
    FIELDS,
    GENERATOR,
    PRIME_FIELD,
    PRIME_POWERS,
    RATIONALS,
    Field,
    Mod,
    NotASquare,
    P,
    discrete_logarithm,
)

elements = st.integers(min_value=-(2**70), max_value=2**70).map(Mod)


@given(elements, elements, elements)
@settings(max_examples=50, deadline=None)
def test_mod_is_a_field(a: Mod, b: Mod, c: Mod) -> None:
    assert a + b == b + a
    assert (a + b) + c == a + (b + c)
    assert (a * b) * c == a * (b * c)
    assert a * (b + c) == a * b + a * c
    assert a - a == 0
    assert -a + a == 0
    if a != 0:
        assert b / a * a == b
        assert a**-3 * a**3 == 1


def test_mod_mixes_with_int_only() -> None:
    seven = Mod(7)
    assert (1 + seven, 1 - seven, 2 * seven) == (Mod(8), Mod(-6), Mod(14))
    assert 14 / seven == 2
    assert seven / 7 == 1
    assert seven == P + 7
    assert hash(seven) == hash(Mod(7 + P))
    assert seven != Fraction(1, 2)
    for operation in (operator.add, operator.sub, operator.mul, operator.truediv):
        for wrong in (0.5, Fraction(1, 2)):
            with pytest.raises(TypeError):
                operation(seven, wrong)
    with pytest.raises(TypeError):
        seven**0.5  # type: ignore[operator]  # on purpose


@pytest.mark.parametrize("zero", [0, P, -P])
def test_division_by_zero(zero: int) -> None:
    for divisor in (zero, Mod(zero)):
        with pytest.raises(ZeroDivisionError):
            Mod(1) / divisor
    with pytest.raises(ZeroDivisionError):
        Mod(zero) ** -1


def test_numbers_are_exact() -> None:
    assert RATIONALS.number(Fraction(1, 3)) * 3 == 1
    assert PRIME_FIELD.number(Fraction(1, 3)) * 3 == 1
    assert isinstance(RATIONALS.number(1) / 3, Fraction)


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_roots(field: Field) -> None:
    rng = Random(1)
    for _ in range(100):
        a, b = field.random(rng) / 7, field.random(rng) / 3
        root = field.sqrt(a * a)
        assert root in (a, -a)
        assert field.sqrt((-a) ** 2) == root  # one of the two, whatever it came from
        assert field.sqrt(a**2 * b**2) == root * field.sqrt(b**2)


def test_no_root() -> None:
    for number in (Fraction(2), Fraction(-4), Fraction(4, 3), Fraction(3, 4)):
        with pytest.raises(NotASquare, match="not the square of a rational"):
            RATIONALS.sqrt(number)
    assert RATIONALS.sqrt(Fraction(4, 9)) == Fraction(2, 3)
    rng, roots = Random(2), 0
    for _ in range(200):
        a = PRIME_FIELD.random(rng)
        try:
            assert PRIME_FIELD.sqrt(a) ** 2 == a
            roots += 1
        except NotASquare:
            assert PRIME_FIELD.sqrt(-a) ** 2 == -a  # -1 has no root: one of a and -a has
    assert 60 < roots < 140


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_exp_turns_sums_into_products(field: Field) -> None:
    rng = Random(3)
    a, b = field.random(rng), field.random(rng)
    assert field.exp(a + b) == field.exp(a) * field.exp(b)
    assert field.exp(a - b) == field.exp(a) / field.exp(b)
    assert field.exp(2 * a) == field.exp(a) ** 2
    assert field.exp(a) not in (0, 1)
    assert field.exp(a * 0) == 1


def test_exp_of_a_fraction_is_refused_over_the_rationals() -> None:
    with pytest.raises(NotASquare, match="not rational"):
        RATIONALS.exp(Fraction(1, 2))


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_log_is_the_inverse_of_exp(field: Field) -> None:
    rng = Random(4)
    for _ in range(50):
        a, b = field.random(rng), field.random(rng)
        assert field.log(field.exp(a)) == a
        assert field.log(field.exp(a) * field.exp(b)) == a + b
        assert field.log(field.exp(a) / field.exp(b)) == a - b
    assert field.log(field.number(1)) == 0


def test_every_element_but_zero_has_a_discrete_logarithm() -> None:
    assert prod(PRIME_POWERS) == P - 1
    assert all(gcd(a, b) == 1 for a, b in combinations(PRIME_POWERS, 2))
    values = [Random(7).randrange(1, P) for _ in range(200)]
    for value in (1, 2, P - 1, *values):
        k = discrete_logarithm(value)
        assert 0 <= k < P - 1
        assert pow(GENERATOR, k, P) == value
        assert PRIME_FIELD.exp(PRIME_FIELD.log(Mod(value))) == value
    with pytest.raises(NotASquare, match="0 has no logarithm"):
        PRIME_FIELD.log(Mod(0))


@pytest.mark.parametrize("value", [Fraction(3), Fraction(3, 2), Fraction(-2), Fraction(0)])
def test_the_logarithm_of_what_is_no_power_of_two_is_refused(value: Fraction) -> None:
    with pytest.raises(NotASquare, match="not a whole power of 2"):
        RATIONALS.log(value)
    assert RATIONALS.log(Fraction(1, 8)) == -3


@pytest.mark.parametrize("field", FIELDS, ids=lambda field: field.name)
def test_random_elements_are_nonzero_and_repeatable(field: Field) -> None:
    drawn = [field.random(Random(5)) for _ in range(3)]
    assert len(set(drawn)) == 1
    rng = Random(6)
    assert all(field.random(rng) != 0 for _ in range(500))

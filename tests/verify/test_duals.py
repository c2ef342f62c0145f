"""Dual numbers: first derivatives, nested ones, and over every kind of number."""

from __future__ import annotations

import operator
from collections.abc import Callable
from fractions import Fraction

import pytest
from mpmath import MPContext

from verify.duals import Dual, Duals
from verify.fields import PRIME_FIELD, RATIONALS, Arithmetic, Mod, NotASquare, Scalar
from verify.precise import Reals

Function = Callable[[Arithmetic, Scalar], Scalar]

# f and f', at a point at which every root is rational and every exponent whole.
FIRST: dict[str, tuple[Function, Function]] = {
    "x + x": (lambda k, x: x + x, lambda k, x: 2),
    "3 + x": (lambda k, x: 3 + x, lambda k, x: 1),
    "x - 3": (lambda k, x: x - 3, lambda k, x: 1),
    "3 - x": (lambda k, x: 3 - x, lambda k, x: -1),
    "x - x^2": (lambda k, x: x - x * x, lambda k, x: 1 - 2 * x),
    "-x": (lambda k, x: -x, lambda k, x: -1),
    "3 x": (lambda k, x: 3 * x, lambda k, x: 3),
    "x 3": (lambda k, x: x * 3, lambda k, x: 3),
    "x / 3": (lambda k, x: x / 3, lambda k, x: k.number(Fraction(1, 3))),
    "3 / x": (lambda k, x: 3 / x, lambda k, x: -3 / x**2),
    "x / (x + 1)": (lambda k, x: x / (x + 1), lambda k, x: 1 / (x + 1) ** 2),
    "x^0": (lambda k, x: x**0, lambda k, x: 0),
    "x^1": (lambda k, x: x**1, lambda k, x: 1),
    "x^5": (lambda k, x: x**5, lambda k, x: 5 * x**4),
    "x^-2": (lambda k, x: x**-2, lambda k, x: -2 * x**-3),
    "sqrt x": (lambda k, x: k.sqrt(x), lambda k, x: 1 / (2 * k.sqrt(x))),
    "exp x": (lambda k, x: k.exp(x), lambda k, x: k.exp(x)),
    "log x": (lambda k, x: k.log(x), lambda k, x: 1 / x),
    "log(exp x)": (lambda k, x: k.log(k.exp(x)), lambda k, x: 1),
    "sqrt(x) exp(x)": (
        lambda k, x: k.sqrt(x) * k.exp(x),
        lambda k, x: k.exp(x) * (k.sqrt(x) + 1 / (2 * k.sqrt(x))),
    ),
}


@pytest.mark.parametrize("base", [RATIONALS, PRIME_FIELD], ids=lambda field: field.name)
@pytest.mark.parametrize("name", FIRST)
def test_first_derivative(base: Arithmetic, name: str) -> None:
    function, slope = FIRST[name]
    duals, x = Duals(base), base.number(16)
    result = function(duals, duals.variable(x))
    assert result.re == function(base, x)
    assert duals.derivative(result) == slope(base, x)


@pytest.mark.parametrize("name", FIRST)
def test_first_derivative_in_high_precision(name: str) -> None:
    function, slope = FIRST[name]
    context = MPContext()
    context.dps = 60
    base = Reals(context)
    duals, x = Duals(base), base.number(Fraction(7, 3))
    error = duals.derivative(function(duals, duals.variable(x))) - slope(base, x)
    assert abs(error) < context.mpf(10) ** -55


@pytest.mark.parametrize("base", [RATIONALS, PRIME_FIELD], ids=lambda field: field.name)
def test_nested_duals_give_higher_derivatives(base: Arithmetic) -> None:
    first = Duals(base)
    second, third = Duals(first), Duals(Duals(first))
    x = base.number(4)
    xx = second.variable(first.variable(x))
    assert (xx**5).du.du == 20 * x**3
    assert second.sqrt(xx).du.du == -1 / (4 * base.sqrt(x) ** 3)
    assert second.exp(2 * xx).du.du == 4 * base.exp(2 * x)
    assert second.log(xx).du.du == -1 / x**2
    assert (1 / xx).du.du == 2 / x**3
    xxx = third.variable(second.variable(first.variable(x)))
    assert (xxx**-1).du.du.du == -6 / x**4


def test_mixed_second_derivative() -> None:
    first = Duals(RATIONALS)
    second = Duals(first)
    x, y = Fraction(2), Fraction(5)
    xx = Dual(first.variable(x), first.number(0), level=2)  # moves by e1
    yy = second.variable(first.number(5))  # moves by e2
    assert (xx**3 * yy**2).du.du == 6 * x**2 * y
    assert (xx / yy).du.du == -1 / y**2


def test_depths_do_not_mix() -> None:
    first = Duals(RATIONALS)
    second = Duals(first)
    shallow, deep = first.number(1), second.number(1)
    for operation in (operator.add, operator.sub, operator.mul, operator.truediv):
        for pair in ((shallow, deep), (deep, shallow)):
            with pytest.raises(TypeError, match="do not mix"):
                operation(*pair)


def test_constants() -> None:
    duals = Duals(PRIME_FIELD)
    assert duals.derivative(Mod(5)) == 0
    assert duals.number(3) == 3
    assert duals.variable(Mod(3)) != 3
    assert duals.variable(Mod(3), Mod(2)).du == 2
    assert duals.sqrt(Mod(16)) ** 2 == 16
    with pytest.raises(TypeError):
        duals.variable(Mod(3)) ** 0.5  # type: ignore[operator]  # on purpose


def test_no_root_is_passed_on() -> None:
    with pytest.raises(NotASquare):
        Duals(RATIONALS).sqrt(Dual(Fraction(2), Fraction(1)))

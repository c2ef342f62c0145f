"""Expectations against the mean over every sample that can be drawn from a small population."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from fractions import Fraction
from itertools import product

import pytest
from sympy import Expr, Integer, Rational, exp

from derive.chart import Chart, NotNormalError
from derive.expectation import Expected, Population, expected, linear
from derive.expr import Axis, Delta, SumOver, Var, add, mean, mul
from derive.normal_form import NormalForm

n = Axis("n", "m")
i, j = n.prime(), n.prime(2)
x = Var("x", n)
M, V = Var("M"), Var("V")
PLAIN = NormalForm(Chart(constants=(n.size,)))
POPULATION = Population(x, M, V)
DRAWN_FROM = (Fraction(-1), Fraction(2), Fraction(5, 2), Fraction(2))  # 2 twice as likely

Statistic = Callable[[Sequence[Fraction]], Fraction]


def _mean(values: Sequence[Fraction]) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


def _variance(values: Sequence[Fraction]) -> Fraction:
    return _mean([(v - _mean(values)) ** 2 for v in values])


CASES: dict[str, tuple[Expr, Statistic]] = {
    "a constant": (Integer(3), lambda _: Fraction(3)),
    "one element": (x.at(i), lambda s: s[0]),
    "its square": (x.at(i) ** 2, lambda s: s[0] ** 2),
    "the mean": (mean(x, n), _mean),
    "the mean squared": (mean(x, n) ** 2, lambda s: _mean(s) ** 2),
    "the mean of squares": (mean(x**2, n), lambda s: _mean([v * v for v in s])),
    "the variance": (mean((x - mean(x.at(i), i)) ** 2, n), _variance),
    "a mixture": (
        2 * SumOver(x, n) * x.at(i) - x.at(i) / 3 + 1,
        lambda s: 2 * sum(s) * s[0] - s[0] / 3 + 1,
    ),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("size", [2, 3, 4])
def test_every_sample(name: str, size: int) -> None:
    expr, statistic = CASES[name]
    samples = list(product(DRAWN_FROM, repeat=size))
    truth = sum(map(statistic, samples), Fraction(0)) / len(samples)
    values = {
        M: Rational(_mean(DRAWN_FROM)),
        V: Rational(_variance(DRAWN_FROM)),
        n.size: Integer(size),
    }
    result = PLAIN.expr(PLAIN.poly(expected(Expected(expr), POPULATION, PLAIN)))
    assert result.subs(values) == Rational(truth)


def test_independence() -> None:
    product_of_two = expected(Expected(mul(x.at(i), x.at(j))), POPULATION, PLAIN)
    assert PLAIN.zero(product_of_two - M**2 - V * Delta(i, j))
    assert not PLAIN.zero(product_of_two - M**2 - V)


def test_linear_leaves_products_of_elements() -> None:
    inside = linear(Expected(mean(x, n) ** 2), POPULATION, PLAIN)
    bodies = {node.args[0] for node in inside.atoms(Expected)}
    assert len(bodies) == 1
    assert all(body.atoms(Var) <= {x, x.at(i)} for body in bodies)
    assert PLAIN.zero(
        add(
            expected(inside, POPULATION, PLAIN),
            mul(-1, expected(Expected(mean(x, n) ** 2), POPULATION, PLAIN)),
        )
    )


@pytest.mark.parametrize(
    "body", [x.at(i) ** 3, SumOver(x, n) ** 2 * x.at(i), 1 / x.at(i), exp(x.at(i))], ids=str
)
def test_what_two_moments_do_not_determine_is_refused(body: Expr) -> None:
    with pytest.raises(NotNormalError, match="the expectation of"):
        expected(Expected(body), POPULATION, PLAIN)

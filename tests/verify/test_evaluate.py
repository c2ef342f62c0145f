"""Formulas by loops: each node, scoping of indices, and what is refused."""

from __future__ import annotations

from fractions import Fraction

import pytest
from sympy import Add, Expr, Float, Function, Integer, Pow, Rational, Symbol, exp, log, pi, sin

from derive.expr import HALF, Axis, Delta, SumOver, Var, add, mean, mul
from verify.duals import Dual, Duals
from verify.evaluate import evaluate
from verify.fields import PRIME_FIELD, RATIONALS, Mod, NotASquare, Scalar, Values

n, c = Axis("n", "m"), Axis("c", "C")
n1 = n.prime()
x, g = Var("x", n, c), Var("g", c)
SIZES = {"m": 3, "C": 2}
ROWS = [[1, 4], [2, -5], [6, 9]]
VALUES: Values = {
    "x": {(i, j): Fraction(value) for i, row in enumerate(ROWS) for j, value in enumerate(row)},
    "g": {(0,): Fraction(7), (1,): Fraction(-2)},
}

CASES: list[tuple[Expr, Scalar]] = [
    (x, 2),
    (x.at(n1, c), 6),
    (g, 7),
    (n.size, 3),
    (Pow(n.size, -1), Fraction(1, 3)),
    (Rational(-2, 3), Fraction(-2, 3)),
    (add(x, mul(-1, g)), -5),
    (mul(2, x, g), 28),
    (Pow(x, -2), Fraction(1, 4)),
    (Pow(add(x, 2), HALF), 2),
    (Pow(add(x, 2), -3 * HALF), Fraction(1, 8)),
    (exp(x), 4),
    (mul(exp(x), exp(x.at(n1, c))), 256),
    (Pow(exp(x), 2), 16),
    (log(x), 1),
    (log(mul(x, Pow(x.at(n1, c), -1), 12)), 2),
    (SumOver(x, n), 9),
    (SumOver(x, c), -3),
    (SumOver(x, n, c), 17),
    (SumOver(mul(x, g), n, c), 7 * 9 - 2 * 8),
    (mean(x, n), 3),
    (mul(x, SumOver(x, n)), 18),  # the bound n hides the outer one
    (SumOver(mul(x, SumOver(x, n)), c), 18 - 5 * 8),
    (SumOver(mul(x, SumOver(x, n)), n), 81),
    (SumOver(mul(x, SumOver(x.at(n1, c), n1)), n), 81),
    (SumOver(mul(x, Delta(n, n1)), n), 6),
    (Delta(n, n1), 0),
    (Delta(n, n), 1),
    (Pow(SumOver(Pow(x, 2), n), -1), Fraction(1, 41)),
    (Integer(0), 0),
]


@pytest.mark.parametrize(("expr", "expected"), CASES, ids=lambda value: str(value))
def test_rationals(expr: Expr, expected: Scalar) -> None:
    result = evaluate(expr, RATIONALS, VALUES, SIZES, {n: 1, n1: 2, c: 0})
    assert result == expected
    assert not isinstance(result, float)


def test_prime_field_and_dual_numbers() -> None:
    body = add(mul(Pow(x, 2), Pow(n.size, -1)), Pow(x, -1))
    expr = SumOver(body, n)
    modular = {"x": {at: Mod(int(value)) for at, value in VALUES["x"].items()}}
    expected = PRIME_FIELD.number(Fraction(41, 3) + 1 + Fraction(1, 2) + Fraction(1, 6))
    assert evaluate(expr, PRIME_FIELD, modular, SIZES, {c: 0}) == expected
    moved = {"x": {at: Dual(value, Fraction(at == (1, 0))) for at, value in VALUES["x"].items()}}
    derivative = Fraction(4, 3) - Fraction(1, 4)
    assert evaluate(expr, Duals(RATIONALS), moved, SIZES, {c: 0}).du == derivative


@pytest.mark.parametrize(
    ("expr", "kind"),
    [
        (sin(x), "sin"),
        (Float(0.5), "Float"),
        (pi, "Pi"),
        (n, "Axis"),
        (Function("f")(x), "f"),
        (Add(x, sin(x), evaluate=False), "sin"),
    ],
    ids=str,
)
def test_unknown_nodes_are_refused(expr: Expr, kind: str) -> None:
    with pytest.raises(TypeError, match=f"^{kind} cannot be evaluated"):
        evaluate(expr, RATIONALS, VALUES, SIZES, {n: 1, c: 0})


@pytest.mark.parametrize("exponent", [Rational(1, 3), x, Symbol("m")], ids=str)
def test_other_powers_are_refused(exponent: Expr) -> None:
    with pytest.raises(TypeError, match="exponent"):
        evaluate(Pow(g, exponent), RATIONALS, VALUES, SIZES, {n: 1, c: 0})


def test_missing_values_sizes_and_indices() -> None:
    for expr in (Var("z"), Symbol("k"), x):
        with pytest.raises(KeyError):
            evaluate(expr, RATIONALS, VALUES, SIZES, {c: 0})


def test_undefined_values() -> None:
    with pytest.raises(ZeroDivisionError):
        evaluate(Pow(add(x, -2), -1), RATIONALS, VALUES, SIZES, {n: 1, c: 0})
    with pytest.raises(NotASquare):
        evaluate(Pow(x, HALF), RATIONALS, VALUES, SIZES, {n: 1, c: 0})

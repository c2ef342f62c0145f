"""The printed line, read by rules of its own, has the value of the expression."""

from __future__ import annotations

from itertools import product

import pytest
from hypothesis import example, given, settings
from sympy import Expr

from derive.expr import Axis, SumOver, add, adjoint, free_axes, mul
from derive.render import PAPER, ByCase, JacobianEntry, equation, formula, to_line
from tests.derive.render.formulas import ALL, DX, HALF, PLAIN, gamma, m, n, n1, spread, x, x_hat, y
from tests.derive.render.reader import SIZES, Reader, loop
from tests.derive.render.strategies import expressions

LETTERS = ("ijk", "rst")


def letters_of(free: frozenset[Axis], shown: tuple[str, ...]) -> dict[Axis, str]:
    """Free axes get the first letters of their alphabet, by level."""
    result: dict[Axis, str] = {}
    for base, alphabet in zip(shown, LETTERS, strict=False):
        axes = sorted((axis for axis in free if axis.base == base), key=lambda axis: axis.level)
        result |= dict(zip(axes, alphabet, strict=False))
    return result


def disagreement(text: str, expr: Expr, free: frozenset[Axis], shown: tuple[str, ...]) -> float:
    """The largest relative difference between what the text says and the expression."""
    axes = {axis.base: axis for axis in (*free, *expr.atoms(Axis))}
    sizes = {
        letter: axes[base].size.name
        for base, alphabet in zip(shown, LETTERS, strict=False)
        if base in axes
        for letter in alphabet
    }
    reader, letters = Reader(text, sizes), letters_of(free, shown)
    worst = 0.0
    for entry in product(*(range(SIZES[axis.size.name]) for axis in letters)):
        indices = dict(zip(letters, entry, strict=True))
        wanted = loop(expr, indices, shown)
        got = reader.evaluate({letter: indices[axis] for axis, letter in letters.items()})
        worst = max(worst, abs(got - wanted) / max(1.0, abs(wanted)))
    return worst


@pytest.mark.parametrize("name", ALL)
def test_printed_formulas_mean_what_they_print(name: str) -> None:
    entry = ALL[name]
    lhs, rhs = entry.lhs, entry.rhs
    text = to_line(equation(lhs, rhs, entry.notation, entry.shown), ascii=True)
    left, right = text.split(" = ", maxsplit=1)
    if isinstance(lhs, JacobianEntry):
        free = free_axes(lhs.of) | free_axes(lhs.wrt)
    else:
        free = free_axes(lhs)
        assert disagreement(left, lhs, free, entry.shown) < 1e-12
    if isinstance(rhs, ByCase):
        equal, different = right.strip("{}").split("; ")
        pairs = [(equal, " if i = j", rhs.equal), (different, " if i != j", rhs.different)]
    else:
        pairs = [(right, "", rhs)]
    for printed, condition, expr in pairs:
        assert printed.endswith(condition)
        body = printed.removesuffix(condition)
        assert disagreement(body, expr, free, entry.shown) < 1e-12


@settings(max_examples=300, deadline=None)
@given(expressions)
@example(DX)
@example(mul(SumOver(x, n), SumOver(x, n), adjoint(y)))  # a bare Σ would swallow the next
@example(mul(x, SumOver(mul(x, SumOver(mul(x, x_hat.at(n1, x.axes[1])), n)), n1)))
@example(SumOver(add(x, m), n) ** -1)
@example(mul(adjoint(y) ** -1, m))
@example(add(x, 1) ** -2)
def test_random_expressions_mean_what_they_print(expr: Expr) -> None:
    text = to_line(formula(expr, PLAIN, ("n",)), ascii=True)
    assert disagreement(text, expr, free_axes(expr), ("n",)) < 1e-9


DAMAGES = [
    ("- x_hat_i", "+ x_hat_i"),
    ("_j x_hat_j", "_j x_hat_i"),
    ("(m dl", "(2 m dl"),
    ("/(m sqrt", "/(sqrt"),
    ("sum_j dl/dy_j -", "dl/dy_i -"),
    ("gamma/", "gamma "),
]


@pytest.mark.parametrize(("old", "new"), DAMAGES)
def test_a_damaged_line_is_seen(old: str, new: str) -> None:
    rhs = mul(gamma, m**-1, spread(-HALF), DX)
    text = to_line(formula(rhs, PAPER, ("n",)), ascii=True)
    damaged = text.replace(old, new)
    assert damaged != text
    assert disagreement(damaged, rhs, free_axes(x), ("n",)) > 1e-3

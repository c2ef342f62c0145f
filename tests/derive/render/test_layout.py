"""Letters, order and parentheses: what is decided before anything is drawn."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import pytest
from sympy import Expr, Float, Integer, Rational, pi, sin

from derive.expr import Axis, Delta, SumOver, Var, add, adjoint, mul
from derive.render import PAPER, JacobianEntry, equation, formula, to_latex, to_line, to_text
from derive.render.tree import Node
from tests.derive.render.formulas import (
    PLAIN,
    centred,
    eps,
    gamma,
    lc,
    ln,
    lx,
    m,
    mu,
    n,
    n1,
    spread,
    var,
    x,
    x_hat,
    y,
)


def show(expr: Expr, shown: tuple[str, ...] = ("n",)) -> str:
    return to_line(formula(expr, PAPER, shown))


dy, column = adjoint(y), x.axes[1]
PRODUCTS = [
    (mul(x_hat, gamma, m, 2), "2 m γ x̂ᵢ"),
    (mul(spread(Rational(1, 2)), x_hat, gamma), "γ √(σ²_B + ε) x̂ᵢ"),
    (mul(centred(), m**-1, gamma), "(γ/m) (xᵢ − μ_B)"),
    (mul(dy, x_hat), "∂ℓ/∂yᵢ x̂ᵢ"),
    (mul(dy, centred(), x_hat), "(xᵢ − μ_B) ∂ℓ/∂yᵢ x̂ᵢ"),
    (mul(-2, centred() ** 2), "−2(xᵢ − μ_B)²"),
    (mul(Rational(-1, 2)), "−1/2"),
    (mul(Delta(n, n1), spread(Rational(-1, 2))), "(1/√(σ²_B + ε)) δᵢⱼ"),
    (mul(SumOver(x, n), SumOver(x, n)), "(Σᵢ xᵢ)²"),
    (mul(SumOver(x, n), SumOver(y, n)), "(Σᵢ xᵢ) Σᵢ yᵢ"),
    (mul(SumOver(mul(-1, x), n), SumOver(mul(-1, y), n), -1), "−(Σᵢ xᵢ) Σᵢ yᵢ"),
    (mul(add(x, SumOver(x, n)), m**-1), "(1/m) (xᵢ + Σⱼ xⱼ)"),
]


@pytest.mark.parametrize(("expr", "wanted"), PRODUCTS)
def test_order_of_factors(expr: Expr, wanted: str) -> None:
    assert show(expr) == wanted


def test_terms_keep_their_order() -> None:
    assert show(add(mul(-1, mu), x)) == "−μ_B + xᵢ"
    assert show(add(x, mul(-1, mu))) == "xᵢ − μ_B"


POWERS = [
    (var**2, "(σ²_B)²"),
    (mu**2, "(μ_B)²"),
    (x_hat**3, "x̂ᵢ³"),
    (gamma ** Rational(3, 2), "γ^(3/2)"),
    (dy**2, "(∂ℓ/∂yᵢ)²"),
    (x**-2, "1/xᵢ²"),
    (SumOver(x, n) ** -1, "1/(Σᵢ xᵢ)"),
    (Integer(2) ** m, "(2)^(m)"),
]


@pytest.mark.parametrize(("expr", "wanted"), POWERS)
def test_powers(expr: Expr, wanted: str) -> None:
    assert show(expr) == wanted


def test_a_bound_index_avoids_every_index_of_the_equation() -> None:
    total = SumOver(x, n)
    assert show(total) == "Σᵢ xᵢ"
    assert to_line(equation(y, total, PAPER, ("n",))) == "yᵢ = Σⱼ xⱼ"
    entry = JacobianEntry(y, x.at(n1, column))
    assert to_line(equation(entry, total, PAPER, ("n",))) == "∂yᵢ/∂xⱼ = Σₖ xₖ"
    # A nested sum over the same axis hides the outer one; the letters still differ.
    assert show(SumOver(mul(x, SumOver(x, n)), n)) == "Σᵢ xᵢ Σⱼ xⱼ"
    assert show(SumOver(mul(x, SumOver(mul(x, x.at(n1, column)), n1)), n)) == "Σᵢ xᵢ Σⱼ xᵢ xⱼ"


def test_the_second_axis_has_letters_of_its_own() -> None:
    both = SumOver(mul(lx, SumOver(lx, lc)), ln)
    assert to_line(formula(both, PLAIN, ("c", "n"))) == "Σᵣ xᵣᵢ Σⱼ xᵣⱼ"
    assert to_line(formula(lx, PLAIN, ("n", "c"))) == "xᵢᵣ"


def test_letters_do_not_run_out() -> None:
    expr: Expr = x
    for _ in range(5):
        expr = SumOver(mul(x, expr), n)
    assert show(expr).startswith("Σᵢ xᵢ Σⱼ xⱼ Σₖ xₖ Σᵢ₂ xᵢ₂ Σᵢ₃ xᵢ₃")


@pytest.mark.parametrize(
    "expr", [SumOver(x, n), Delta(n, n1), mul(x, x.at(n1, column)), SumOver(mul(x, y), n, column)]
)
def test_an_axis_that_matters_cannot_be_hidden(expr: Expr) -> None:
    with pytest.raises(ValueError, match="must be shown"):
        formula(expr, PAPER, ())


def test_shown_axes_are_few_and_different() -> None:
    for shown in (("n", "n"), ("a", "b", "c", "d", "e", "f")):
        with pytest.raises(ValueError, match="up to 5 different axes"):
            formula(x, PAPER, shown)


def test_an_adjoint_is_no_jacobian_entry() -> None:
    with pytest.raises(ValueError, match="not an entry of a Jacobian"):
        JacobianEntry(y, dy)


@pytest.mark.parametrize("expr", [Float(0.5), pi, sin(x), Axis("n", "m"), add(x, mul(2, pi))])
def test_unknown_expressions_are_refused(expr: Expr) -> None:
    with pytest.raises(TypeError, match=r"no layout for (Float|Pi|sin|Axis)"):
        show(expr)


def test_unknown_nodes_are_refused_by_every_renderer() -> None:
    @dataclass(frozen=True)
    class Matrix:
        pass

    tree = cast("Node", Matrix())
    renderers: list[Any] = [to_text, to_line, to_latex]
    for renderer in renderers:
        with pytest.raises(TypeError, match="Matrix"):
            renderer(tree)


def test_parameters_print_by_name_and_unknown_labels_as_themselves() -> None:
    assert show(mul(eps, Var("momentum"))) == "ε momentum"
    assert show(adjoint(Var("w_1", n))) == "∂ℓ/∂w_1ᵢ"

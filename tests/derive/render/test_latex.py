"""LaTeX: golden formulas, and balance for whatever comes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Expr

from derive.expr import Var, adjoint, mul, tangent
from derive.render import PAPER, equation, formula, notation, to_latex
from tests.derive.render.formulas import ALL, PLAIN, Formula, var
from tests.derive.render.latex_faults import faults
from tests.derive.render.strategies import expressions

GOLDEN = {
    "batch norm: x_hat": r"\hat{x}_i = \frac{x_i - \mu_B}{\sqrt{\sigma_B^2 + \varepsilon}}",
    "batch norm: y": r"y_i = \gamma \hat{x}_i + \beta",
    "batch norm: dvar": r"\frac{\partial \ell}{\partial \sigma_B^2} = -\sum_{i=1}^{m} "
    r"\frac{x_i - \mu_B}{2 (\sigma_B^2 + \varepsilon)^{3/2}} "
    r"\frac{\partial \ell}{\partial \hat{x}_i}",
    "batch norm: dx_closed": r"\frac{\partial \ell}{\partial x_i} = "
    r"\frac{\gamma}{m \sqrt{\sigma_B^2 + \varepsilon}} "
    r"\left(m \frac{\partial \ell}{\partial y_i} "
    r"- \sum_{j=1}^{m} \frac{\partial \ell}{\partial y_j} "
    r"- \hat{x}_i \sum_{j=1}^{m} \frac{\partial \ell}{\partial y_j} \hat{x}_j\right)",
    "batch norm: r": r"R_{ij} = m \delta_{ij} - 1 - \hat{x}_i \hat{x}_j",
    "batch norm: jacobian": r"\frac{\partial y_i}{\partial x_j} = u R_{ij}",
    "layer norm: var": r"\sigma_r^2 = \frac{1}{m} \sum_{i=1}^{m} (x_{ri} - \mu_r)^2",
    "softmax: p_full": r"p_i = \frac{\exp(x_i)}{\sum_{j=1}^{m} \exp(x_j)}",
}


def latex(entry: Formula) -> str:
    return to_latex(equation(entry.lhs, entry.rhs, entry.notation, entry.shown))


@pytest.mark.parametrize("name", GOLDEN)
def test_golden(name: str) -> None:
    assert latex(ALL[name]) == GOLDEN[name]


@pytest.mark.parametrize("name", ALL)
def test_formulas_balance_and_are_ascii(name: str) -> None:
    text = latex(ALL[name])
    assert not faults(text)
    assert text.isascii()


@settings(max_examples=200, deadline=None)
@given(expressions)
def test_random_expressions_balance(expr: Expr) -> None:
    assert not faults(to_latex(formula(expr, PLAIN, ("n",))))


@pytest.mark.parametrize("text", ["{x", "x}", r"\left(x)", r"(\frac{1)}{2}", r"\begin{cases} x"])
def test_the_check_of_balance_sees_faults(text: str) -> None:
    assert faults(text)


@given(st.text("ab_{}%#$&^~\\", min_size=1, max_size=6))
def test_any_label_is_escaped(label: str) -> None:
    text = to_latex(formula(adjoint(Var(label)), PLAIN, ()))
    assert not faults(text)
    assert not re.search(r"(?<!\\)[_%#$&~]", text.replace(r"\backslash", ""))


def test_names() -> None:
    def show(quantity: Var) -> str:
        return to_latex(formula(quantity, PAPER, ()))

    assert show(Var("scale_1")) == r"\mathrm{scale\_1}"
    assert show(tangent(var)) == r"\dot{(\sigma_B^2)}"
    assert show(tangent(Var("x_hat"))) == r"\dot{\hat{x}}"


def test_names_of_several_letters_do_not_run_together() -> None:
    product = mul(Var("gamma"), Var("inv_root_var"), Var("x"))
    code, paper = (to_latex(formula(product, notation(name), ())) for name in ("code", "paper"))
    assert code == r"\mathtt{gamma} \, \mathtt{inv\_std} \, \mathtt{x}"
    assert paper == r"\gamma \, \mathrm{inv\_root\_var} \, x"
    assert to_latex(formula(mul(Var("gamma"), Var("x_hat")), PAPER, ())) == r"\gamma \hat{x}"

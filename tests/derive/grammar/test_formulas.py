"""What the quantities of a formula are, and what the engine proves of them."""

from __future__ import annotations

from typing import cast

import pytest
from sympy import Expr

from derive.differentiate import jvp
from derive.errors import SourceError
from derive.expr import Delta, SumOver, Var, adjoint, mean, tangent
from derive.functions import Activation
from derive.grammar.formulas import Formula, formula_of
from derive.grammar.python_syntax import python_equations
from derive.grammar.source import Source
from derive.layers.batch_norm import BATCH_NORM, beta, c, eps, gamma, mu, n, var, x, x_hat, y
from derive.normal_form import NormalForm
from derive.trace import JacobianEntry
from tests.derive.statements import derivation_of

i, j, k = n, n.prime(), n.prime(2)
m = n.size
NAMES: dict[str, Expr] = {
    **{v.label: v for v in (x, gamma, beta, eps, mu, var, x_hat, y)},
    "std": (var + eps) ** 0,
    "m": m,
    "C": c.size,
    "k": m,
    "B": Var("B", n, j),
}
AXES = {"i": i, "j": j, "t": k, "c": c}


def parse(text: str) -> Formula:
    (equation,) = python_equations(Source("formula", text), NAMES, (n, c))
    return formula_of(equation, NAMES, AXES)


FORMULAS: list[tuple[str, Expr | JacobianEntry, Expr]] = [
    ("mu = sum[i](x[i])/m", mu, mean(x, n)),
    ("mu = sum[j](x[j])/k", mu, mean(x.at(j, c), j)),
    ("mu[c] = sum[i](x[i])/m", mu, mean(x, n)),
    ("y[i] = gamma*x_hat[i] + beta", y, gamma * x_hat + beta),
    ("y[j] = x[j, c]", y.at(j, c), x.at(j, c)),
    ("y = g(x)", y, Activation(x)),
    ("B[j, i] = delta[i, j]", Var("B", j, n), Delta(n, j)),
    ("B[i, i] = m*eps/C", Var("B", n, n), m * eps / c.size),
    ("y[i] - x[i] = 2", y - x, x / x * 2),
    ("dl/dgamma = sum[i](dl/dy[i]*x_hat[i])", adjoint(gamma), SumOver(adjoint(y) * x_hat, n)),
    ("dl/dx[i] = 2*dl/dy[i]/m", adjoint(x), 2 * adjoint(y) / m),
    ("dx_hat[i]/dx[j] = 1/m", JacobianEntry(x_hat, x.at(j, c)), 1 / m),
    ("dmu/dx[j] = dx[i]/dx[i]/m", JacobianEntry(mu, x.at(j, c)), 1 / m),
    ("dy[i]/dx[j] = dx[i]/dx[j]", JacobianEntry(y, x.at(j, c)), Delta(n, j)),
    ("dy[i]/dx[j] = gamma*dx_hat[i]/dx[j]", JacobianEntry(y, x.at(j, c)), gamma * tangent(x_hat)),
]


@pytest.mark.parametrize(("text", "lhs", "rhs"), FORMULAS)
def test_what_a_formula_means(text: str, lhs: Expr | JacobianEntry, rhs: Expr) -> None:
    formula = parse(text)
    assert formula.lhs == lhs
    assert (formula.rhs - rhs).expand() == 0


def test_a_derivative_on_the_right_is_a_tangent() -> None:
    assert parse("dy[i]/dx[j] = gamma*dx_hat[i]/dx[j]").wrt == x.at(j, c)
    assert parse("dy[i]/dx[j] = dx[i]/dx[j]").wrt is None


# --- Formulas of the source documents -----------------------------------------------------------

ADJOINTS = [
    ("dl/dx_hat[i] = dl/dy[i]*gamma", True),
    ("dl/dvar = sum[i](dl/dx_hat[i]*(x[i] - mu)*(-1/2)*(var + eps)**(-3/2))", True),
    ("dl/dmu = sum[i](dl/dx_hat[i] * -1/sqrt(var + eps))", True),
    ("dl/dx[i] = dl/dx_hat[i]/sqrt(var + eps) + dl/dvar*2*(x[i] - mu)/m + dl/dmu/m", True),
    (
        "dl/dx[i] = gamma/(m*sqrt(var + eps))"
        "*(m*dl/dy[i] - sum[j](dl/dy[j]) - x_hat[i]*sum[j](dl/dy[j]*x_hat[j]))",
        True,
    ),
    ("dl/dx[i] = gamma/sqrt(var + eps)*dl/dy[i]", False),
    ("dl/dbeta = sum[i](dl/dy[i]) + 1", False),
]


@pytest.mark.parametrize(("text", "holds"), ADJOINTS)
def test_formulas_about_adjoints_are_proved_or_not(text: str, holds: bool) -> None:
    derivation = derivation_of("batch_norm")
    normal_form = NormalForm(derivation.chart, derivation.known)
    formula = parse(text)
    assert isinstance(formula.lhs, Var)
    assert normal_form.zero(formula.lhs - formula.rhs) == holds


JACOBIANS = [
    ("dvar/dx[j] = 2/k*sum[t]((x[t] - mu)*(dx[t]/dx[j] - dmu/dx[j]))", True),
    ("dvar/dx[j] = 2*(x[j] - mu)/k", True),
    ("dx_hat[i]/dx[j] = (m*delta[i, j] - 1 - x_hat[i]*x_hat[j])/(m*sqrt(var + eps))", True),
    ("dvar/dx[j] = 2*(x[j] - mu)", False),
]


@pytest.mark.parametrize(("text", "holds"), JACOBIANS)
def test_formulas_about_jacobians_are_proved_or_not(text: str, holds: bool) -> None:
    formula = parse(text)
    entry = cast(JacobianEntry, formula.lhs)
    assert formula.wrt in (None, entry.wrt)
    pushed = {d.var.label: d for d in jvp(BATCH_NORM.definitions, {x: Delta(n, j)})}
    normal_form = NormalForm(derivation_of("batch_norm").chart, pushed)
    assert normal_form.zero(tangent(entry.of) - formula.rhs) == holds


# --- Mistakes ------------------------------------------------------------------------------------

MISTAKES = [
    ("mu = x[i]", 4, "the right-hand side varies over i, the left-hand side does not"),
    ("mu = sum[j](x[i])", 10, "a sum over j, but the summand varies over c, i"),
    ("y[i] = x[q]", 10, "unknown index q; known here: i, j, t, c"),
    ("y[i] = gamma[i]", 14, "i is an index of the axis n; gamma varies over c"),
    ("y[i] = x[i, j]", 13, "j is an index of the axis n; x varies over n, c"),
    ("y[i] = eps[i]", 12, "i is an index of the axis n; eps varies over no axis"),
    ("dl/dk = 1", 5, "k is no quantity that derivatives can be taken of"),
    ("dx_hat[i]/dstd = 1", 12, "std is no quantity that derivatives can be taken of"),
    ("y[i] = delta[i]", 8, "delta takes two indices over one axis: delta[i, j]"),
    ("y[i] = delta[i, c]", 8, "delta takes two indices over one axis: delta[i, j]"),
    (
        "dy[i]/dx[j] = dx_hat[i]/dx[j] + dmu/dx[i]",
        38,
        "all derivatives on the right-hand side are with respect to the same quantity, at the same "
        "index",
    ),
]


@pytest.mark.parametrize(("text", "column", "message"), MISTAKES)
def test_a_mistake(text: str, column: int, message: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse(text)
    assert str(caught.value) == f"formula:1:{column}: {message}"

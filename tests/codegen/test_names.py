"""Identifiers of generated code: engineers' names, and one for each quantity."""

from __future__ import annotations

import pytest
from sympy import Expr, Pow

from codegen.names import CENTRE, REST, code_name, sum_label, unused
from derive.expr import SumOver, Var, add, mul
from derive.layers.batch_norm import c, gamma, n, x, x_hat

dy, dx_hat = Var("dy", n, c), Var("dx_hat", n, c)


@pytest.mark.parametrize(
    ("label", "name"),
    [
        (CENTRE, "mean"),
        (REST, "mean_rest"),
        ("inv_root_var", "inv_std"),
        ("inv_root_mean_square", "inv_rms"),
        ("x_hat", "x_hat"),
        ("dgamma", "dgamma"),
    ],
)
def test_names_in_code(label: str, name: str) -> None:
    assert code_name(Var(label, c)) == name


@pytest.mark.parametrize(
    ("body", "label"),
    [
        (dy, "sum_dy"),
        (mul(x_hat, dy), "sum_dy_xhat"),
        (mul(gamma, dx_hat, x), "sum_dxhat_gamma_x"),
        (x**2, "sum_x2"),
        (mul(dy, x_hat**3), "sum_dy_xhat3"),
        (add(x, gamma), "sum_expr"),
        (mul(dy, x**-1), "sum_dy_expr"),
    ],
    ids=str,
)
def test_sums_are_called_what_they_sum(body: Expr, label: str) -> None:
    assert sum_label(SumOver(body, n)) == label


def test_a_label_that_is_taken_gets_an_underscore() -> None:
    assert unused("u", {"v"}) == "u"
    assert unused("u", {"u", "u_2"}) == "u_3"


def test_what_has_no_name_in_a_sum_is_told_once() -> None:
    inner = add(mul(n.size, x_hat), x)
    assert sum_label(SumOver(mul(dy, inner, Pow(n.size, -1)), n)) == "sum_dy_expr"

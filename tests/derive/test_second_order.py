"""The double backward, the Hessian and directional derivatives, against formulas by hand."""

from __future__ import annotations

import pytest
from sympy import Expr, sqrt

from derive.differentiate import vjp
from derive.directional import directional, hessian
from derive.expr import Delta, SumOver, Var, add, adjoint, free_axes, mul, variables
from derive.layers.batch_norm import BATCH_NORM, beta, c, eps, gamma, mu, n, var, x, x_hat, y
from derive.second_order import (
    backward_program,
    cotangent,
    double_backward,
    gradient,
    statistics,
)
from derive.trace import CertificationError
from tests.derive.statements import derivation_of

DERIVATION = derivation_of("batch_norm")
SECOND = double_backward(DERIVATION)
m, r = n.size, 1 / sqrt(var + eps)
dy, dx = adjoint(y), adjoint(x)
v_dx, v_dgamma, v_dbeta = (cotangent(adjoint(of)) for of in (x, gamma, beta))
p, q = Var("p", n, c), Var("q", n, c)


def _mean(expr: Expr) -> Expr:
    return SumOver(expr, n) / m


G, V = SumOver(dy * x_hat, n), SumOver(v_dx * x_hat, n)
P = SumOver((v_dx - _mean(v_dx)) * (dy - _mean(dy)), n)
BY_HAND: dict[str, Expr] = {
    "g_dy": gamma * r * (v_dx - _mean(v_dx) - x_hat * V / m) + v_dgamma * x_hat + v_dbeta,
    "g_x": gamma * r**2 / m * (x_hat * (3 * V * G / m - P) - G * (v_dx - _mean(v_dx)))
    - gamma * r**2 / m * V * (dy - _mean(dy))
    + v_dgamma * r * (dy - _mean(dy) - x_hat * G / m),
    "g_gamma": r * (P - V * G / m),
}


def _zero(expr: Expr) -> bool:
    return SECOND.closing.normal_form().zero(expr)


@pytest.mark.parametrize("label", BY_HAND)
def test_the_closed_forms(label: str) -> None:
    (result,) = (result for result in SECOND.results if result.var.label == label)
    assert _zero(result.closed - BY_HAND[label])
    assert not _zero(result.closed - BY_HAND[label] + 1)


def test_three_sums_and_two_means_are_enough() -> None:
    assert [d.var.label for d in SECOND.sums] == ["S_dy_vdx", "S_dy_xhat", "S_vdx_xhat"]
    assert [d.var.label for d in SECOND.split if n not in d.var.axes] == ["mean_dy", "mean_v_dx"]
    for result in SECOND.results:
        assert not result.closed.has(SumOver)
        assert {v.label for v in variables(result.closed)} <= {
            *("gamma", "var", "eps", "x_hat", "v_dgamma", "v_dbeta"),
            *("dy_c", "v_dx_c", "S_dy_vdx", "S_dy_xhat", "S_vdx_xhat"),
        }


def test_there_is_no_gradient_of_beta() -> None:
    assert [result.var for result in SECOND.results] == [gradient(v) for v in (dy, x, gamma)]


def test_statistics_held_constant_give_something_else() -> None:
    """What a framework gets that differentiates its backward with saved statistics."""
    seeds = {adjoint(v): cotangent(adjoint(v)) for v in (x, gamma, beta)}
    kept = [d for d in backward_program(DERIVATION) if d.var not in (mu, var)]
    held = {d.var: d for d in vjp(kept, seeds, (dy, x, gamma), gradient)}
    g_x_hat, g_x = held[gradient(x_hat)], held[gradient(x)]
    normal_form = SECOND.closing.normal_form().knowing({g_x_hat.var.label: g_x_hat})
    assert not normal_form.zero(g_x.expr - BY_HAND["g_x"])
    # What does not depend on how the statistics depend on x is the same.
    assert normal_form.zero(held[gradient(dy)].expr - BY_HAND["g_dy"])
    assert normal_form.zero(held[gradient(gamma)].expr - BY_HAND["g_gamma"])


def test_only_what_is_read_belongs_to_the_program() -> None:
    assert [d.var for d in statistics(BATCH_NORM, [BATCH_NORM["var"]])] == [mu]
    labels = [d.var.label for d in backward_program(DERIVATION)]
    assert labels == ["mu", "var", "x_hat", "dx", "dgamma", "dbeta"]


def test_the_hessian() -> None:
    _, second = directional(DERIVATION, (p, q))
    entry = hessian(DERIVATION, second, (p, q))
    i, j, k = n, n.prime(), n.prime(2)
    a, b, d = (x_hat.at(axis, c) for axis in (i, j, k))
    deltas = a * Delta(j, k) + b * Delta(i, k) + d * Delta(i, j)
    expected = gamma * r**2 / m**2 * (3 * a * b * d + a + b + d - m * deltas)
    assert _zero(entry.expr - expected)
    assert free_axes(entry.expr) == {i, j, k, c}


def test_three_orders_along_one_direction() -> None:
    orders = directional(DERIVATION, (p, p, p))
    assert [order.result.var.label for order in orders] == ["D1y", "D2y", "D3y"]
    rest = p - _mean(p)
    first, square = SumOver(p * x_hat, n), SumOver(rest**2, n)
    by_hand = (
        gamma * r * (rest - x_hat * first / m),
        gamma * r**2 / m * (x_hat * (3 * first**2 / m - square) - 2 * first * rest),
        3 * gamma * r**3 / m**2 * (3 * first**2 / m * m * rest / m - square * rest) * m
        + 3 * gamma * r**3 / m**2 * x_hat * first * (3 * square - 5 * first**2 / m),
    )
    for order, expected in zip(orders, by_hand, strict=True):
        normal_form = order.closing.normal_form()
        assert normal_form.zero(order.written_out.expr - expected)


def test_a_wrong_step_cannot_be_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("derive.centring.by_factor", lambda expr, *_: mul(2, expr))
    with pytest.raises(CertificationError, match="centre"):
        double_backward(DERIVATION)


def test_the_closed_form_has_a_bracket_for_each_cotangent() -> None:
    (g_x,) = (result for result in SECOND.results if result.var.label == "g_x")
    first, second = g_x.closed.args
    assert v_dgamma in second.free_symbols
    assert v_dgamma not in first.free_symbols
    assert add(first, second) == g_x.closed

"""The higher orders of every layer, against formulas by hand where they are short."""

from __future__ import annotations

import pytest
from sympy import Expr, sqrt

from derive.directional import directional
from derive.expr import SumOver, Var, add, adjoint, mul
from derive.layers import LAYERS
from derive.layers import l2_normalise as l2
from derive.layers import softmax as sm
from derive.layers.log_softmax import y as log_p
from derive.orders import Orders, orders_of
from tests.derive.statements import derivation_of


def _orders(name: str) -> Orders:
    return orders_of(derivation_of(name))


def _is(orders: Orders, found: Expr, expected: Expr) -> bool:
    normal_form = orders.derivation.normal_form
    return normal_form.zero(add(found, mul(-1, expected)))


def test_softmax() -> None:
    orders = _orders("softmax")
    closed = {d.var.label: d.expr for d in orders.closed_forms()}
    p, q, g, v = sm.p, orders.direction, adjoint(sm.p), Var("v_dx", sm.n, sm.c)
    assert q.label == "q"  # p is taken

    def mean(a: Expr) -> Expr:
        return SumOver(p * a, sm.c)

    curvature = (g - mean(g)) * (v - mean(v)) - mean((g - mean(g)) * (v - mean(v)))
    assert _is(orders, closed["g_dp"], p * (v - mean(v)))
    assert _is(orders, closed["g_x"], p * curvature)
    assert not _is(orders, closed["g_x"], p * curvature + p)
    assert _is(orders, closed["D2p"], p * ((q - mean(q)) ** 2 - mean((q - mean(q)) ** 2)))


def test_log_softmax_is_minus_the_cumulants_of_the_direction() -> None:
    orders = _orders("log_softmax")
    closed = {d.var.label: d.expr for d in orders.closed_forms()}
    q = orders.direction - SumOver(sm.p * orders.direction, sm.c)
    for k in (2, 3):
        assert _is(orders, closed[f"D{k}{log_p.label}"], -SumOver(sm.p * q**k, sm.c))


def test_l2_normalise() -> None:
    orders = _orders("l2_normalise")
    closed = {d.var.label: d.expr for d in orders.closed_forms()}
    y, g, v, r = l2.y, adjoint(l2.y), Var("v_dx", l2.n, l2.c), 1 / sqrt(l2.square_norm + l2.eps)

    def along(a: Expr) -> Expr:
        return SumOver(a * y, l2.c)

    expected = 3 * y * along(g) * along(v) - y * SumOver(g * v, l2.c) - v * along(g) - g * along(v)
    assert _is(orders, closed["g_x"], r**2 * expected)


@pytest.mark.parametrize("name", ["layer_norm", "instance_norm", "group_norm"])
def test_the_third_derivative_is_batch_norms(name: str) -> None:
    """γ is a factor of y, wherever it varies: along x the derivatives differ in the sums' axes."""
    labels = [order.closing.sums.keys() for order in _orders(name).along]
    assert [sorted(keys) for keys in labels][1:] == [["S_p2", "S_p_xhat"]] * 2


def test_a_sum_that_is_constant_keeps_its_name() -> None:
    layer = LAYERS["softmax_cross_entropy"]
    direction = Var("q", *layer.data.axes)
    _, second = directional(derivation_of(layer.name), (direction, direction))
    assert second.written_out.expr.has(SumOver)
    assert "S_t" not in {var.label for var in second.written_out.expr.atoms(Var)}

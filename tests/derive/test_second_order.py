"""The double backward, the Hessian and directional derivatives, against formulas by hand."""

from __future__ import annotations

import pytest
from sympy import Expr, sqrt

from derive.differentiate import vjp
from derive.directional import directional, hessian
from derive.expr import (
    Definition,
    Delta,
    SumOver,
    Var,
    add,
    adjoint,
    canonical,
    free_axes,
    mul,
    substitute,
    variables,
)
from derive.layers.batch_norm import BATCH_NORM, beta, c, eps, gamma, mu, n, var, x, x_hat, y
from derive.products import weighted, with_products
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
SECOND = DERIVATION.second_order
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


# --- Where gamma varies along the reduction ------------------------------------------------------


def _by_hand(name: str) -> dict[str, Expr]:
    """With h = γ dy and k = v_dγ dy, and ⟨a, b⟩ = Σ(a − ā)(b − b̄), or Σab for RMS Norm."""
    derivation = derivation_of(name)
    layer, over = derivation.layer, derivation.layer.reduced_axes
    size = mul(*(axis.size for axis in over))
    g, scale, v = (adjoint(layer.output), layer.learnt[0], cotangent(adjoint(layer.data)))
    w, b = (cotangent(adjoint(var)) for var in (layer.learnt * 2)[:2])
    shift: Expr = b if len(layer.learnt) > 1 else mul(0)
    *_, spread = (d.var for d in layer if d.expr.has(SumOver))
    hat, root = layer.definitions[-2].var, 1 / sqrt(spread + layer.parameters[0])

    def centre(a: Expr) -> Expr:
        return a if name == "rms_norm" else a - SumOver(a, *over) / size

    def along(a: Expr) -> Expr:
        return SumOver(a * hat, *over)

    h, k = scale * g, w * g
    both = SumOver(centre(h) * centre(v), *over)
    moved = root * (centre(v) - hat * along(v) / size)
    shared = [axis for axis in layer.data.axes if axis not in scale.axes]
    return {
        "g_dy": scale * moved + w * hat + shift,
        "g_x": root**2 / size * (3 * along(h) * along(v) / size - both) * hat
        - root**2 / size * (along(v) * centre(h) + along(h) * centre(v))
        + root * (centre(k) - hat * along(k) / size),
        "g_gamma": SumOver(g * moved, *shared),
    }


FAMILY = {"layer_norm": (4, 3), "rms_norm": (4, 0), "group_norm": (4, 3), "instance_norm": (3, 2)}


@pytest.mark.parametrize("name", FAMILY)
def test_the_family_by_hand(name: str) -> None:
    second = double_backward(derivation_of(name))
    normal_form = second.closing.normal_form()
    expected = _by_hand(name)
    assert [result.var.label for result in second.results] == list(expected)
    for result in second.results:
        assert normal_form.zero(result.closed - expected[result.var.label])
        assert not normal_form.zero(result.closed - 2 * expected[result.var.label])


@pytest.mark.parametrize("name", FAMILY)
def test_a_few_sums_and_means_are_enough(name: str) -> None:
    second = double_backward(derivation_of(name))
    means = [d for d in second.split if d.var.label.startswith("mean_")]
    assert (len(second.sums), len(means)) == FAMILY[name]
    g_gamma = second.results[-1].closed
    assert isinstance(g_gamma, SumOver)
    assert not g_gamma.body.has(SumOver)
    assert not any(result.closed.has(SumOver) for result in second.results[:-1])


def test_products_have_names_where_gamma_varies_along_the_reduction() -> None:
    named = {n: double_backward(derivation_of(n)).closing.products for n in FAMILY}
    labels = {name: [d.var.label for d in products] for name, products in named.items()}
    assert labels.pop("instance_norm") == []
    assert set(map(tuple, labels.values())) == {("dx_hat", "v_dgamma_dy")}
    for products in named.values():
        assert all(d.var.role == "adjoint" for d in products[:1])  # it is dl/dx_hat


def test_products_are_found_at_any_index() -> None:
    derivation = derivation_of("layer_norm")
    layer = derivation.layer
    rows, features = layer.data.axes
    there = features.prime()
    (product,) = weighted(derivation, layer.learnt[:1])
    g, scale = adjoint(layer.output), layer.learnt[0]
    expr = SumOver(mul(g.at(rows, there), scale.at(there), x_hat.at(rows, there)), there)
    due = SumOver(mul(product.var.at(rows, there), x_hat.at(rows, there)), there)
    assert canonical(with_products(add(expr, g), [product])) == canonical(add(due, g))
    apart = mul(g.at(rows, there), scale)  # not of one index
    assert with_products(apart, [product]) == apart


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


def test_three_different_directions() -> None:
    """D₃y along p, q and w, whose stages are not those of one direction, is symmetric in them."""
    w = Var("w", n, c)
    every = [directional(DERIVATION, order)[-1] for order in ((p, q, w), (w, p, q), (q, p, w))]
    first, *others = (order.written_out.expr for order in every)
    normal_form = every[0].closing.normal_form()
    assert all(normal_form.zero(first - other) for other in others)
    same = Var("p_c", n, c)
    table = {label: Definition(Var(label, n, c), same) for label in ("q_c", "w_c")}
    alike = directional(DERIVATION, (p, p, p))[-1].written_out.expr
    assert normal_form.zero(substitute(first, table) - alike)
    assert not normal_form.zero(first - alike)


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

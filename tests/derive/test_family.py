"""The family in shape: closed forms as the books write them, and the identities derived."""

from __future__ import annotations

import pytest
from sympy import Expr, Integer, Pow, log

from derive.expr import HALF, Delta, SumOver, add, adjoint, canonical, mul
from derive.layers import LAYERS
from derive.layers.batch_norm import BATCH_NORM
from derive.normal_form import NormalForm
from tests.derive.statements import derivation_of
from tests.verify.closed_forms import negative, quantities


def _normalised(name: str, data: str, result: str, *labels: str) -> dict[Expr, Expr]:
    """Σx̂ = 0 and Σx̂² = mσ²/(σ² + ε)."""
    v = quantities(LAYERS[name])
    axes = tuple(axis for axis in v[data].axes if axis.name in labels)
    size, var = mul(*(axis.size for axis in axes)), v["var"]
    squares = mul(size, var, Pow(add(var, v["eps"]), -1))
    return {
        SumOver(v[result], *axes): Integer(0),
        SumOver(Pow(v[result], 2), *axes): squares,
    }


def _identities() -> dict[str, dict[Expr, Expr]]:
    l2, ce = quantities(LAYERS["l2_normalise"]), quantities(LAYERS["softmax_cross_entropy"])
    _, c = l2["x"].axes
    square, p = l2["square_norm"], ce["p"]
    _, k = p.axes
    unit = {SumOver(p, k): Integer(1)}
    return {
        "group_norm": _normalised("group_norm", "x", "x_hat", "c", "s"),
        "instance_norm": _normalised("instance_norm", "x", "x_hat", "s"),
        "weight_standardisation": _normalised("weight_standardisation", "W", "W_hat", "k"),
        "l2_normalise": {SumOver(Pow(l2["y"], 2), c): mul(square, Pow(add(square, l2["eps"]), -1))},
        "log_softmax": unit,
        "softmax_cross_entropy": {**unit, SumOver(mul(ce["t"], log(p)), k): negative(ce["L"])},
    }


IDENTITIES = _identities()


@pytest.mark.parametrize("name", IDENTITIES)
def test_the_identities_are_derived(name: str) -> None:
    found = {canonical(f.lhs): canonical(f.rhs) for f in derivation_of(name).identities}
    assert found == {canonical(k): canonical(v) for k, v in IDENTITIES[name].items()}


def test_group_norm_keeps_gamma_inside_the_sums() -> None:
    """As Layer Norm does, and unlike Batch Norm."""
    group = derivation_of("group_norm")
    v = quantities(group.layer)
    _, _, c, s = v["x"].axes
    m, h = mul(c.size, s.size), mul(v["gamma"], adjoint(v["y"]))
    weighted = SumOver(mul(h, v["x_hat"]), c, s)
    inside = add(mul(m, h), negative(SumOver(h, c, s)), negative(v["x_hat"], weighted))
    scale = mul(Pow(m, -1), Pow(add(v["var"], v["eps"]), -HALF))
    assert canonical(group["dx"].closed) == canonical(mul(scale, inside))


def test_instance_norm_keeps_batch_norms_shape() -> None:
    """γ leaves the sums, as the channel is not reduced."""
    instance = derivation_of("instance_norm")
    assert [step.rule for step in instance["dx"].steps] == [
        step.rule for step in derivation_of(BATCH_NORM.name)["dx"].steps
    ]
    gamma = quantities(instance.layer)["gamma"]
    sums = instance["dx"].closed.atoms(SumOver)
    assert len(sums) == 2
    assert not any(gamma in total.atoms(type(gamma)) for total in sums)


def test_l2_normalise_removes_the_component_along_y() -> None:
    """R = δᵢⱼ − yᵢyⱼ has the eigenvalue 1 but for y, whose eigenvalue vanishes with ε."""
    derivation = derivation_of("l2_normalise")
    v = quantities(derivation.layer)
    n, c = v["y"].axes
    jacobian = derivation.jacobian
    assert jacobian is not None
    projection = add(Delta(c, c.prime()), negative(v["y"], v["y"].at(n, c.prime())))
    assert canonical(jacobian.R.expr) == canonical(projection)
    assert jacobian.spectrum is not None
    values = [(e.value, e.vector) for e in jacobian.spectrum.eigenvalues]
    vanishing = mul(v["eps"], Pow(add(v["square_norm"], v["eps"]), -1))
    assert [(canonical(value), vector) for value, vector in values] == [
        (Integer(1), None),
        (canonical(vanishing), v["y"]),
    ]


def test_log_softmax_and_cross_entropy_have_lost_exp_and_log() -> None:
    for name, label in (("log_softmax", "y"), ("softmax_cross_entropy", "L")):
        derivation = derivation_of(name)
        v = quantities(derivation.layer)
        closed = derivation["dx"].closed
        assert {var.label for var in closed.atoms(type(v["x"]))} <= {"p", "t", "d" + label}
        assert not closed.has(log)


def test_a_defined_logarithm_keeps_its_name() -> None:
    """log p is y wherever it occurs; no rule turns a product inside it into a sum."""
    derivation = derivation_of("log_softmax")
    v = quantities(derivation.layer)
    p, y = v["p"], v["y"]
    normal_form = NormalForm(derivation.chart)
    assert normal_form.zero(log(p) - y)
    assert normal_form.zero(SumOver(mul(p, log(p)), p.axes[1]) - SumOver(mul(p, y), p.axes[1]))
    assert not normal_form.zero(log(p) - p)
    assert not normal_form.zero(log(mul(p, p)) - 2 * y)


def test_one_loss_a_sample_has_no_square_jacobian() -> None:
    derivation = derivation_of("softmax_cross_entropy")
    assert derivation.jacobian is None
    assert derivation.entries() == ()
    v = quantities(derivation.layer)
    _, c = v["x"].axes
    difference = add(mul(v["p"], SumOver(v["t"], c)), negative(v["t"]))
    expected = mul(difference, adjoint(v["L"]))
    assert canonical(derivation["dx"].closed) == canonical(expected)

"""Every layer's derivation holds against the oracle, and altered definitions carry through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from sympy import Expr, sqrt

from codegen.backends import BACKENDS
from codegen.pipeline import build
from derive.derivation import derive
from derive.expr import SumOver
from derive.layer import Layer
from derive.layers import LAYERS
from derive.layers.batch_norm import BATCH_NORM, eps, mu, n, var, x
from derive.normal_form import NormalForm
from derive.trace import CertificationError, certify
from verify.exact import check, confirmed
from verify.fields import Arithmetic, Values
from verify.kernel_exact import check as check_kernel
from verify.references import REFERENCES, Node, Reference, extents
from verify.verification import claims, proved


@pytest.mark.parametrize("name", LAYERS)
def test_every_claim_is_proved_and_exact(name: str) -> None:
    derivation = derive(LAYERS[name])
    assert all(result.ok for result in proved(derivation, lowered=False))
    assert confirmed(check(LAYERS[name], claims(derivation), REFERENCES[name]))


def test_a_step_that_changes_the_value_cannot_be_made() -> None:
    derivation = derive(BATCH_NORM)
    normal_form = NormalForm(derivation.chart, derivation.known)
    for result in derivation.adjoints:
        with pytest.raises(CertificationError):
            certify(result.start, result.closed * 2, normal_form, "doubled")
        with pytest.raises(CertificationError):
            certify(result.start, -result.closed, normal_form, "sign flipped")


def altered(label: str, expr: Expr) -> Layer:
    definitions = (replace(d, expr=expr) if d.var.label == label else d for d in BATCH_NORM)
    return replace(BATCH_NORM, definitions=tuple(definitions))


def reference(lost: int, outside: bool) -> Reference:
    """Batch Norm with a variance over m - lost, and with ε outside the root if asked."""

    def forward(numbers: Arithmetic, given: Values, node: Node) -> None:
        x, gamma, beta, eps = given["x"], given["gamma"], given["beta"], given["eps"][()]
        batch, channels = extents(x)
        for c in channels:
            mu = node("mu", (c,), sum(x[k, c] for k in batch) / len(batch))
            squares = sum((x[k, c] - mu) ** 2 for k in batch)
            var = node("var", (c,), squares / (len(batch) - lost))
            std = numbers.sqrt(var) + eps if outside else numbers.sqrt(var + eps)
            for k in batch:
                x_hat = node("x_hat", (k, c), (x[k, c] - mu) / std)
                node("y", (k, c), gamma[c,] * x_hat + beta[c,])

    return Reference("altered", forward)


UNBIASED = altered("var", SumOver((x - mu) ** 2, n) / (n.size - 1))
OUTSIDE = altered("x_hat", (x - mu) / (sqrt(var) + eps))


@pytest.mark.parametrize(
    ("layer", "written"),
    [(UNBIASED, lambda: reference(1, False)), (OUTSIDE, lambda: reference(0, True))],
    ids=["unbiased variance", "epsilon outside the root"],
)
def test_a_changed_definition_changes_everything(
    layer: Layer, written: Callable[[], Reference]
) -> None:
    derivation = derive(layer)
    assert confirmed(check(layer, claims(derivation), written()))
    assert not confirmed(check(layer, claims(derive(BATCH_NORM)), written()))
    source = BACKENDS["numpy"].render(build(derivation))
    assert source != BACKENDS["numpy"].render(build(derive(BATCH_NORM)))
    assert confirmed(check_kernel(source, layer, written()))

"""Every layer's derivation holds against the oracle, and altered definitions carry through."""

from __future__ import annotations

import pytest

from codegen.backends import BACKENDS
from codegen.pipeline import build
from derive.derivation import derive
from derive.errors import InputError
from derive.layers import LAYERS
from derive.layers.batch_norm import BATCH_NORM
from derive.normal_form import NormalForm
from derive.trace import CertificationError, certify
from tests.altered import BATCH_NORMS
from verify.exact import check, confirmed
from verify.kernel_exact import check as check_kernel
from verify.references import REFERENCES
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


@pytest.mark.parametrize("name", BATCH_NORMS)
def test_a_changed_definition_changes_everything(name: str) -> None:
    layer, reference = BATCH_NORMS[name]
    derivation = derive(layer)
    assert all(result.ok for result in proved(derivation, lowered=True))
    assert confirmed(check(layer, claims(derivation), reference))
    if any(not var.axes for var in layer.learnt):
        with pytest.raises(InputError, match="needs one value of scale for each c, not scale"):
            BACKENDS["numpy"].render(build(derivation))
        return
    source = BACKENDS["numpy"].render(build(derivation))
    assert source != BACKENDS["numpy"].render(build(derive(BATCH_NORM)))
    assert confirmed(check_kernel(source, layer, reference))

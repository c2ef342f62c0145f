"""Identities with the steps that lead there."""

from __future__ import annotations

import pytest

from derive.layers import LAYERS
from derive.normal_form import NormalForm
from derive.trace import CertificationError, certify
from tests.derive.statements import derivation_of


@pytest.mark.parametrize("name", LAYERS)
def test_steps_lead_from_one_side_to_the_other(name: str) -> None:
    derivation = derivation_of(name)
    for fact in derivation.identities:
        if not fact.steps:  # the definition itself speaks of this sum
            assert name.startswith("block")
            continue
        assert (fact.steps[0].before, fact.steps[-1].after) == (fact.lhs, fact.rhs)
        for before, after in zip(fact.steps, fact.steps[1:], strict=False):
            assert before.after == after.before
        assert fact.steps[-1].rule == "known sum"


def test_the_steps_of_a_variance() -> None:
    fact = derivation_of("batch_norm").identities[1]
    assert [step.rule for step in fact.steps] == ["insert", "constants", "known sum"]
    assert fact.steps[-1].reason.template == "{} = {}, by the definition of {}"


def test_a_wrong_step_is_refused() -> None:
    derivation = derivation_of("rms_norm")
    step = derivation.identities[0].steps[1]
    with pytest.raises(CertificationError):
        certify(step.before, 2 * step.after, NormalForm(derivation.chart), step.rule)

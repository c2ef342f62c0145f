"""Every damaged formula and certificate is noticed, and what is not noticed is seen to survive."""

from __future__ import annotations

from typing import Any

import pytest

from derive.derivation import Derivation, derive
from derive.expr import add, mul
from derive.layers import LAYERS
from verify import mutation_proofs
from verify.mutation_proofs import Tally, certificates, formulas
from verify.references import REFERENCES


@pytest.fixture(scope="module")
def softmax() -> Derivation:
    return derive(LAYERS["softmax"])


@pytest.mark.parametrize(("name", "at_least"), [("batch_norm", 400), ("softmax_cross_entropy", 50)])
def test_every_damaged_formula_is_caught(name: str, at_least: int) -> None:
    tally = formulas(derive(LAYERS[name]), REFERENCES[name])
    assert len(tally.fates) >= at_least
    assert not tally.survivors
    assert tally.caught + len(tally.harmless) == len(tally.fates)
    assert all(fate.detail for fate in tally.fates if fate.caught_by)


@pytest.mark.parametrize("name", ["softmax", "rms_norm"])
def test_every_damaged_certificate_is_refused(name: str) -> None:
    """Every field and every item of a list, and one in twenty of the parts of formulas; between
    them the two certificates have every kind of field."""
    tally = certificates(derive(LAYERS[name]))
    assert len(tally.fates) >= 550
    assert tally.by_check == {"replay": len(tally.fates)}


# --- What is not noticed --------------------------------------------------------------------------


def tally_of(monkeypatch: pytest.MonkeyPatch, derivation: Derivation, other: Any) -> Tally:
    monkeypatch.setattr(mutation_proofs, "damaged", lambda expr: [other(expr)])
    return formulas(derivation, REFERENCES["softmax"])


def test_the_same_value_is_harmless_by_proof(
    monkeypatch: pytest.MonkeyPatch, softmax: Derivation
) -> None:
    tally = tally_of(monkeypatch, softmax, lambda expr: mul(2, expr, mul(1) / 2))
    assert len(tally.harmless) == len(tally.fates) > 5
    assert {fate.harmless for fate in tally.harmless} == {"proved equal, for every size"}
    assert not tally.survivors


def test_what_no_oracle_sees_and_nothing_proves_survives(
    monkeypatch: pytest.MonkeyPatch, softmax: Derivation
) -> None:
    monkeypatch.setattr(mutation_proofs, "compare", lambda *_, **__: [])
    tally = tally_of(monkeypatch, softmax, lambda expr: add(expr, 1))
    assert len(tally.survivors) == len(tally.fates)


def test_a_prover_that_the_oracle_contradicts_is_a_survivor(
    monkeypatch: pytest.MonkeyPatch, softmax: Derivation
) -> None:
    monkeypatch.setattr("derive.normal_form.NormalForm.zero", lambda *_: True)
    tally = tally_of(monkeypatch, softmax, lambda expr: add(expr, 1))
    assert len(tally.survivors) == len(tally.fates)


def test_a_checker_that_believes_everything_is_seen(
    monkeypatch: pytest.MonkeyPatch, softmax: Derivation
) -> None:
    monkeypatch.setattr(mutation_proofs, "check", lambda *_: None)
    tally = certificates(softmax)
    assert len(tally.survivors) == len(tally.fates)

"""What ``list`` promises is what ``verify`` gives."""

from __future__ import annotations

import pytest

from codegen.emit import KERNEL_LAYERS
from derive.layers import LAYERS
from derive.studies import STUDIES
from tests.derive.statements import derivation_of
from verify import studies
from verify.guarantees import guarantees
from verify.verification import Subject, verify


@pytest.mark.parametrize("name", ["log_softmax", "l2_normalise", "batch_norm_inference"])
def test_layers_without_a_kernel(name: str) -> None:
    results = verify(Subject(derivation_of(name), None), quick=True)
    assert tuple(dict.fromkeys(r.group for r in results if r.ok)) == guarantees(name)


@pytest.mark.parametrize("name", ["training_and_test", "folding"])
def test_studies(name: str) -> None:
    results = studies.verify(STUDIES[name], None)
    given = tuple(dict.fromkeys(r.group for r in results))
    assert given == guarantees(name)


def test_every_layer_is_proved_and_exact_and_every_kernel_checked() -> None:
    for name in LAYERS:
        assert guarantees(name)[:2] == ("proved", "exact")
        assert (guarantees(name)[2:] == ("checked",)) == (name in KERNEL_LAYERS)

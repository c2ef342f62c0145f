"""``generate --accumulate float64``: a module in float64 alone keeps every promise."""

from __future__ import annotations

from types import ModuleType

import pytest

from codegen.backends import BACKENDS
from codegen.pipeline import build
from derive.layers import LAYERS
from tests.derive.statements import derivation_of
from verify import accuracy, contract
from verify.exact import confirmed
from verify.kernel_exact import check
from verify.loading import load
from verify.references import REFERENCES
from verify.report import failures

SOURCE = BACKENDS["numpy"].render(build(derivation_of("batch_norm")), wide=True)
IN_WIDE = "work = part.in_float64()"


@pytest.fixture(scope="module")
def module() -> ModuleType:
    return load(SOURCE, "wide batch_norm")


def test_no_part_is_tried_in_float32() -> None:
    training, test_mode = 3, 2
    assert SOURCE.count(IN_WIDE) == training + test_mode
    assert "in part.works(" not in SOURCE
    assert "sum_dy2" not in SOURCE  # which only a check needs


def test_the_contract_is_kept(module: ModuleType) -> None:
    results = contract.run(module)
    assert results
    assert not failures(results)


def test_results_are_rounded_once(module: ModuleType) -> None:
    results = accuracy.run(module, quick=True)
    assert not failures(results)
    found = [r.worst for r in results if r.name.startswith("float32") and r.worst is not None]
    assert len(found) > 100
    assert max(found) <= 1  # u: a rounding to nearest is no further off


def test_in_float32_alone_it_would_not_be_accurate() -> None:
    narrow = load(SOURCE.replace(IN_WIDE, "work = _Work(part, _NARROW)"), "narrow batch_norm")
    assert len(failures(accuracy.run(narrow, quick=True))) > 5


def test_it_is_exact_and_a_damage_is_seen() -> None:
    layer, reference = LAYERS["batch_norm"], REFERENCES["batch_norm"]
    assert confirmed(check(SOURCE, layer, reference, sizes=(2, 3, 4)))
    damaged = SOURCE.replace("u * (-sum_dy + ", "u * (-2 * sum_dy + ")
    failed = {o.claim for o in check(damaged, layer, reference, sizes=(3,)) if o.failures}
    assert failed == {"backward: dx"}

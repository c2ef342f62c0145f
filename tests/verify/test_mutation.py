"""Verification is shown to fail: every damage done to the kernel by program is caught."""

from __future__ import annotations

from pathlib import Path

import pytest

from derive.layers.batch_norm import BATCH_NORM
from verify.damages import mutants
from verify.mutation import EQUIVALENT, score
from verify.references import REFERENCES

KERNEL = Path(__file__).parents[2] / "generated" / "numpy_kernels" / "batch_norm.py"
PARTS = 4  # which several workers share


@pytest.mark.parametrize("part", range(PARTS))
def test_every_damage_is_caught(part: int) -> None:
    """All mutants, but for the few that are listed with the reason why they break no promise."""
    source = KERNEL.read_text(encoding="utf-8")
    harmful = [mutant for mutant in mutants(source) if mutant.name not in EQUIVALENT]
    assert len(harmful) >= 1500
    result = score(source, BATCH_NORM, REFERENCES["batch_norm"], only=harmful[part::PARTS])
    assert not result.survivors, [mutant.name for mutant in result.survivors]

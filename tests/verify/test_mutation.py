"""Verification is shown to fail: every damage done to the kernel by program is caught."""

from __future__ import annotations

from pathlib import Path

from derive.layers.batch_norm import BATCH_NORM
from verify.mutation import CENTRED_TWICE, score
from verify.references import REFERENCES

KERNEL = Path(__file__).parents[2] / "generated" / "numpy_kernels" / "batch_norm.py"


def test_every_damage_is_caught() -> None:
    """All mutants, but for the few that are listed with the reason why they break no promise."""
    result = score(KERNEL.read_text(encoding="utf-8"), BATCH_NORM, REFERENCES["batch_norm"])
    assert len(result.verdicts) >= 500
    assert not result.survivors, [mutant.name for mutant in result.survivors]
    assert len(result.equivalent) <= 5 + len(CENTRED_TWICE)

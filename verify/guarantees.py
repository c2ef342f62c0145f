"""Which of the three words `backnorm verify NAME` can give for a layer or a study that ships."""

from __future__ import annotations

from codegen.emit import KERNEL_LAYERS
from verify.exact_studies import ORACLES
from verify.references import REFERENCES
from verify.studies import CHECKED


def guarantees(name: str) -> tuple[str, ...]:
    """*proved*: all; *exact*: where an oracle was written apart; *checked*: where a kernel runs."""
    words = ["proved"]
    if name in REFERENCES or name in ORACLES:
        words.append("exact")
    if name in KERNEL_LAYERS or name in CHECKED:
        words.append("checked")
    return tuple(words)

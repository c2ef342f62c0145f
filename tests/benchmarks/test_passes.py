"""The page about what bounds the kernels: that it is written, not how fast anything is."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import passes


def test_the_page_has_every_table(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passes, "SPENT", 0.0)
    text = passes.page(shapes=[(512, 1024), (8, 64, 32, 32)], little=(16, 4))
    for operation in passes.OPERATIONS:
        assert f"| {operation} | " in text
    assert "| NumPy backward | " in text
    assert "on x of (16, 4)" in text.lower()


def test_calls_are_counted() -> None:
    assert passes.calls_made(lambda: np.multiply(2.0, np.sqrt(3.0))) >= 1
    assert passes.calls_made(lambda: [abs(-1) for _ in range(10)]) >= 10

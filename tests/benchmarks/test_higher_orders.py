"""The comparison of higher orders runs without PyTorch, and ours are right in it."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest

from benchmarks import higher_orders
from tests.benchmarks.test_accuracy import table

PAGE = Path(higher_orders.__file__).with_suffix(".md")


def test_it_runs_without_torch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = importlib.util.find_spec

    def find_spec(name: str, *rest: Any) -> Any:
        return None if name == "torch" else usual(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    higher_orders.main(["--seed", "1"])
    rows = table(capsys.readouterr().out)
    assert [row[1] for row in rows] == [*higher_orders.QUANTITIES] * 2
    for _, _, ours, torch, composed in rows:
        assert float(ours) < 1e-14
        assert torch == composed == "not installed"


def test_the_committed_page_is_one_of_its_outputs() -> None:
    rows = table(PAGE.read_text(encoding="utf-8"))
    assert [row[1] for row in rows] == [*higher_orders.QUANTITIES] * 2
    assert all(float(row[2]) < 1e-14 for row in rows)
    wrong = {row[1] for row in rows if float(row[3]) > 0.01}
    assert wrong == {"D2y", "D3y", "<dy, D3y>"}  # where saved statistics are taken for constants

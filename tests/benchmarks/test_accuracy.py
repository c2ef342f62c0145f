"""The accuracy benchmark runs without PyTorch, and the committed table is one of its outputs."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks import accuracy
from verify.accuracy_cases import LISTED

PAGE = Path(accuracy.__file__).with_suffix(".md")


def table(page: str) -> list[list[str]]:
    """The cells below the two lines of the head."""
    lines = [line for line in page.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


def test_it_runs_without_torch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = importlib.util.find_spec

    def find_spec(name: str, *rest: Any) -> Any:
        return None if name == "torch" else usual(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    accuracy.main(["--quick"])
    rows = table(capsys.readouterr().out)
    assert [row[0] for row in rows] == [f"{c.dtype}: {c.name}" for c in LISTED if c.quick]
    for _, limit, ours, plain, torch in rows:
        assert float(ours.split()[0]) <= float(limit.split()[0]) / 2
        assert float(plain.split()[0]) > 0
        assert torch == "not installed"
    assert max(float(row[3].split()[0]) for row in rows) == np.inf  # what the rows are there for


def test_the_committed_table_is_of_all_rows() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page.startswith(accuracy.ABOUT.format(seed=0))
    rows = table(page)
    assert [row[0] for row in rows] == [f"{case.dtype}: {case.name}" for case in LISTED]
    assert all(float(row[2].split()[0]) <= float(row[1].split()[0]) / 2 for row in rows)


def test_a_kernel_that_refuses_has_no_number() -> None:
    class Refuses(accuracy.TwoPass):
        @staticmethod
        def forward(*_: Any, **__: Any) -> Any:
            raise TypeError("no float32")

    errors = accuracy._errors(Refuses, 0, quick=True)
    assert {accuracy._cell(errors, name) for name in errors} == {"refused"}


def test_torch_is_called_rightly() -> None:
    torch = accuracy.Torch(pytest.importorskip("torch"))
    well = accuracy._errors(torch, 0, quick=True)["float32: well-conditioned"]
    assert well.worst is not None
    assert well.worst < 100

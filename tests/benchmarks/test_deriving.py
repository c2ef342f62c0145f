"""What is timed runs, and is the whole family."""

from __future__ import annotations

import pytest

from benchmarks import deriving
from derive.layers import LAYERS
from derive.orders import has_orders


def test_ratios_are_printed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(deriving, "RUNS", 1)
    monkeypatch.setattr(deriving, "seconds", lambda before, timed: 1 + len(before) % 7)
    deriving.main()
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(":")[0] for line in lines] == list(deriving.TIMED)[1:]
    assert all(line.endswith("imports of SymPy") for line in lines)


def test_processor_time_of_a_statement() -> None:
    assert 0 <= deriving.seconds("pass", "pass") < deriving.seconds("pass", "import sympy")


def test_the_family_has_every_layer_with_orders() -> None:
    assert set(deriving.FAMILY) < set(LAYERS)
    assert all(has_orders(LAYERS[name]) for name in deriving.FAMILY)

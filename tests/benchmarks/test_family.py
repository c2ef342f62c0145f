"""The table of every layer runs without PyTorch, ours are right in it, and terms are counted."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
from sympy import Symbol

from benchmarks import family
from derive.expr import Axis, SumOver, Var, add, mul
from derive.orders import orders_of
from tests.benchmarks.test_accuracy import table
from tests.derive.statements import derivation_of

PAGE = Path(family.__file__).with_suffix(".md")
n = Axis("n", "m")
x, y = Var("x", n), Var("y", n)


def test_terms_and_sums_are_counted() -> None:
    m = Symbol("m")
    total = SumOver(x * y, n)
    expr = mul(m, add(x, mul(-1, total), 1), add(y, total))
    assert family.terms(expr) == 6
    assert family.sums([expr, SumOver(y, n)]) == 2


def test_it_runs_without_torch(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    usual = importlib.util.find_spec

    def find_spec(name: str, *rest: Any) -> Any:
        return None if name == "torch" else usual(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setattr(family, "FAMILY", ("batch_norm", "softmax"))
    family.main(["--seed", "1", "--no-guarantees"])
    rows = table(capsys.readouterr().out)
    assert rows[0][:5] == ["batch_norm", "3, 2", "12, 3 + 2", "3, 2", "4, 2"]
    assert [row[:2] for row in rows[-2:]] == [["batch_norm", "backnorm"], ["softmax", "backnorm"]]
    assert all(float(cell) < 1e-14 for row in rows[-2:] for cell in row[2:])


def test_channels_of_groups_are_on_one_axis_for_kernels() -> None:
    orders = orders_of(derivation_of("group_norm"))
    batch = family.batch_of(orders, 0)
    layer = orders.derivation.layer
    assert family._flat(batch.dy, layer).shape == (2, 6, 3)
    assert family._flat(batch.given["gamma"], layer).shape == (6,)


def test_the_committed_page_is_one_of_its_outputs() -> None:
    rows = table(PAGE.read_text(encoding="utf-8"))
    forms, floats = rows[: len(family.FAMILY)], rows[-2 * len(family.FAMILY) :]
    assert [row[0] for row in forms] == [*family.FAMILY]
    for name, row in zip(family.FAMILY, forms, strict=True):
        assert row[1:5] == family.structure(orders_of(derivation_of(name)))
    ours = [row for row in floats if row[1] == "backnorm"]
    assert len(ours) == len(family.FAMILY)
    assert all(float(cell) < 1e-14 for row in ours for cell in row[2:])
    wrong = {row[0] for row in floats if float(row[5]) > 0.01}
    assert wrong == {"batch_norm", "layer_norm", "instance_norm"}

"""The committed figures of speed: the page is made of them, and what the README says is so."""

from __future__ import annotations

import json
from collections import Counter

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
from benchmarks import speed
from verify.speed.measurement import ALLOCATORS, Figure
from verify.speed.problem import BATCH, DTYPES, SHAPES

DATA = json.loads((speed.HERE / "speed.json").read_text(encoding="utf-8"))
FIGURES = [Figure(**figure) for figure in DATA["figures"]]


def test_the_page_shows_the_figures() -> None:
    written = (speed.HERE / "speed.md").read_text(encoding="utf-8")
    assert written == speed.page(FIGURES, DATA["machine"])


def settings(*layers: str) -> int:
    """How many were measured for these layers, with all implementations in each."""
    figures = [f for f in FIGURES if f.layer in layers]
    found = {(f.layer, f.threads, f.allocator, f.dtype, f.shape) for f in figures}
    assert set(Counter(f.implementation for f in figures).values()) == {2 * len(found)}
    assert {f.implementation for f in figures} == {
        *("textbook", "torch", "numpy", "numpy, out=", "numba", "numba, out=")
    }
    return len(found)


def test_everything_was_measured() -> None:
    each = len(speed.THREADS) * len(ALLOCATORS) * len(DTYPES)
    assert settings(BATCH) == each * len(SHAPES[BATCH])


def test_the_other_layers_were_measured() -> None:
    assert settings(*speed.OTHERS) == len(ALLOCATORS) * sum(map(len, speed.OTHERS.values()))


def test_the_other_layers_get_a_row_for_each_problem_and_function() -> None:
    row = ("1x64x4", "float32", "forward", "numpy", 2e-6, 1e-6, 3.25, 4.0, 1.0, "")
    others = [Figure("group_norm", 1, allocator, *row) for allocator in ALLOCATORS]
    text = speed.page([*FIGURES, *others], DATA["machine"])
    assert text.startswith(speed.page([f for f in FIGURES if f.layer == BATCH], DATA["machine"]))
    assert "| group_norm | 1x64x4 in 32 groups | forward | 1.0 |" in text
    assert " 3.2 / 3.2 |" in text


def test_compiled_kernels_are_ahead_of_the_textbook_wherever_data_are_large() -> None:
    batch = [f for f in FIGURES if f.layer == BATCH and f.shape != "256x100"]
    ours = [f for f in batch if f.implementation == "numba, out="]
    assert min(f.faster for f in ours if f.faster is not None) > 2.5

"""The committed figures of speed: the page is made of them, and what the README says is so."""

from __future__ import annotations

import json
from collections import Counter

import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
from benchmarks import speed
from verify.speed.measurement import ALLOCATORS, Figure
from verify.speed.problem import DTYPES, SHAPES

DATA = json.loads((speed.HERE / "speed.json").read_text(encoding="utf-8"))
FIGURES = [Figure(**figure) for figure in DATA["figures"]]


def test_the_page_shows_the_figures() -> None:
    written = (speed.HERE / "speed.md").read_text(encoding="utf-8")
    assert written == speed.page(FIGURES, DATA["machine"])


def test_everything_was_measured() -> None:
    settings = {(f.threads, f.allocator, f.dtype, f.shape) for f in FIGURES}
    assert len(settings) == len(speed.THREADS) * len(ALLOCATORS) * len(DTYPES) * len(SHAPES)
    assert set(Counter(f.implementation for f in FIGURES).values()) == {2 * len(settings)}
    assert {f.implementation for f in FIGURES} == {
        *("textbook", "torch", "numpy", "numpy, out=", "numba", "numba, out=")
    }


def test_compiled_kernels_are_ahead_of_the_textbook_wherever_data_are_large() -> None:
    ours = [f for f in FIGURES if f.implementation == "numba, out=" and f.shape != "256x100"]
    assert min(f.faster for f in ours if f.faster is not None) > 2.5

"""The figures of a benchmark as the rows of a table: one for each implementation."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

from verify.speed.implementations import TEXTBOOK, TORCH
from verify.speed.measurement import KEPT, Figure, threads_of
from verify.speed.problem import groups_of, shape_of

COLUMNS = ("", "forward", "textbook", "torch", "backward", "textbook ", "torch ")
NUMBERS = COLUMNS[1:]
Rows = list[tuple[str, ...]]


def tables(figures: Sequence[Figure]) -> Iterator[tuple[str, Rows]]:
    """For each setting, dtype and shape a heading, and rows: the floor, then who was timed."""
    for _, group in itertools.groupby(figures, _setting):
        yield _table(list(group))


def _setting(figure: Figure) -> tuple[str, int, str, str, str]:
    return figure.layer, figure.threads, figure.allocator, figure.dtype, figure.shape


def problem_of(figure: Figure) -> str:
    """The shape, and how many groups its channels are in."""
    groups = groups_of(figure.layer, shape_of(figure.shape))
    return figure.shape + (f" in {groups} group{'s' if groups > 1 else ''}" if groups else "")


def _table(figures: list[Figure]) -> tuple[str, Rows]:
    by_name: dict[str, dict[str, Figure]] = {}
    for figure in figures:
        by_name.setdefault(figure.implementation, {})[figure.function] = figure
    first = figures[0]
    heading = f"{problem_of(first)} {first.dtype}, {threads_of(first)}"
    heading += ", memory kept" if first.allocator == KEPT else ""
    floors = {figure.function: f"{figure.floor:.1f}" for figure in figures}
    rows: Rows = [("  floor", floors["forward"], "", "", floors["backward"], "", "")]
    for name, both in by_name.items():
        rows.append((f"  {name}", *(c for f in both.values() for c in _cells(f, by_name))))
    return heading, rows


def _cells(figure: Figure, by_name: dict[str, dict[str, Figure]]) -> tuple[str, str, str]:
    if figure.copies is None:
        return "refused", "", ""
    textbook, torch = (
        times(figure, by_name.get(other, {}).get(figure.function)) for other in (TEXTBOOK, TORCH)
    )
    return f"{figure.copies:.1f}", textbook, torch


def times(figure: Figure, other: Figure | None) -> str:
    """How many times as fast as another, or nothing where that is itself or was not timed."""
    if other is None or other is figure or not figure.median or not other.median:
        return ""
    return f"{other.median / figure.median:.1f}x"

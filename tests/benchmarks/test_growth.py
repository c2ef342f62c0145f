"""The page on growth: its counts are those of today, and what it says of them is so."""

from __future__ import annotations

import re

import pytest

from benchmarks import growth
from derive.derivation import derive
from derive.layers.batch_norm import BATCH_NORM


def rows(head: str) -> list[list[str]]:
    """The cells of the table whose head starts so."""
    lines = growth.PAGE.read_text(encoding="utf-8").splitlines()
    start = next(k for k, line in enumerate(lines) if line.startswith(head)) + 2
    table = lines[
        start : next((k for k in range(start, len(lines)) if not lines[k].strip()), len(lines))
    ]
    return [[cell.strip().replace(",", "") for cell in row.strip("|").split("|")] for row in table]


def test_the_committed_counts_are_those_of_today() -> None:
    found = growth.simplified(2)
    m, _, before, after, _, closed = rows("| m | `simplify`")[0]
    assert (int(m), int(before), int(after)) == (2, found.before, found.after)
    assert int(closed) == derive(BATCH_NORM)["dx"].closed.count_ops()
    for m, operations in rows("| m | operations |")[:3]:
        assert int(operations) == growth.written_out(int(m))


def test_what_is_written_out_grows_and_the_derivation_does_not() -> None:
    grown = {int(m): int(operations) for m, operations in rows("| m | operations |")}
    assert grown[32] / grown[16] > 3  # towards m squared
    simplified = rows("| m | `simplify`")
    assert len({row[-1] for row in simplified}) == 1
    assert [int(row[3]) for row in simplified] == sorted(int(row[3]) for row in simplified)
    assert int(simplified[-1][3]) > 10 * int(simplified[-1][-1])


def test_the_page_says_what_wrote_it() -> None:
    text = growth.PAGE.read_text(encoding="utf-8")
    assert re.search(r"`python -m benchmarks.growth`, with SymPy \d", text)


def test_a_call_that_takes_too_long_is_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    assert growth.apart("written_out(2)") == growth.written_out(2)
    monkeypatch.setattr(growth, "LIMIT", 0.01)
    assert growth.apart("written_out(2)") is None

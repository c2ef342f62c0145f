"""The results of a verification, and of the mutants, as tables and as plain data.

Imports rich, so commands import this inside their functions.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence
from typing import Any

from rich.text import Text

from commands.console import Console, is_ascii, print_table, say
from verify.mutation_proofs import Tally
from verify.report import Result, failures

COLORS = {"pass": "green", "FAIL": "bold red", "skipped": "yellow"}


def show_results(results: list[Result]) -> None:
    """Print the table, what did not pass with its reason, and the totals."""
    show_table(results)
    say(_summary(results))


def show_table(results: list[Result], target: str = "target") -> None:
    """Print the table, each group under its name, and what did not pass with its reason."""
    rows: list[Sequence[str | Text]] = []
    for guarantee, group in itertools.groupby(results, key=lambda result: result.group):
        rows.append((Text(guarantee, "bold"), *[""] * 4))
        rows += [_cells(result) for result in group]
    columns = (target, "cases", "worst", "limit", "result")
    numbers = ("cases", "worst", "limit")
    print_table(columns, rows, right=numbers, spare=("limit", "worst", "cases"))
    console = Console()
    for result in results:
        if result.status != "pass":
            said = f"{result.status}: {result.group} {result.name}: {result.detail}"
            console.print(" ".join(said.split()), soft_wrap=True)
    console.print()


def _cells(result: Result) -> tuple[str | Text, ...]:
    target = result.name if is_ascii() else result.name.replace("dl/d", "∂ℓ/∂")
    return (
        f"  {target}",
        f"{result.cases:,}",
        "" if result.worst is None else f"{_short(result.worst, 2)} {result.unit}",
        "" if result.limit is None else f"{_short(result.limit, 0)} {result.unit}",
        Text(result.status, COLORS[result.status]),
    )


def _short(error: float, decimals: int) -> str:
    return f"{error:.{decimals}f}" if error < 1e5 else f"{error:.1e}"


def verdict(results: list[Result]) -> str:
    """Whether all passed, or how many failed, and how many were skipped."""
    failed = len(failures(results))
    skipped = sum(result.status == "skipped" for result in results)
    said = f"{failed} FAILED" if failed else "all passed"
    return said + (f", {skipped} skipped" if skipped else "")


def _summary(results: list[Result]) -> str:
    counts = {
        group: sum(r.cases for r in results if r.group == group)
        for group in ("proved", "exact", "checked")
    }
    told = ", ".join(f"{group} {count:,}" for group, count in counts.items())
    return f"{told}: {verdict(results)}"


def results_object(results: list[Result]) -> list[dict[str, Any]]:
    """Each result as plain data; JSON has no NaN and no infinity, so they are texts."""
    return [
        {name: _plain(value) for name, value in dataclasses.asdict(result).items()}
        | {"status": result.status}
        for result in results
    ]


def _plain(value: Any) -> Any:
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value


def show_tallies(tallies: Sequence[Tally]) -> None:
    """Print how many damages each check was the first to notice, and those that none did."""
    rows: list[Sequence[str | Text]] = []
    for tally in tallies:
        rows.append((Text(tally.kind, "bold"), f"{len(tally.fates):,}", ""))
        rows += [(f"  {name}", "", f"{count:,}") for name, count in tally.by_check.items()]
    print_table(("check", "damages", "caught"), rows, right=("damages", "caught"))
    console = Console()
    for fate in (fate for tally in tallies for fate in tally.harmless):
        console.print(f"not caught: {fate.name}: {fate.harmless}", soft_wrap=True)
    for tally in tallies:
        for fate in tally.survivors:
            console.print(f"SURVIVED: {tally.kind}: {fate.name}: {fate.detail}", soft_wrap=True)
    console.print()
    for tally in tallies:
        say(f"{tally.kind}: {_score(tally)}")


def _score(tally: Tally) -> str:
    survived = f"{len(tally.survivors)} SURVIVED" if tally.survivors else "none survived"
    return (
        f"{len(tally.fates):,} damages, {tally.caught:,} caught, {len(tally.harmless)} that change "
        f"nothing promised, {survived}"
    )


def tallies_object(tallies: Sequence[Tally]) -> list[dict[str, str]]:
    """Each damage as plain data: what caught it and how, or why it is harmless."""
    return [
        {
            "kind": tally.kind,
            "name": fate.name,
            "caught_by": fate.caught_by,
            "detail": fate.detail or fate.harmless,
        }
        for tally in tallies
        for fate in tally.fates
    ]

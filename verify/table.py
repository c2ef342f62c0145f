"""The results of a verification as a table for a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table
from rich.text import Text

from verify.report import Result


def show(results: list[Result], console: Console, *, symbols: bool) -> None:
    """Print the table, what did not pass with its reason, and the totals."""
    table = Table(box=None, pad_edge=False)
    table.add_column("guarantee")
    table.add_column("target", no_wrap=True)
    for column in ("cases", "worst", "limit"):
        table.add_column(column, justify="right")
    table.add_column("result")
    previous = ""
    for result in results:
        target = result.name.replace("dl/d", "∂ℓ/∂") if symbols else result.name
        style = {"pass": "green", "FAIL": "bold red", "skipped": "yellow"}[result.status]
        table.add_row(
            result.group if result.group != previous else "",
            target,
            f"{result.cases:,}",
            "" if result.worst is None else f"{result.worst:.2f} {result.unit}",
            "" if result.limit is None else f"{result.limit:.0f} {result.unit}",
            Text(result.status, style),
        )
        previous = result.group
    console.print(table)
    for result in results:
        if result.status != "pass":
            console.print(
                f"{result.status}: {result.group} {result.name}: {result.detail}", soft_wrap=True
            )
    console.print()
    console.print(_summary(results), soft_wrap=True)


def _summary(results: list[Result]) -> str:
    counts = {
        group: sum(r.cases for r in results if r.group == group)
        for group in ("proved", "exact", "checked")
    }
    failed = sum(result.status == "FAIL" for result in results)
    skipped = sum(result.status == "skipped" for result in results)
    verdict = "all passed" if not failed else f"{failed} FAILED"
    return (
        f"proved {counts['proved']:,}, exact {counts['exact']:,}, checked "
        f"{counts['checked']:,}: {verdict}" + (f", {skipped} skipped" if skipped else "")
    )

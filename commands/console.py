"""What the commands print with.  Imports rich, so commands import this inside their functions."""

from __future__ import annotations

import os
import sys
import textwrap
from collections.abc import Iterator, Sequence

from rich.console import Console as RichConsole
from rich.console import JustifyMethod
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

from derive.render.blocks import Block
from derive.render.terminal import Style, lines

STYLES: dict[Style, str] = {
    "title": "bold",
    "heading": "bold cyan",
    "about": "dim",
    "formula": "",
    "reason": "green",
    "plain": "",
}
WIDEST = 100  # columns; formulas are set for 80
UNLIMITED = 10_000


class Console(RichConsole):
    """A console that prints text as it is.  What is piped is set for 80 columns, or for $COLUMNS,
    whatever the terminal's width: the same command writes the same file."""

    def __init__(self, *, stderr: bool = False) -> None:
        stream = sys.stderr if stderr else sys.stdout
        width = None if stream.isatty() or "COLUMNS" in os.environ else 80
        super().__init__(stderr=stderr, width=width, markup=False, emoji=False, highlight=False)

    def on_broken_pipe(self) -> None:
        raise  # the error that rich is handling: cli.py knows what to do


def is_ascii() -> bool:
    """Whether standard output cannot carry the symbols of a formula."""
    try:
        "∂ℓ∑σ²x̂ᵢ─⎛√−".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return True
    return False


def show(blocks: tuple[Block, ...]) -> None:
    """Print a document."""
    console = Console()
    for line in lines(blocks, width=min(console.width, WIDEST), ascii=is_ascii()):
        text = Text.assemble(*((span.text, STYLES[span.style]) for span in line))
        # Never wrapped by rich: a folded formula cannot be read or copied.
        console.print(text, soft_wrap=True)


def say(text: str) -> None:
    """Print a sentence, broken between words where the console is narrow."""
    console = Console()
    for line in textwrap.wrap(text, console.width):
        console.print(line, soft_wrap=True)


def print_table(
    columns: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    *,
    right: Sequence[str] = (),
    spare: Sequence[str] = (),
) -> None:
    """Print a table without rules and without blanks at the end of a line.

    ``right`` names the columns that are set flush right, and ``spare`` those that are left out,
    one after the other, for as long as the console is too narrow.
    """
    console = Console()
    for table in _narrowing(columns, rows, right, spare):
        needed = Measurement.get(console, console.options.update(width=UNLIMITED), table).maximum
        if needed <= console.width:
            break
    for line in console.render_lines(table, pad=False):
        text = Text.assemble(*((segment.text, segment.style or "") for segment in line))
        text.rstrip()
        console.print(text, soft_wrap=True)


def _narrowing(
    columns: Sequence[str],
    rows: Sequence[Sequence[str | Text]],
    right: Sequence[str],
    spare: Sequence[str],
) -> Iterator[Table]:
    for count in range(len(spare) + 1):
        shown = [k for k, name in enumerate(columns) if name not in spare[:count]]
        table = Table(box=None, pad_edge=False)
        for k in shown:
            side: JustifyMethod = "right" if columns[k] in right else "left"
            table.add_column(columns[k], justify=side, overflow="fold")
        for row in rows:
            table.add_row(*(row[k] for k in shown))
        yield table


class Progress:
    """Says on standard error what is going on: a spinner on a terminal, else a line per stage."""

    def __init__(self) -> None:
        self.console = Console(stderr=True)
        self.status = self.console.status("", spinner="line") if self.console.is_terminal else None

    def __call__(self, stage: str) -> None:
        if self.status is None:
            self.console.print(f"... {stage}")
        else:
            self.status.update(stage)
            self.status.start()

    def tick(self, done: int, total: int, what: str) -> None:
        """How far a long stage has come; shown on a terminal only."""
        if self.status is not None:
            self.status.update(f"{what}: {done} of {total}")

    def done(self) -> None:
        if self.status is not None:
            self.status.stop()

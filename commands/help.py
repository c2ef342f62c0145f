"""How help looks: click's layout, with headings and terms in colour on a terminal."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from typing import Any

import click


class Formatter(click.HelpFormatter):
    """Colours are taken out again by click where the output is no terminal."""

    def write_heading(self, heading: str) -> None:
        super().write_heading(click.style(heading, fg="cyan", bold=True))

    def write_dl(
        self, rows: Iterable[tuple[str, str]], col_max: int = 30, col_spacing: int = 2
    ) -> None:
        styled = [(click.style(term, fg="green"), text) for term, text in rows]
        super().write_dl(styled, min(col_max, self.width // 2), col_spacing)

    def getvalue(self) -> str:
        return "".join(f"{line.rstrip()}\n" for line in super().getvalue().splitlines())


class Context(click.Context):
    formatter_class = Formatter


class Command(click.Command):
    context_class = Context


class Group(click.Group, Command):
    """Commands in the order of their table, not of the alphabet."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def help_settings() -> dict[str, Any]:
    """The context's settings for the terminal at hand: its width, up to 80, and NO_COLOR."""
    width = min(shutil.get_terminal_size().columns, 80)
    return {"terminal_width": width, "color": False if os.environ.get("NO_COLOR") else None}

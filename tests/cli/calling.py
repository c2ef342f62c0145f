"""Calling the command line: inside this process where that shows the same, else in its own."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import cli

ROOT = Path(__file__).parents[2]
# What the caller's own environment may say about terminals, and must not say here.
TERMINAL = ("COLUMNS", "FORCE_COLOR", "NO_COLOR", "LINES", "TTY_COMPATIBLE", "TTY_INTERACTIVE")


@dataclass(frozen=True)
class Outcome:
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Stream(io.TextIOWrapper):
    """A standard stream of some encoding that is a terminal, or is not."""

    def __init__(self, encoding: str, terminal: bool) -> None:
        self.content = io.BytesIO()
        self.terminal = terminal
        super().__init__(self.content, encoding=encoding, newline="\n")

    def isatty(self) -> bool:
        return self.terminal

    def text(self) -> str:
        self.flush()
        return self.content.getvalue().decode(self.encoding)


def environment(**changes: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in TERMINAL}
    kept.pop("PYTHONPATH", None)
    return kept | {"TERM": "xterm-256color"} | changes


def call(
    *arguments: str, encoding: str = "utf-8", terminal: bool = False, **variables: str
) -> Outcome:
    """The command line in this process."""
    out, err = Stream(encoding, terminal), Stream(encoding, terminal)
    with (
        patch.dict(os.environ, environment(**variables), clear=True),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            cli.main(arguments)
        except SystemExit as ended:
            return Outcome(int(ended.code or 0), out.text(), err.text())
    raise AssertionError("main returned without an exit status")


def process(
    *arguments: str, root: Path = ROOT, variables: Mapping[str, str] | None = None
) -> Outcome:
    """``python cli.py`` in a process of its own, its output piped."""
    ended = subprocess.run(
        [sys.executable, str(root / "cli.py"), *arguments],
        env=environment(**(variables or {})),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    return Outcome(ended.returncode, ended.stdout, ended.stderr)


def is_one_line_of_error(outcome: Outcome) -> bool:
    """Nothing on standard output, no traceback, one line on standard error."""
    one = outcome.err.startswith("backnorm: error: ") and outcome.err.count("\n") == 1
    return one and outcome.err.endswith("\n") and outcome.out == ""

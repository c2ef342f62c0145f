"""Help and version: at once, without what is heavy, and right on every terminal."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib

import pytest

import cli
from codegen import emit
from commands import COMMANDS, audit
from commands.help import Command
from tests.cli.calling import ROOT, call, environment, process

HEAVY = ("sympy", "numpy", "mpmath", "rich", "derive", "codegen", "verify")
HELPS = [
    ["--help"],
    ["-h"],
    *([name, "--help"] for name in COMMANDS),
    *(["audit", name, "--help"] for name in audit.COMMANDS),
]
LOADED_AFTER = f"""
import sys, cli
for arguments in {[*HELPS, ["--version"]]}:
    try:
        cli.main(arguments)
    except SystemExit as ended:
        assert not ended.code
print(sorted({{name.partition(".")[0] for name in sys.modules}} & set({HEAVY})))
"""


def test_no_help_loads_what_is_heavy() -> None:
    command = [sys.executable, "-c", LOADED_AFTER]
    ended = subprocess.run(
        command, cwd=ROOT, env=environment(), capture_output=True, text=True, check=True
    )
    assert ended.stdout.splitlines()[-1] == "[]"


@pytest.mark.skipif(os.name == "nt", reason="Windows does not add up its children's times")
def test_help_answers_at_once() -> None:
    """The whole process, the quickest of a few; not the time spent waiting for others."""
    for _ in range(20):
        before = os.times()
        assert process("--help").status == 0
        after = os.times()
        user = after.children_user - before.children_user
        if user + after.children_system - before.children_system < 0.15:
            return
    pytest.fail("--help took over 0.15 s twenty times")


def test_every_command_is_one_of_ours() -> None:
    """Then its help keeps to the terminal's width."""
    for name, command in {**COMMANDS, **audit.COMMANDS}.items():
        assert isinstance(command, Command), name
        assert command.help, name


def test_commands_stand_in_the_order_of_their_table() -> None:
    lines = call("--help").lines
    listed = [line.split()[0] for line in lines[lines.index("Commands:") + 1 :]]
    assert listed == list(COMMANDS)


def test_no_summary_is_cut_short() -> None:
    assert "..." not in call("--help").out.partition("Commands:")[2]


def test_the_readme_names_every_command() -> None:
    table = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [name for name in COMMANDS if f"| `backnorm {name}" not in table] == []


@pytest.mark.parametrize("arguments", HELPS, ids=" ".join)
@pytest.mark.parametrize("width", [40, 60, 80, 200])
def test_help_fits(arguments: list[str], width: int) -> None:
    shown = call(*arguments, encoding="ascii", COLUMNS=str(width))
    assert (shown.status, shown.err) == (0, "")
    assert shown.out.startswith("Usage: backnorm")
    assert "\x1b" not in shown.out
    for line in shown.lines:
        assert line == line.rstrip()
        assert len(line) <= min(width, 80)


def test_help_is_coloured_on_a_terminal_alone() -> None:
    assert "\x1b[" in call("--help", terminal=True).out
    assert "\x1b[" not in call("--help", terminal=True, NO_COLOR="1").out
    assert "\x1b[" not in call("--help").out


def test_no_command_is_wrong_usage() -> None:
    shown = call()
    assert (shown.status, shown.out) == (2, "")
    assert shown.err == call("--help").out


def test_version_is_one() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] == cli.VERSION == emit.VERSION
    assert call("--version").out == f"backnorm, version {cli.VERSION}\n"


def test_the_file_and_the_installed_program_are_the_same() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["scripts"] == {"backnorm": "cli:main"}
    assert process("--version") == call("--version")
    assert process("--help") == call("--help")

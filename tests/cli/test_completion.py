"""Tab completion: a script for each shell, and what it offers."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from commands import COMMANDS
from tests.cli.calling import ROOT, call, environment


def offered(words: str, position: int) -> list[str]:
    """What a shell would offer for the word at that position, the program's name being 0."""
    shown = call(_BACKNORM_COMPLETE="bash_complete", COMP_WORDS=words, COMP_CWORD=str(position))
    assert (shown.status, shown.err) == (0, "")
    return [line.partition(",")[2] for line in shown.lines]


def test_commands_are_offered() -> None:
    assert offered("backnorm ", 1) == list(COMMANDS)
    assert offered("backnorm ver", 1) == ["verify"]


@pytest.mark.parametrize("command", ["run", "derive", "generate", "verify"])
def test_layers_are_offered(command: str) -> None:
    assert offered(f"backnorm {command} lay", 2) == ["layer_norm"]
    assert "batch_norm" in offered(f"backnorm {command} ", 2)


def test_options_and_their_values_are_offered() -> None:
    assert offered("backnorm derive --fo", 2) == ["--form", "--format"]
    assert offered("backnorm derive --format l", 3) == ["latex"]


@pytest.mark.parametrize(
    ("shell", "holds"),
    [("bash", "complete -o"), ("zsh", "#compdef backnorm"), ("fish", "complete")],
)
def test_a_script_for_each_shell(shell: str, holds: str) -> None:
    shown = call("completion", shell)
    assert (shown.status, shown.err) == (0, "")
    assert holds in shown.out
    assert f"_BACKNORM_COMPLETE={shell}_complete" in shown.out


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash here")
def test_bash_completes_a_layer(tmp_path: Path) -> None:
    """The script as bash runs it."""
    program = tmp_path / "backnorm"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{ROOT / "cli.py"}" "$@"\n')
    program.chmod(0o755)
    (tmp_path / "script").write_text(call("completion", "bash").out, encoding="utf-8")
    asked = (
        f'PATH="{tmp_path}:$PATH"; source "{tmp_path}/script"; COMP_WORDS=(backnorm derive lay); '
        'COMP_CWORD=2; _backnorm_completion backnorm lay derive; echo "${COMPREPLY[@]}"'
    )
    ended = subprocess.run(
        ["bash", "-c", asked], env=environment(), capture_output=True, text=True, check=True
    )
    assert ended.stdout == "layer_norm\n"

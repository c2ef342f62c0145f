"""The README's examples run, and its picture of the output is what is printed."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import cli

README = Path(__file__).parents[1] / "README.md"
OUTPUT = re.compile(r"<!-- output of: (.*?) -->\n```text\n(.*?)\n```", re.DOTALL)


def outputs() -> list[tuple[str, str]]:
    return [(m[1], m[2]) for m in OUTPUT.finditer(README.read_text(encoding="utf-8"))]


def test_there_is_an_output_to_compare() -> None:
    assert outputs()


@pytest.mark.parametrize(("command", "expected"), outputs())
def test_the_output_shown_is_the_output_printed(
    command: str, expected: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit) as exit_info:
        cli.main(command.split())
    assert exit_info.value.code == 0
    assert capsys.readouterr().out.rstrip("\n") == expected


def test_python_examples() -> None:
    failures, count = doctest.testfile(str(README), module_relative=False)
    assert (failures, count > 10) == (0, True)

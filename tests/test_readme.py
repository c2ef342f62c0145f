"""The examples of the README and of docs/ run, and the output they show is what is printed."""

from __future__ import annotations

import doctest
import re
from pathlib import Path

import pytest

import cli

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PAGES = [README, ROOT / "docs" / "read_a_derivation.md"]
OUTPUT = re.compile(r"<!-- output of: (.*?) -->\n```text\n(.*?)\n```", re.DOTALL)


def outputs() -> list[tuple[str, str]]:
    texts = (page.read_text(encoding="utf-8") for page in PAGES)
    return [(m[1], m[2]) for text in texts for m in OUTPUT.finditer(text)]


def test_there_is_an_output_to_compare() -> None:
    assert len(outputs()) >= 2


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


@pytest.mark.parametrize("page", ["exports.md"])
def test_python_examples_of_the_pages(page: str) -> None:
    failures, count = doctest.testfile(str(ROOT / "docs" / page), module_relative=False)
    assert (failures, count > 2) == (0, True)

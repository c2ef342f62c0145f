"""``audit documents``: the table, the page that is written, and what --check finds."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.calling import call, is_one_line_of_error
from verify.audit import transcriptions

WRONG = "002.3, not equal: It is so even if sigma^2 is the name of what others"


@pytest.fixture(autouse=True)
def one_document(monkeypatch: pytest.MonkeyPatch) -> None:
    """The shortest that has a wrong formula; all five are judged in tests/verify."""
    (short,) = (found for found in transcriptions.documents() if found.number == "002")
    monkeypatch.setattr(transcriptions, "documents", lambda: (short,))


def test_the_table_and_its_evidence() -> None:
    shown = call("audit", "documents")
    assert shown.status == 0
    assert shown.err == "... judging the formulas\n"
    assert shown.lines[0].split() == ["formula", "verdict", "exact", "read", "as"]
    rows = [line.split() for line in shown.lines if line.startswith("002.")]
    assert [row[:2] for row in rows[:3]] == [
        ["002.1", "equal"],
        ["002.2", "equal"],
        ["002.3", "not"],
    ]
    assert any(line.startswith(WRONG) for line in shown.lines)
    assert all(len(line) <= 80 for line in shown.lines)


def test_ascii_streams_get_ascii() -> None:
    assert "\\u" not in call("audit", "documents", encoding="ascii").out


def test_the_page_is_written_and_checked(tmp_path: Path) -> None:
    path = tmp_path / "docs" / "page.md"
    shown = call("audit", "documents", "--out", str(path))
    assert (shown.status, shown.lines[-1]) == (0, f"{path}: written")
    assert path.read_text(encoding="utf-8").count("\n### 002.") == 3
    checked = call("audit", "documents", "--check", "--out", str(path))
    assert (checked.status, checked.lines) == (0, [f"{path}: up to date"])


def test_a_drift_is_shown_and_nothing_is_written(tmp_path: Path) -> None:
    path = tmp_path / "page.md"
    call("audit", "documents", "--out", str(path))
    changed = path.read_text(encoding="utf-8").replace("**not equal**. ", "**equal**. ")
    path.write_text(changed, encoding="utf-8")
    shown = call("audit", "documents", "--check", "--out", str(path))
    assert shown.status == 1
    assert shown.lines[0] == f"{path}: differs from what would be written"
    assert any(line.startswith("+**not equal**. ") for line in shown.lines)
    assert path.read_text(encoding="utf-8") == changed


def test_the_page_of_the_checkout_is_checked_by_itself() -> None:
    """It has all five documents, so it is not that of one."""
    shown = call("audit", "documents", "--check")
    assert shown.status == 1
    assert "source_documents.md: differs" in shown.lines[0]


def test_a_page_that_is_not_there(tmp_path: Path) -> None:
    shown = call("audit", "documents", "--check", "--out", str(tmp_path / "none.md"))
    assert shown.status == 2
    assert shown.err.splitlines()[-1].startswith("backnorm: error: ")
    assert "there is no such page" in shown.err


def test_a_folder_is_no_page(tmp_path: Path) -> None:
    shown = call("audit", "documents", "--out", str(tmp_path))
    assert shown.status == 2
    assert is_one_line_of_error(shown)

"""``generate``: what is written, what --check finds, and that no half-written file can be seen."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from codegen import emit
from tests.cli.calling import call, is_one_line_of_error

KERNEL = "numpy_kernels/batch_norm.py"
IN_NUMPY = 8  # seven modules and the package itself
FILES = IN_NUMPY + 7  # the same for numba but for the block


@pytest.fixture(scope="module")
def rendered() -> dict[str, str]:
    return emit.render_committed()


@pytest.fixture
def folder(rendered: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An up-to-date folder; what would be generated is not worked out again."""
    monkeypatch.setattr(emit, "render_committed", lambda *_, **__: rendered)
    emit.write(tmp_path, rendered)
    return tmp_path


def checked(folder: Path) -> tuple[int, list[str]]:
    shown = call("generate", "--check", "--out", str(folder))
    assert shown.err == ""
    return shown.status, shown.lines


def test_what_is_written_is_what_is_checked(tmp_path: Path) -> None:
    """With nothing put in the generator's place, here alone."""
    shown = call("generate", "--out", str(tmp_path))
    assert (shown.status, shown.err) == (0, "")
    assert f"{tmp_path / KERNEL}: written" in shown.lines
    assert checked(tmp_path) == (0, [f"{FILES} files are what would be generated"])


def test_up_to_date_files_are_left_alone(folder: Path) -> None:
    before = (folder / KERNEL).stat()
    shown = call("generate", "--out", str(folder))
    assert f"{folder / KERNEL}: up to date" in shown.lines
    after = (folder / KERNEL).stat()
    assert (before.st_mtime_ns, before.st_ino) == (after.st_mtime_ns, after.st_ino)


def test_a_missing_file(folder: Path) -> None:
    (folder / KERNEL).unlink()
    assert checked(folder) == (1, [f"{KERNEL}: is missing"])


def test_a_missing_folder(folder: Path) -> None:
    status, lines = checked(folder / "elsewhere")
    assert (status, len(lines)) == (1, FILES)


def test_a_stray_file(folder: Path) -> None:
    (folder / "numpy_kernels" / "old.py").write_text("")
    said = "numpy_kernels/old.py: is not a generated file, or no longer one"
    assert checked(folder) == (1, [said])


def test_a_change_of_text(folder: Path) -> None:
    with (folder / KERNEL).open("a", encoding="utf-8") as file:
        file.write("# a remark\n")
    status, lines = checked(folder)
    assert status == 1
    assert lines[0] == f"{KERNEL}: differs in its text only; the code means the same"
    assert "-# a remark" in lines


def test_a_change_of_meaning(folder: Path) -> None:
    source = (folder / KERNEL).read_text(encoding="utf-8")
    assert "import numpy as np" in source
    changed = source.replace("import numpy as np", "import math as np")
    (folder / KERNEL).write_text(changed, encoding="utf-8")
    status, lines = checked(folder)
    assert status == 1
    assert lines[0] == f"{KERNEL}: differs in what the code does"
    assert {"-import math as np", "+import numpy as np"} <= set(lines)


def test_a_check_writes_nothing(folder: Path) -> None:
    (folder / KERNEL).write_text("", encoding="utf-8")
    checked(folder)
    assert (folder / KERNEL).read_text(encoding="utf-8") == ""
    assert len(list((folder / "numpy_kernels").iterdir())) == IN_NUMPY


def test_a_write_that_fails_leaves_the_old_file(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / KERNEL).write_text("old\n", encoding="utf-8")

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    shown = call("generate", "--out", str(folder))
    assert shown.status == 2
    assert is_one_line_of_error(shown), shown
    assert (folder / KERNEL).read_text(encoding="utf-8") == "old\n"
    assert len(list((folder / "numpy_kernels").iterdir())) == IN_NUMPY


def test_a_file_in_the_place_of_the_folder(folder: Path) -> None:
    (folder / "file").write_text("")
    shown = call("generate", "--out", str(folder / "file"))
    assert shown.status == 2
    assert is_one_line_of_error(shown), shown


# --- In float64 alone -----------------------------------------------------------------------------

OPTION = "--accumulate", "float64"


def test_a_module_in_float64_says_so_and_is_checked_as_such(tmp_path: Path) -> None:
    arguments = ("generate", "batch_norm", "--out", str(tmp_path))
    assert call(*arguments, *OPTION).lines[-1] == f"{tmp_path / KERNEL}: written"
    _, how, *_ = (tmp_path / KERNEL).read_text(encoding="utf-8").splitlines()
    assert how.endswith("and run `backnorm generate --accumulate float64`.")
    assert call(*arguments, *OPTION, "--check").status == 0
    otherwise = call(*arguments, "--check")
    assert otherwise.status == 1
    assert f"-{how}" in otherwise.lines


@pytest.mark.parametrize(
    ("chosen", "module"),
    [
        (("softmax",), "numpy_kernels/softmax.py"),
        (("batch_norm", "--backend", "numba"), "numba_kernels/batch_norm.py"),
    ],
)
def test_what_is_in_float64_in_any_case_is_the_same(
    chosen: tuple[str, ...], module: str, tmp_path: Path
) -> None:
    shown = call("generate", *chosen, *OPTION, "--out", str(tmp_path))
    assert shown.lines[0] == f"in float64 in any case: {module}"
    assert call("generate", *chosen, "--check", "--out", str(tmp_path)).status == 0

"""Whatever goes wrong: the right exit status, one line on standard error, and no traceback."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from commands import options
from tests.cli.calling import ROOT, call, environment, is_one_line_of_error

TABLE = np.arange(6.0).reshape(3, 2)


def npy(values: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, values, allow_pickle=True)
    return file.getvalue()


def npz(**arrays: Any) -> bytes:
    file = io.BytesIO()
    np.savez(file, **arrays)
    return file.getvalue()


# --- Usage ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["dervie"], "No such command 'dervie'"),
        (["--wrong"], "No such option '--wrong'"),
        (["derive", "--stpes"], "No such option '--stpes'"),
        (["derive", "--form", "close"], "'close' is not one of 'staged', 'closed', 'jacobian'"),
        (["derive", "--wrt"], "'--wrt' requires an argument"),
        (["derive", "--wrt", "z"], "batch_norm has no input 'z' (inputs: x, gamma, beta, or all)"),
        (["derive", "softmax", "--wrt", "beta"], "softmax has no input 'beta' (inputs: x, or all)"),
        (["derive", "batch-nrom"], "no layer 'batch-nrom'; did you mean batch_norm? (layers: batc"),
        (["derive", "BatchNorm"], "did you mean batch_norm?"),
        (["verify", "layer_nor"], "did you mean layer_norm?"),
        (["run", "sotfmax"], "did you mean softmax?"),
        (["generate", "qqq"], "there is no layer 'qqq' (layers: batch_norm, "),
        (["derive", "x" * 9 + "\n\x1b[31m"], r"no layer 'xxxxxxxxx\n\x1b[31m' (layers: "),
        (["verify", "--seed", "one"], "'one' is not a valid integer"),
        (["verify", "--mutants", "--quick"], "--mutants goes with neither --data nor --quick"),
        (
            ["generate", "weight_standardisation"],
            "output called y; weight_standardisation has W and",
        ),
        (["completion", "csh"], "'csh' is not one of 'bash', 'zsh', 'fish'"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str) -> None:
    shown = call(*arguments)
    assert shown.status == 2
    assert is_one_line_of_error(shown), shown
    assert said in shown.err


# --- Data files ----------------------------------------------------------------------------------

BAD_FILES = {
    "empty.csv": (b"", "is empty; a matrix (m, C)"),
    "text.csv": (b"a,b\n1,2\n3,n/a\n", "line 3, column 2 (b) is 'n/a'; a number is needed"),
    "nan.csv": (b"1,2\n3,nan\n", "line 2, column 2 is NaN; every value must be finite"),
    "column.csv": (b"1\n2\n3\n", "is 3 × 1; a matrix of samples by features is needed"),
    "delimiter.csv": (b"1:2\n3:4\n", "line 2, column 1 (1:2) is '3:4'; a number is needed"),
    "row.csv": (b"1,2\n", "has 1 row of numbers"),
    "empty.npy": (b"", "is empty"),
    "nan.npy": (npy(TABLE * np.nan), "is NaN at [0, 0]; every value must be finite"),
    "column.npy": (npy(TABLE[:, :1]), "is 3 × 1; a matrix of samples by features"),
    "vector.npy": (npy(TABLE[0]), "has shape (2,); a matrix (m, C) of m samples"),
    "images.npy": (npy(np.ones((2, 3, 4, 4))), "has shape (2, 3, 4, 4); a matrix (m, C)"),
    "several.npz": (npz(a=TABLE, b=TABLE), "exactly one two-dimensional array, but holds a (3, 2)"),
    "objects.npy": (npy(np.array([[1, None], [2, 3]])), "pickles are not loaded"),
    "not_numpy.npy": (b"hello, world", "is not a NumPy file"),
    "cut.npy": (npy(TABLE)[:-3], "is truncated or damaged"),
    "table.xlsx": (b"PK", "has the ending .xlsx; a .npy, .npz or .csv file is needed"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_a_bad_data_file(tmp_path: Path, name: str) -> None:
    content, said = BAD_FILES[name]
    (tmp_path / name).write_bytes(content)
    for command in ("verify", "run"):
        shown = call(command, "--data", str(tmp_path / name))
        assert shown.status == 2
        assert is_one_line_of_error(shown), shown
        assert f"{tmp_path / name}" in shown.err
        assert said in shown.err


@pytest.mark.parametrize(
    ("name", "said"), [("absent.csv", "does not exist"), ("", "is a directory")]
)
def test_no_data_file(tmp_path: Path, name: str, said: str) -> None:
    shown = call("verify", "--data", str(tmp_path / name))
    assert shown.status == 2
    assert is_one_line_of_error(shown), shown
    assert said in shown.err


def test_an_error_that_the_stream_cannot_carry(tmp_path: Path) -> None:
    (tmp_path / "µ.csv").write_bytes(b"1\n2\n")
    shown = call("verify", "--data", str(tmp_path / "µ.csv"), encoding="ascii")
    assert shown.status == 2
    assert is_one_line_of_error(shown), shown
    assert r"\xb5.csv is 2 \xd7 1" in shown.err


# --- Faults of the program -----------------------------------------------------------------------


def test_debug_shows_the_traceback_and_keeps_the_status() -> None:
    shown = call("--debug", "derive", "batch")
    assert (shown.status, shown.out) == (2, "")
    assert shown.err.startswith("Traceback (most recent call last):")
    assert shown.err.splitlines()[-1].startswith("backnorm: error: there is no layer 'batch'")


def test_a_fault_of_the_program(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise ZeroDivisionError("in two\nlines")

    monkeypatch.setattr("commands.options.layer_or_study_named", fail)
    shown = call("derive")
    assert shown.status == 1
    assert is_one_line_of_error(shown)
    assert "internal error: ZeroDivisionError: in two lines (--debug shows more)" in shown.err
    shown = call("--debug", "derive")
    assert shown.status == 1
    assert "Traceback" in shown.err


def test_an_error_of_the_system(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(_: str) -> None:
        raise PermissionError(13, "Permission denied", "generated/x.py")

    monkeypatch.setattr("commands.options.layer_or_study_named", fail)
    shown = call("derive")
    assert (shown.status, shown.out) == (2, "")
    assert shown.err == "backnorm: error: generated/x.py: Permission denied\n"


def test_an_interruption(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupt(_: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("commands.options.layer_or_study_named", interrupt)
    shown = call("derive")
    assert (shown.status, shown.err) == (130, "backnorm: error: interrupted\n")


def test_further_lines_of_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """An error at a place in a text shows the place below its line."""
    from derive.errors import InputError

    def fail(_: str) -> None:
        error = InputError("x.layer:1:3: what is this?")
        error.detail = "    ab$\n      ^"
        raise error

    monkeypatch.setattr("commands.options.layer_or_study_named", fail)
    shown = call("derive")
    assert shown.err == "backnorm: error: x.layer:1:3: what is this?\n    ab$\n      ^\n"


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGPIPE, and another error")
@pytest.mark.parametrize("arguments", [["--help"], ["derive", "--wrt", "beta"]], ids=" ".join)
def test_a_reader_that_has_gone(arguments: list[str]) -> None:
    """As in ``backnorm derive | head -1``, surely gone before the first write."""
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [sys.executable, str(ROOT / "cli.py"), *arguments],
        env=environment(),
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, "")


def test_the_nearest_layer_is_found_for_every_small_mistake() -> None:
    for name in options.layer_names():
        for wrong in (name[:-1], name.replace("_", "-").upper(), name[1:]):
            shown = call("derive", wrong)
            guess = shown.err.partition("did you mean ")[2].partition("?")[0]
            assert (shown.status, guess in options.layer_names()) == (2, True), wrong

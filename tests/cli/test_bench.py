"""``bench``: ratios in a table or as JSON, a picture, and one line for what cannot be."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from commands import bench
from tests.cli.calling import call, is_one_line_of_error

SMALL = ("--shape", "8x4", "--backend", "numpy")


def test_a_table_of_ratios() -> None:
    outcome = call("bench", *SMALL)
    assert outcome.status == 0
    assert "8x4 float32, 1 thread" in outcome.lines
    names = [line.split("  ")[1].strip() for line in outcome.lines if line.startswith("  ")]
    assert {"floor", "textbook", "numpy, out=", "numpy"} <= set(names)
    assert max(map(len, outcome.lines)) <= 80


def test_groups_and_what_is_not_installed_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.speed.implementations.available", lambda _: ("numpy",))
    outcome = call("bench", "--layer", "group_norm", "--shape", "4x48x3x3")
    assert outcome.status == 0
    assert "4x48x3x3 in 16 groups float32, 1 thread" in outcome.lines
    assert outcome.lines[-1] == "not measured, as not installed: numba, torch"


def test_what_pytorch_s_figures_are_of_is_told() -> None:
    lines = bench._remarks("instance_norm", ("numpy", "torch"))
    assert "its batch norm of x as (1, N*C, ...)" in next(iter(lines))
    assert not [line for line in bench._remarks("instance_norm", ("numpy",)) if "N*C" in line]


def test_json_and_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    picture = tmp_path / "speed.svg"
    outcome = call("bench", *SMALL, "--dtype", "float16", "--json", "--plot", str(picture))
    assert outcome.status == 0
    data = json.loads(outcome.out)
    assert data["schema"] == 1
    assert {figure["dtype"] for figure in data["figures"]} == {"float16"}
    text = picture.read_text()
    assert text.startswith("<?xml")
    assert "http://localhost" not in text


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--shape", "8"), "the shape '8' is not sizes with x between them, like 8192x1024"),
        (("--shape", "8x0"), "the shape 8x0 has no elements"),
        (("--plot", "a.gif"), "a.gif has no ending that says its format"),
        (("--threads", "0"), "0 is not in the range x>=1"),
        (("--dtype", "int8"), "'int8' is not one of"),
    ],
)
def test_bad_input(arguments: tuple[str, ...], says: str) -> None:
    outcome = call("bench", *arguments)
    assert outcome.status == 2
    assert is_one_line_of_error(outcome)
    assert says in outcome.err


def test_a_backend_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("verify.speed.implementations.available", lambda names: ())
    outcome = call("bench", "--backend", "numba", "--shape", "8x4")
    assert outcome.status == 2
    assert is_one_line_of_error(outcome)
    assert "--backend numba needs numba, which is not installed" in outcome.err


def test_the_choices_are_those_of_the_library() -> None:
    """They stand twice, as the command's help must not import NumPy."""
    from verify.speed import implementations, problem

    assert bench.LAYERS == problem.LAYERS
    assert bench.BACKENDS == implementations.BACKENDS
    assert bench.DTYPES == problem.DTYPES

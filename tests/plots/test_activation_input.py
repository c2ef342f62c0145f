"""The picture of a sigmoid's inputs: what it says is so, and the same command draws the same."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from cli import main
from plots.activation_input import FLAT, figure, mini_batch, share_flat, sigmoid, stages


def test_normalising_takes_the_inputs_out_of_the_flat_parts() -> None:
    before, normalised, scaled = stages(mini_batch(0), 2.0, 0.5).values()
    assert share_flat(before) > 0.5
    assert share_flat(normalised) < 0.01
    assert 0.01 < share_flat(scaled) < share_flat(before)


def test_the_panels_are_what_their_titles_say() -> None:
    before, normalised, scaled = stages(mini_batch(3), 2.0, 0.5).values()
    assert abs(normalised.mean()) < 1e-12
    assert normalised.std() == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(scaled, 2.0 * normalised + 0.5, atol=1e-12)
    np.testing.assert_allclose(before, mini_batch(3))


def test_flat_is_where_the_slope_is_small() -> None:
    step = 1e-6
    for z in (-4.0, 0.0, 2.0, 3.5):
        slope = (sigmoid(np.array([z + step])) - sigmoid(np.array([z - step])))[0] / (2 * step)
        assert share_flat(np.array([z])) == (slope < FLAT)


def _plot(*arguments: str) -> int:
    with pytest.raises(SystemExit) as status:
        main(["plot", *arguments])
    return int(status.value.code or 0)


@pytest.mark.parametrize("form", ["svg", "png", "pdf"])
def test_the_same_command_writes_the_same_bytes(form: str, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    first, second = tmp_path / f"a.{form}", tmp_path / f"b.{form}"
    assert _plot("--out", str(first)) == 0
    assert _plot("--out", str(second)) == 0
    assert first.read_bytes() == second.read_bytes()
    assert len(first.read_bytes()) > 10_000
    assert _plot("--out", str(second), "--beta", "3") == 0
    assert first.read_bytes() != second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [first.name, second.name]


def test_three_panels() -> None:
    pytest.importorskip("matplotlib", reason="matplotlib is not installed")
    titles = [axis.get_title() for axis in figure().axes]
    assert titles == ["before", "normalised", "scaled and shifted (γ = 2, β = 0.5)"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--out", "picture.gif"], "picture.gif has no ending that says its format"),
        (["--gamma", "nan"], "--gamma is nan; a finite number is needed"),
        (["--gamma", "wide"], "'wide' is not a valid float"),
    ],
)
def test_bad_input(
    arguments: list[str],
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert _plot(*arguments) == 2
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_without_matplotlib(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert _plot("--out", str(tmp_path / "a.svg")) == 2
    assert "pip install 'backnorm[plot]'" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []

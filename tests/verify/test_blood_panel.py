"""The blood panel: within its ranges, the same for a seed, and known by name where data is."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from tests.cli.calling import call
from verify.blood_panel import RANGES, blood_panel
from verify.data import load


def test_the_panel_by_name() -> None:
    matrix = load(Path("blood-panel"))
    assert (matrix.name, matrix.values.shape) == ("blood-panel", (200, 4))
    assert matrix.columns == tuple(RANGES)
    low, high = np.array(list(RANGES.values())).T
    assert (matrix.values >= low).all()
    assert (matrix.values <= high).all()
    # Drawn from all of each range, and so ten orders of magnitude apart.
    assert (np.ptp(matrix.values, axis=0) > 0.9 * (high - low)).all()
    assert matrix.values[:, 0].mean() / matrix.values[:, 3].mean() > 1e10


def test_the_seed_decides() -> None:
    values = [load(Path("blood-panel"), seed=seed).values for seed in (0, 0, 1)]
    assert np.array_equal(values[0], values[1])
    assert not np.array_equal(values[0], values[2])


def test_wine_by_name_is_the_shipped_table() -> None:
    assert np.array_equal(load(Path("wine")).values, load().values)


def test_images_have_their_channels_on_axis_1() -> None:
    images = blood_panel(np.random.default_rng(0), 3, 5, 6)
    assert images.shape == (3, 4, 5, 6)
    assert (images[:, 3] < 200).all()


def test_the_commands_name_it() -> None:
    for command in ("run", "verify"):
        shown = " ".join(call(command, "--help").out.split())
        assert "or by name: wine, blood-panel" in shown

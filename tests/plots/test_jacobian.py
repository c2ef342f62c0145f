"""The picture of R shows R: its numbers satisfy what the derivation proves of it."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="matplotlib is not installed")
from plots.jacobian import figure, r_of


def test_the_matrix_is_r() -> None:
    x = np.array([0.3, -1.2, 2.0, 0.7])
    x_hat = (x - x.mean()) / np.sqrt(x.var() + 1e-5)
    matrix = r_of(x)
    np.testing.assert_allclose(matrix, 4 * np.eye(4) - 1 - np.outer(x_hat, x_hat), atol=1e-12)
    np.testing.assert_allclose(matrix.sum(axis=0), 0, atol=1e-12)


def test_every_entry_is_written_under_the_formula() -> None:
    axes = figure(m=5).axes[0]
    assert len(axes.texts) == 25
    assert axes.get_title() == r"$R_{ij} = m \delta_{ij} - 1 - \hat{x}_i \hat{x}_j$, m = 5"

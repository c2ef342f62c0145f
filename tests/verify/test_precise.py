"""High-precision gradients: against rationals, and independent of the digits carried."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from verify.precise import high_precision_gradients
from verify.references import REFERENCES


def test_high_precision_gradients_are_the_closed_form_rounded_once() -> None:
    rng = np.random.default_rng(0)
    x, dy = 1e6 + rng.standard_normal((7, 3)), rng.standard_normal((7, 3))
    gamma, beta, eps = rng.standard_normal(3), rng.standard_normal(3), 1e-5
    inputs = {"x": x, "gamma": gamma, "beta": beta}
    gradients = high_precision_gradients(REFERENCES["batch_norm"], inputs, eps, dy)
    assert {label: g.shape for label, g in gradients.items()} == {
        "x": (7, 3),
        "gamma": (3,),
        "beta": (3,),
    }
    for c in range(3):
        column, g = [Fraction(v) for v in x[:, c]], [Fraction(v) for v in dy[:, c]]
        mu = sum(column) / 7
        centred = [v - mu for v in column]
        q = sum(v * v for v in centred) / 7 + Fraction(eps)
        slope = sum(a * b for a, b in zip(g, centred, strict=True))
        exact = [7 * a - sum(g) - v * slope / q for a, v in zip(g, centred, strict=True)]
        dx = [float(gamma[c]) / 7 / float(q) ** 0.5 * float(e) for e in exact]
        np.testing.assert_allclose(gradients["x"][:, c], dx, rtol=4e-15)
        np.testing.assert_allclose(gradients["gamma"][c], float(slope) / float(q) ** 0.5, 4e-15)
        assert gradients["beta"][c] == float(sum(g))


def test_high_precision_does_not_depend_on_the_digits() -> None:
    rng = np.random.default_rng(1)
    x, dp = 30 * rng.standard_normal((2, 5)), rng.standard_normal((2, 5))
    fifty, eighty = (
        high_precision_gradients(REFERENCES["softmax"], {"x": x}, 0.0, dp, digits)["x"]
        for digits in (50, 80)
    )
    np.testing.assert_array_equal(fifty, eighty)
    with pytest.raises(ValueError, match=r"cotangent has shape \(2, 4\)"):
        high_precision_gradients(REFERENCES["softmax"], {"x": x}, 0.0, dp[:, :4])

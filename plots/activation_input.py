"""What Batch Norm does to the input of a sigmoid: before, normalised, scaled and shifted.

A sigmoid is flat far from 0: there its slope, and with it every gradient that passes through, all
but vanishes.  The picture shows the same mini-batch three times beside the curve, and how much of
it lies where the slope is below a fifth of its largest value.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from generated.numpy_kernels import batch_norm

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Array = npt.NDArray[np.float64]

FLAT = 0.05  # slopes below this count as flat: a fifth of the sigmoid's largest slope, 1/4
LIMIT = 16.0  # the axis goes from -LIMIT to LIMIT
INK, CURVE, BARS = "#222222", "#b3404a", "#4a78b3"


def mini_batch(seed: int, rows: int = 4096) -> Array:
    """Inputs as an unnormalised layer may produce them: off centre and wide, (rows,)."""
    return np.random.default_rng(seed).normal(5.0, 3.0, rows)


def stages(z: Array, gamma: float, beta: float) -> dict[str, Array]:
    """The mini-batch before, normalised, and scaled and shifted, by the generated kernel."""
    column = z[:, None]
    normalised, _ = batch_norm.forward(column)
    scaled, _ = batch_norm.forward(column, np.array([gamma]), np.array([beta]))
    return {
        "before": z,
        "normalised": normalised[:, 0],
        f"scaled and shifted (γ = {gamma:g}, β = {beta:g})": scaled[:, 0],
    }


def sigmoid(z: Array) -> Array:
    return 1 / (1 + np.exp(-z))


def share_flat(z: Array) -> float:
    """The share of inputs at which the sigmoid's slope is below :data:`FLAT`."""
    y = sigmoid(z)
    return float(np.mean(y * (1 - y) < FLAT))


def figure(seed: int = 0, gamma: float = 2.0, beta: float = 0.5) -> Figure:
    """Three panels, one for each stage."""
    from matplotlib.figure import Figure

    panels = stages(mini_batch(seed), gamma, beta)
    picture = Figure(figsize=(10, 3.4), layout="constrained")
    axes = picture.subplots(1, len(panels), sharex=True, sharey=True)
    for axis, (title, z) in zip(axes, panels.items(), strict=True):
        _panel(axis, title, z)
    axes[0].set_ylabel("sigmoid, and how the inputs spread")
    return picture


def _panel(axis: Any, title: str, z: Array) -> None:
    grid = np.linspace(-LIMIT, LIMIT, 641)
    counts, edges = np.histogram(z, bins=80, range=(-LIMIT, LIMIT))
    axis.bar(
        edges[:-1], counts / counts.max(), np.diff(edges), align="edge", color=BARS, alpha=0.55
    )
    axis.plot(grid, sigmoid(grid), color=CURVE, linewidth=2)
    bound = np.log((1 + np.sqrt(1 - 4 * FLAT)) / (1 - np.sqrt(1 - 4 * FLAT)))
    for edge in (-bound, bound):
        axis.axvline(edge, color=INK, linewidth=0.8, linestyle=":")
    axis.set_title(title, fontsize=10)
    axis.set_xlabel(f"{share_flat(z):.0%} where the slope is below {FLAT:g}", fontsize=9)
    axis.set_xlim(-LIMIT, LIMIT)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)

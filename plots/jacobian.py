"""R of Batch Norm's Jacobian u·R for one small batch, as a heat map.

The values are those of the generated kernel's ``jacobian`` divided by u; the formula above them is
the derivation's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from matplotlib.figure import Figure

from derive.derivation import derive
from derive.layers.batch_norm import BATCH_NORM
from derive.render import PAPER, equation, to_latex
from generated.numpy_kernels import batch_norm

DARK = 0.6  # of the largest value: text on it is white


def r_of(x: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """R for one channel's batch, (m,) to (m, m)."""
    _, cache = batch_norm.forward(x[:, None])
    u = float(cache.inv_std.item()) / len(x)
    return np.asarray(batch_norm.jacobian(cache)) / u


def figure(seed: int = 0, m: int = 8) -> Figure:
    """The matrix with its numbers, rows and columns in the order of x̂."""
    x = np.sort(np.random.default_rng(seed).normal(size=m))
    matrix = r_of(x)
    x_hat = batch_norm.forward(x[:, None])[0][:, 0]
    largest = float(np.abs(matrix).max())
    drawn = Figure(figsize=(6.4, 5.8), layout="constrained")
    axes = drawn.add_subplot()
    image = axes.imshow(matrix, cmap="RdBu_r", vmin=-largest, vmax=largest)
    for (i, j), value in np.ndenumerate(matrix):
        color = "white" if abs(value) > DARK * largest else "black"
        axes.text(j, i, f"{value:.1f}", ha="center", va="center", fontsize=9, color=color)
    ticks = [f"{value:.2f}" for value in x_hat]
    axes.set_xticks(range(m), ticks, fontsize=8)
    axes.set_yticks(range(m), ticks, fontsize=8)
    axes.set_xlabel(r"$\hat{x}_j$")
    axes.set_ylabel(r"$\hat{x}_i$")
    jacobian = derive(BATCH_NORM).jacobian
    assert jacobian is not None
    tree = equation(jacobian.R.var, jacobian.R.expr, PAPER, ("n",))
    axes.set_title(f"${to_latex(tree)}$, m = {m}", fontsize=12)
    drawn.colorbar(image, ax=axes, shrink=0.8)
    return drawn

"""Batch Normalisation of sequences, images and volumes.

A channel is normalised over the mini-batch and over all positions: m = N·L, N·H·W or N·D·H·W.

Ioffe & Szegedy 2015, section 3.2.
"""

from sympy import sqrt

from derive.expr import Axis, Definition, Var, mean
from derive.layer import Layer

c = Axis("c", "C")
samples = Axis("n", "N")
gamma, beta, eps = Var("gamma", c), Var("beta", c), Var("eps", positive=True)
mu, var = Var("mu", c), Var("var", c, nonnegative=True)


def _layer(name: str, what: str, *positions: Axis) -> Layer:
    x, x_hat, y = (Var(label, samples, c, *positions) for label in ("x", "x_hat", "y"))
    reduced = (samples, *positions)
    return Layer(
        name=name,
        title=f"Batch Normalisation of {what}",
        source="Ioffe & Szegedy 2015, section 3.2",
        data=x,
        learnt=(gamma, beta),
        parameters=(eps,),
        definitions=(
            Definition(mu, mean(x, *reduced), "mean of the channel"),
            Definition(var, mean((x - mu) ** 2, *reduced), "variance of the channel"),
            Definition(x_hat, (x - mu) / sqrt(var + eps), "normalise"),
            Definition(y, gamma * x_hat + beta, "scale and shift"),
        ),
    )


_rows, _columns = Axis("r", "H"), Axis("s", "W")
BATCH_NORM_1D = _layer("batch_norm_1d", "sequences", Axis("r", "L"))
BATCH_NORM_2D = _layer("batch_norm_2d", "images", _rows, _columns)
BATCH_NORM_3D = _layer("batch_norm_3d", "volumes", Axis("q", "D"), _rows, _columns)

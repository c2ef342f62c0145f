"""Batch Normalisation: each channel is normalised over the mini-batch.

Ioffe & Szegedy, "Batch Normalization: Accelerating Deep Network Training by Reducing Internal
Covariate Shift", 2015, Algorithm 1.  For images m counts every element of the channel (N·H·W).
"""

from sympy import sqrt

from derive.expr import Axis, Definition, Var, mean
from derive.layer import Layer

n, c = Axis("n", "m"), Axis("c", "C")
x, gamma, beta = Var("x", n, c), Var("gamma", c), Var("beta", c)
eps = Var("eps", positive=True)
mu, var = Var("mu", c), Var("var", c, nonnegative=True)
x_hat, y = Var("x_hat", n, c), Var("y", n, c)

BATCH_NORM = Layer(
    name="batch_norm",
    title="Batch Normalisation",
    source="Ioffe & Szegedy 2015, Algorithm 1",
    data=x,
    learnt=(gamma, beta),
    parameters=(eps,),
    definitions=(
        Definition(mu, mean(x, n), "mini-batch mean"),
        Definition(var, mean((x - mu) ** 2, n), "mini-batch variance"),
        Definition(x_hat, (x - mu) / sqrt(var + eps), "normalise"),
        Definition(y, gamma * x_hat + beta, "scale and shift"),
    ),
)

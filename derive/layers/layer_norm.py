"""Layer Normalisation: each sample is normalised over its own features.

Ba, Kiros & Hinton, "Layer Normalization", 2016, equations 3 and 4.  Unlike in Batch Norm, γ varies
along the axis that is reduced, and so stays inside the sums of the backward pass.
"""

from sympy import sqrt

from derive.expr import Axis, Definition, Var, mean
from derive.layer import Layer

n, c = Axis("n", "N"), Axis("c", "m")
x, gamma, beta = Var("x", n, c), Var("gamma", c), Var("beta", c)
eps = Var("eps", positive=True)
mu, var = Var("mu", n), Var("var", n, nonnegative=True)
x_hat, y = Var("x_hat", n, c), Var("y", n, c)

LAYER_NORM = Layer(
    name="layer_norm",
    title="Layer Normalisation",
    source="Ba, Kiros & Hinton 2016, eq. 3-4",
    data=x,
    learnt=(gamma, beta),
    parameters=(eps,),
    definitions=(
        Definition(mu, mean(x, c), "mean of the sample's features"),
        Definition(var, mean((x - mu) ** 2, c), "variance of the sample's features"),
        Definition(x_hat, (x - mu) / sqrt(var + eps), "normalise"),
        Definition(y, gamma * x_hat + beta, "scale and shift"),
    ),
)

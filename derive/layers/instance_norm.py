"""Instance Normalisation: each channel of each sample is normalised over its own positions.

Ulyanov, Vedaldi & Lempitsky, "Instance Normalization", 2016, equation 2, with γ and β as they are
used.  For images m = H·W.
"""

from sympy import sqrt

from derive.expr import Axis, Definition, Var, mean
from derive.layer import Layer

n, c, s = Axis("n", "N"), Axis("c", "C"), Axis("s", "m")
x, gamma, beta = Var("x", n, c, s), Var("gamma", c), Var("beta", c)
eps = Var("eps", positive=True)
mu, var = Var("mu", n, c), Var("var", n, c, nonnegative=True)
x_hat, y = Var("x_hat", n, c, s), Var("y", n, c, s)

INSTANCE_NORM = Layer(
    name="instance_norm",
    title="Instance Normalisation",
    source="Ulyanov, Vedaldi & Lempitsky 2016, eq. 2",
    data=x,
    learnt=(gamma, beta),
    parameters=(eps,),
    definitions=(
        Definition(mu, mean(x, s), "mean of the sample's channel"),
        Definition(var, mean((x - mu) ** 2, s), "variance of the sample's channel"),
        Definition(x_hat, (x - mu) / sqrt(var + eps), "normalise"),
        Definition(y, gamma * x_hat + beta, "scale and shift"),
    ),
)

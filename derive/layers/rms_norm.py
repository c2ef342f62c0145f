"""Root Mean Square Normalisation: each sample is divided by its root mean square.

Zhang & Sennrich, "Root Mean Square Layer Normalization", 2019, equation 4, with ε inside the root.
"""

from sympy import sqrt

from derive.expr import Axis, Definition, Var, mean
from derive.layer import Layer

n, c = Axis("n", "N"), Axis("c", "m")
x, gamma = Var("x", n, c), Var("gamma", c)
eps = Var("eps", positive=True)
mean_square = Var("mean_square", n, nonnegative=True)
x_hat, y = Var("x_hat", n, c), Var("y", n, c)

RMS_NORM = Layer(
    name="rms_norm",
    title="Root Mean Square Normalisation",
    source="Zhang & Sennrich 2019, eq. 4",
    data=x,
    learnt=(gamma,),
    parameters=(eps,),
    definitions=(
        Definition(mean_square, mean(x**2, c), "mean square of the sample's features"),
        Definition(x_hat, x / sqrt(mean_square + eps), "normalise"),
        Definition(y, gamma * x_hat, "scale"),
    ),
)

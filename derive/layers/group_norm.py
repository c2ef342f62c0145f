"""Group Normalisation: each sample is normalised over the positions and channels of each group.

Wu & He, "Group Normalization", 2018, equations 1, 2, 6 and 7.  The channel is told by the group g
and its number c within the group, and positions by s, so that statistics are over (c, s).
"""

from sympy import sqrt

from derive.expr import Axis, Definition, Var, mean
from derive.layer import Layer

n, g, c, s = Axis("n", "N"), Axis("g", "G"), Axis("c", "C"), Axis("s", "S")
x, gamma, beta = Var("x", n, g, c, s), Var("gamma", g, c), Var("beta", g, c)
eps = Var("eps", positive=True)
mu, var = Var("mu", n, g), Var("var", n, g, nonnegative=True)
x_hat, y = Var("x_hat", n, g, c, s), Var("y", n, g, c, s)

GROUP_NORM = Layer(
    name="group_norm",
    title="Group Normalisation",
    source="Wu & He 2018, eq. 1, 2, 6, 7",
    data=x,
    learnt=(gamma, beta),
    parameters=(eps,),
    definitions=(
        Definition(mu, mean(x, c, s), "mean of the sample's group"),
        Definition(var, mean((x - mu) ** 2, c, s), "variance of the sample's group"),
        Definition(x_hat, (x - mu) / sqrt(var + eps), "normalise"),
        Definition(y, gamma * x_hat + beta, "scale and shift"),
    ),
)

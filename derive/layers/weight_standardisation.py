"""Weight Standardisation: the weights into each output are standardised, not what they are fed.

Qiao et al., "Weight Standardization", 2019, with ε inside the root.  k counts every weight into the
output o; for a convolution m = C_in·H·W of its kernel.  The layer has no γ and β: the normalisation
that follows it has.
"""

from sympy import sqrt

from derive.expr import Axis, Definition, Var, mean
from derive.layer import Layer

o, k = Axis("o", "O"), Axis("k", "m")
W, W_hat = Var("W", o, k), Var("W_hat", o, k)
eps = Var("eps", positive=True)
mu, var = Var("mu", o), Var("var", o, nonnegative=True)

WEIGHT_STANDARDISATION = Layer(
    name="weight_standardisation",
    title="Weight Standardisation",
    source="Qiao et al. 2019",
    data=W,
    learnt=(),
    parameters=(eps,),
    definitions=(
        Definition(mu, mean(W, k), "mean of the output's weights"),
        Definition(var, mean((W - mu) ** 2, k), "variance of the output's weights"),
        Definition(W_hat, (W - mu) / sqrt(var + eps), "standardise"),
    ),
)

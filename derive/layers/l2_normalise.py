"""L2 normalisation: each row is divided by its Euclidean length.

Liu, Rabinovich & Berg, "ParseNet", 2015, with ε inside the root.
"""

from sympy import sqrt

from derive.expr import Axis, Definition, SumOver, Var
from derive.layer import Layer

n, c = Axis("n", "N"), Axis("c", "m")
x, y = Var("x", n, c), Var("y", n, c)
eps = Var("eps", positive=True)
square_norm = Var("square_norm", n, nonnegative=True)

L2_NORMALISE = Layer(
    name="l2_normalise",
    title="L2 normalisation",
    source="Liu, Rabinovich & Berg 2015, ParseNet",
    data=x,
    learnt=(),
    parameters=(eps,),
    definitions=(
        Definition(square_norm, SumOver(x**2, c), "squared length of the row"),
        Definition(y, x / sqrt(square_norm + eps), "divide by the length"),
    ),
)

"""Softmax: each sample's scores become positive and sum to one.

Bridle 1990.  The definition here is the mathematical one; a kernel subtracts the maximum first.
"""

from sympy import exp

from derive.expr import Axis, Definition, SumOver, Var
from derive.layer import Layer

n, c = Axis("n", "N"), Axis("c", "m")
x = Var("x", n, c)
e, Z = Var("e", n, c, positive=True), Var("Z", n, positive=True)
p = Var("p", n, c, positive=True)

SOFTMAX = Layer(
    name="softmax",
    title="Softmax",
    source="Bridle 1990, eq. 3",
    data=x,
    learnt=(),
    parameters=(),
    definitions=(
        Definition(e, exp(x), "exponentiate"),
        Definition(Z, SumOver(e, c), "the sample's total"),
        Definition(p, e / Z, "divide by the total"),
    ),
)

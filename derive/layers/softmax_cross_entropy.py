"""Cross-entropy of softmax: one loss for each sample, given its target probabilities.

Bridle 1990.  The targets t are any numbers, one-hot or not; they get no gradient.  The
loss L of a sample has one axis fewer than its scores, so that there is no square Jacobian.
"""

from dataclasses import replace

from sympy import log

from derive.expr import Definition, SumOver, Var
from derive.layers.softmax import SOFTMAX, c, n, p

t, L = Var("t", n, c), Var("L", n)

SOFTMAX_CROSS_ENTROPY = replace(
    SOFTMAX,
    name="softmax_cross_entropy",
    title="Softmax and cross-entropy",
    source="Bridle 1990",
    parameters=(t,),
    definitions=(
        *SOFTMAX,
        Definition(L, -SumOver(t * log(p), c), "cross-entropy with the targets"),
    ),
)

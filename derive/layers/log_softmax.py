"""Log-softmax: the logarithms of softmax's probabilities.

Bridle 1990.  The definition here is the mathematical one, softmax's with one more line; a kernel
subtracts the maximum and takes x − log Z.
"""

from dataclasses import replace

from sympy import log

from derive.expr import Definition, Var
from derive.layers.softmax import SOFTMAX, c, n, p

y = Var("y", n, c)

LOG_SOFTMAX = replace(
    SOFTMAX,
    name="log_softmax",
    title="Log-softmax",
    definitions=(*SOFTMAX, Definition(y, log(p), "take the logarithm")),
)

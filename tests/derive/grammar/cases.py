"""Texts that several tests of the grammar start from."""

ISSUE = """\
axes: n, c
x[n, c]; gamma[c]; beta[c]; eps > 0
mu[c]      = mean[n](x)
var[c]     = mean[n]((x - mu)^2)
x_hat[n,c] = (x - mu) / sqrt(var + eps)
y[n,c]     = gamma * x_hat + beta
"""

ANNOTATED = """\
# Comment
layer batch_norm: Batch Normalisation
source: Ioffe & Szegedy 2015, Algorithm 1
axes: n (m), c (C)
x[n, c]; gamma[c]; beta[c]; eps > 0
mu[c]      = mean[n](x)                   : mini-batch mean
var[c]     = mean[n]((x - mu)^2)          : mini-batch variance
x_hat[n,c] = (x - mu) / sqrt(var + eps)   : normalise  # a comment
y[n,c]     = gamma * x_hat + beta         : scale and shift
"""

HEAD = "axes: n (m), c (C)\nx[n, c]; gamma[c]; eps > 0\n"


def with_output(expression: str) -> str:
    """A layer whose output has the expression in it, and which uses all that HEAD declares."""
    return f"{HEAD}y[n, c] = gamma * x / eps + {expression}\n"

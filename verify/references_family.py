"""The rest of the family, written by hand from the papers as in :mod:`verify.references`.

A group is the set of elements that share statistics; it is told by the first indices of each
element (n and g of x[n, g, c, s]).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from verify.fields import Arithmetic, Index, Scalar, Values

if TYPE_CHECKING:  # that module lists these
    from verify.references import Node


def groups(x: Mapping[Index, Scalar], shared: int) -> dict[Index, dict[Index, Scalar]]:
    """The elements of each group, those with the same first ``shared`` indices, in order."""
    found: dict[Index, dict[Index, Scalar]] = {}
    for at in sorted(x):
        found.setdefault(at[:shared], {})[at] = x[at]
    return found


def group_norm(numbers: Arithmetic, given: Values, node: Node) -> None:
    """Wu & He 2018, equations 1, 2, 6 and 7; x[n, g, c, s] with statistics over c and s."""
    for at, x_hat in _standardised(numbers, given, node, "x", "x_hat", 2).items():
        _, g, c, _ = at
        node("y", at, given["gamma"][g, c] * x_hat + given["beta"][g, c])


def instance_norm(numbers: Arithmetic, given: Values, node: Node) -> None:
    """Ulyanov, Vedaldi & Lempitsky 2016, equation 2; x[n, c, s] with statistics over s."""
    for at, x_hat in _standardised(numbers, given, node, "x", "x_hat", 2).items():
        node("y", at, given["gamma"][at[1],] * x_hat + given["beta"][at[1],])


def weight_standardisation(numbers: Arithmetic, given: Values, node: Node) -> None:
    """Qiao et al. 2019, epsilon under the root; W[o, k] with statistics over k."""
    _standardised(numbers, given, node, "W", "W_hat", 1)


def _standardised(
    numbers: Arithmetic, given: Values, node: Node, data: str, result: str, shared: int
) -> dict[Index, Scalar]:
    """Each group less its mean, over its standard deviation."""
    found: dict[Index, Scalar] = {}
    for group, values in groups(given[data], shared).items():
        mu = node("mu", group, sum(values.values()) / len(values))
        squares = sum((value - mu) ** 2 for value in values.values())
        std = numbers.sqrt(node("var", group, squares / len(values)) + given["eps"][()])
        for at, value in values.items():
            found[at] = node(result, at, (value - mu) / std)
    return found


def l2_normalise(numbers: Arithmetic, given: Values, node: Node) -> None:
    """Liu, Rabinovich & Berg 2015, with epsilon under the root; rows x[n, c]."""
    for row, values in groups(given["x"], 1).items():
        square = node("square_norm", row, sum(value**2 for value in values.values()))
        length = numbers.sqrt(square + given["eps"][()])
        for at, value in values.items():
            node("y", at, value / length)


def log_softmax(numbers: Arithmetic, given: Values, node: Node) -> None:
    """Bridle 1990, equation 3, and the logarithm of each probability."""
    for at, p in _probabilities(numbers, given, node).items():
        node("y", at, numbers.log(p))


def softmax_cross_entropy(numbers: Arithmetic, given: Values, node: Node) -> None:
    """Bridle 1990: a sample's loss is minus the sum of its targets times log-probabilities."""
    p = _probabilities(numbers, given, node)
    for row, targets in groups(given["t"], 1).items():
        node("L", row, -sum(t * numbers.log(p[at]) for at, t in targets.items()))


def _probabilities(numbers: Arithmetic, given: Values, node: Node) -> dict[Index, Scalar]:
    found: dict[Index, Scalar] = {}
    for row, scores in groups(given["x"], 1).items():
        e = {at: node("e", at, numbers.exp(score)) for at, score in scores.items()}
        total = node("Z", row, sum(e.values()))
        found |= {at: node("p", at, value / total) for at, value in e.items()}
    return found

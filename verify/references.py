"""The layers once more, written by hand from the papers, for the oracle to differentiate.

Nothing here comes from derive: a definition file and a reference agree only if both say what the
paper says.  Each is plain Python over scalars of any kind (Fraction, integers modulo p, mpf, dual
numbers) and shows every intermediate to ``node``, which returns it, moved perhaps by an
infinitesimal: the response of the loss is then the adjoint of that intermediate, with those
before it held fixed.

An index is the tuple of positions in the order of the quantity's axes: x[n, c], mu[c].
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from random import Random
from typing import Protocol, TypeAlias

from verify.fields import RATIONALS, Arithmetic, Index, NotASquare, Scalar, Values

RationalPoint: TypeAlias = Callable[["Forward", Values, Random], Values]


class Node(Protocol):
    """Sees every intermediate, and returns what the definition is to go on with."""

    def __call__(self, label: str, index: Index, value: Scalar) -> Scalar: ...


class Forward(Protocol):
    """A definition: reads the inputs and parameters by label, reports every value to ``node``."""

    def __call__(self, numbers: Arithmetic, given: Values, node: Node) -> None: ...


@dataclass(frozen=True)
class Reference:
    """A forward definition.  ``rational`` turns drawn inputs into ones at which every root is
    rational; None where no way is known, and then only the prime field is used."""

    name: str
    forward: Forward
    rational: RationalPoint | None = None


def batch_norm(numbers: Arithmetic, given: Values, node: Node) -> None:
    """Ioffe & Szegedy 2015, Algorithm 1; x[n, c] with statistics over n."""
    x, gamma, beta, eps = given["x"], given["gamma"], given["beta"], given["eps"][()]
    batch, channels = extents(x)
    for c in channels:
        mu = node("mu", (c,), sum(x[n, c] for n in batch) / len(batch))
        var = node("var", (c,), sum((x[n, c] - mu) ** 2 for n in batch) / len(batch))
        std = numbers.sqrt(var + eps)
        for n in batch:
            x_hat = node("x_hat", (n, c), (x[n, c] - mu) / std)
            node("y", (n, c), gamma[c,] * x_hat + beta[c,])


def layer_norm(numbers: Arithmetic, given: Values, node: Node) -> None:
    """Ba, Kiros & Hinton 2016, equations 3 and 4; x[n, c] with statistics over c."""
    x, gain, bias, eps = given["x"], given["gamma"], given["beta"], given["eps"][()]
    samples, features = extents(x)
    for n in samples:
        mu = node("mu", (n,), sum(x[n, c] for c in features) / len(features))
        var = node("var", (n,), sum((x[n, c] - mu) ** 2 for c in features) / len(features))
        std = numbers.sqrt(var + eps)
        for c in features:
            x_hat = node("x_hat", (n, c), (x[n, c] - mu) / std)
            node("y", (n, c), gain[c,] * x_hat + bias[c,])


def rms_norm(numbers: Arithmetic, given: Values, node: Node) -> None:
    """Zhang & Sennrich 2019, equation 4, with epsilon under the root."""
    x, gain, eps = given["x"], given["gamma"], given["eps"][()]
    samples, features = extents(x)
    for n in samples:
        square = sum(x[n, c] ** 2 for c in features) / len(features)
        rms = numbers.sqrt(node("mean_square", (n,), square) + eps)
        for c in features:
            x_hat = node("x_hat", (n, c), x[n, c] / rms)
            node("y", (n, c), gain[c,] * x_hat)


def softmax(numbers: Arithmetic, given: Values, node: Node) -> None:
    """Bridle 1990, equation 3; each sample over its own c."""
    x = given["x"]
    samples, classes = extents(x)
    for n in samples:
        e = [node("e", (n, c), numbers.exp(x[n, c])) for c in classes]
        total = node("Z", (n,), sum(e))
        for c in classes:
            node("p", (n, c), e[c] / total)


def extents(entries: Mapping[Index, Scalar]) -> tuple[range, ...]:
    """The range of each index position."""
    return tuple(range(max(positions) + 1) for positions in zip(*entries, strict=True))


# --- Points at which every square root is rational ------------------------------------------------


def any_point(forward: Forward, given: Values, rng: Random) -> Values:
    """For a definition without roots."""
    return given


def shared_epsilon(forward: Forward, given: Values, rng: Random) -> Values:
    """Choose the one epsilon that makes every v + eps a perfect square, for one or two groups.

    One group: eps := q^2 - v.  Two groups must have different v, or a formula that confuses them
    would pass; then q_a^2 - q_b^2 = v_a - v_b =: d is solved by q_a - q_b = t, q_a + q_b = d/t.
    """
    seen = _Radicands()
    forward(seen, {**given, "eps": {(): Fraction(0)}}, _untouched)
    first, *others = seen.arguments
    t = RATIONALS.random(rng) / 2
    if not others:
        return {**given, "eps": {(): t**2 - first}}
    difference = first - others[0]
    if len(others) > 1 or difference in (0, t**2, -(t**2)):
        raise NotASquare(f"no rational epsilon for the groups' values {seen.arguments}")
    q = (difference / t + t) / 2
    return {**given, "eps": {(): q**2 - first}}


class _Radicands:
    """Arithmetic that notes what is under each root and goes on with 1."""

    def __init__(self) -> None:
        self.arguments: list[Fraction] = []

    def number(self, value: int | Fraction) -> Fraction:
        return RATIONALS.number(value)

    def exp(self, a: Fraction) -> Fraction:
        return RATIONALS.exp(a)

    def sqrt(self, a: Fraction) -> Fraction:
        self.arguments.append(a)
        return Fraction(1)


def _untouched(label: str, index: Index, value: Scalar) -> Scalar:
    return value


REFERENCES: dict[str, Reference] = {
    reference.name: reference
    for reference in (
        Reference("batch_norm", batch_norm, shared_epsilon),
        Reference("layer_norm", layer_norm, shared_epsilon),
        Reference("rms_norm", rms_norm, shared_epsilon),
        Reference("softmax", softmax, any_point),
    )
}

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
from math import gcd, lcm
from random import Random
from typing import Protocol, TypeAlias

from verify.fields import RATIONALS, Arithmetic, Index, NotASquare, Scalar, Values
from verify.references_family import (
    group_norm,
    groups,
    instance_norm,
    l2_normalise,
    log_softmax,
    softmax_cross_entropy,
    weight_standardisation,
)

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
    rational; None where no way is known, and then only the prime field is used.  ``modular`` is the
    same for the prime field."""

    name: str
    forward: Forward
    rational: RationalPoint | None = None
    modular: RationalPoint | None = None


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


def batch_norm_images(numbers: Arithmetic, given: Values, node: Node) -> None:
    """Ioffe & Szegedy 2015, section 3.2; x[n, c, ...] with statistics over all but c."""
    x, gamma, beta, eps = given["x"], given["gamma"], given["beta"], given["eps"][()]
    for c in extents(x)[1]:
        channel = {at: value for at, value in x.items() if at[1] == c}
        mu = node("mu", (c,), sum(channel.values()) / len(channel))
        squares = sum((value - mu) ** 2 for value in channel.values())
        std = numbers.sqrt(node("var", (c,), squares / len(channel)) + eps)
        for at, value in channel.items():
            x_hat = node("x_hat", at, (value - mu) / std)
            node("y", at, gamma[c,] * x_hat + beta[c,])


def batch_norm_inference(numbers: Arithmetic, given: Values, node: Node) -> None:
    """Ioffe & Szegedy 2015, Algorithm 2, line 11 before it is rearranged."""
    mean, variance, eps = given["mean"], given["variance"], given["eps"][()]
    for (n, c), value in given["x"].items():
        std = numbers.sqrt(variance[c,] + eps)
        x_hat = node("x_hat", (n, c), (value - mean[c,]) / std)
        node("y", (n, c), given["gamma"][c,] * x_hat + given["beta"][c,])


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


# --- A linear layer, Batch Norm and an activation -------------------------------------------------

Activation: TypeAlias = Callable[[Arithmetic, Scalar], Scalar]


def identity(_: Arithmetic, a: Scalar) -> Scalar:
    """Nothing at all."""
    return a


def sigmoid(numbers: Arithmetic, a: Scalar) -> Scalar:
    """1/(1 + exp(-a))."""
    return 1 / (numbers.exp(-a) + 1)


def tanh(numbers: Arithmetic, a: Scalar) -> Scalar:
    """(exp(a) - exp(-a))/(exp(a) + exp(-a))."""
    up, down = numbers.exp(a), numbers.exp(-a)
    return (up - down) / (up + down)


def relu(numbers: Arithmetic, a: Scalar) -> Scalar:
    """max(0, a), whose slope at 0 is 0."""
    return a if a > 0 else numbers.number(0)


def some_function(_: Arithmetic, a: Scalar) -> Scalar:
    """What stands for "any function" g."""
    return a**3 + a * 2


def block(g: Activation) -> Forward:
    """Ioffe & Szegedy 2015, section 3.2: A_out = g(BN(WA + b)), samples in columns, A[k, n]."""

    def forward(numbers: Arithmetic, given: Values, node: Node) -> None:
        for c in extents(given["W"])[0]:
            z = _linear(given, node, c)
            for n, value in enumerate(_scaled_and_shifted(numbers, given, node, "Z_tilde", c, z)):
                node("A_out", (c, n), g(numbers, value))

    return forward


def block_behind(g: Activation) -> Forward:
    """The other placement: A_out = BN(g(WA + b))."""

    def forward(numbers: Arithmetic, given: Values, node: Node) -> None:
        for c in extents(given["W"])[0]:
            z = enumerate(_linear(given, node, c))
            values = [node("G", (c, n), g(numbers, value)) for n, value in z]
            _scaled_and_shifted(numbers, given, node, "A_out", c, values)

    return forward


def _linear(given: Values, node: Node, c: int) -> list[Scalar]:
    """Row c of Z = WA + b."""
    features, samples = extents(given["A"])
    weight, data, bias = given["W"], given["A"], given["b"]
    return [
        node("Z", (c, n), sum(weight[c, k] * data[k, n] for k in features) + bias[c,])
        for n in samples
    ]


def _scaled_and_shifted(
    numbers: Arithmetic, given: Values, node: Node, label: str, c: int, row: list[Scalar]
) -> list[Scalar]:
    """Batch Norm of one row."""
    mu = node("mu", (c,), sum(row) / len(row))
    var = node("var", (c,), sum((value - mu) ** 2 for value in row) / len(row))
    std = numbers.sqrt(var + given["eps"][()])
    hats = [node("Z_hat", (c, n), (value - mu) / std) for n, value in enumerate(row)]
    gamma, beta = given["gamma"][c,], given["beta"][c,]
    return [node(label, (c, n), gamma * hat + beta) for n, hat in enumerate(hats)]


def extents(entries: Mapping[Index, Scalar]) -> tuple[range, ...]:
    """The range of each index position."""
    return tuple(range(max(positions) + 1) for positions in zip(*entries, strict=True))


# --- Points at which every square root is rational ------------------------------------------------


def any_point(forward: Forward, given: Values, rng: Random) -> Values:
    """For a definition without roots."""
    return given


def square_variances(forward: Forward, given: Values, rng: Random) -> Values:
    """Frozen variances are free: v := q^2 - eps for each."""
    eps = given["eps"][()]
    return {**given, "variance": {at: v**2 - eps for at, v in given["variance"].items()}}


def shared_epsilon(forward: Forward, given: Values, rng: Random) -> Values:
    """Choose the one epsilon that makes every v + eps a perfect square, for one or two groups."""
    return shared_shift("eps", radicands(forward, {**given, "eps": {(): Fraction(0)}}), given, rng)


def shared_shift(label: str, squares: list[Fraction], given: Values, rng: Random) -> Values:
    """Choose the parameter e of that label that makes each of ``squares`` + e a perfect square.

    One group: eps := q^2 - v.  Two groups must have different v, or a formula that confuses them
    would pass; then q_a^2 - q_b^2 = v_a - v_b =: d is solved by q_a - q_b = t, q_a + q_b = d/t.
    """
    first, *others = squares
    t = RATIONALS.random(rng) / 2
    if not others:
        return {**given, label: {(): t**2 - first}}
    difference = first - others[0]
    if len(others) > 1 or difference in (0, t**2, -(t**2)):
        raise NotASquare(f"no rational {label} for the groups' values {squares}")
    q = (difference / t + t) / 2
    return {**given, label: {(): q**2 - first}}


def radicands(forward: Forward, given: Values) -> list[Fraction]:
    """What is under each root, where no root depends on another."""
    seen = _Radicands()
    forward(seen, given, _untouched)
    return seen.arguments


def scaled_groups(data: str, shared: int) -> RationalPoint:
    """A square epsilon = e^2, and each group of the data scaled by a factor s of its own.

    Where v is quadratic in the group, s^2 v + e^2 = q^2 has the solution q = e, s = 0, and the line
    q = e + t s through it meets the curve once more, at s = 2et/(v - t^2).
    """

    def solve(forward: Forward, given: Values, rng: Random) -> Values:
        seen = _Radicands()
        forward(seen, {**given, "eps": {(): Fraction(0)}}, _untouched)
        e = given["eps"][()]
        scaled: dict[Index, Scalar] = {}
        for group, v in zip(groups(given[data], shared).values(), seen.arguments, strict=True):
            t = RATIONALS.random(rng) / 2
            scaled |= {at: value * 2 * e * t / (v - t**2) for at, value in group.items()}
        return {**given, data: scaled, "eps": {(): e**2}}

    return solve


def halved_probabilities(_: Forward, given: Values, rng: Random) -> Values:
    """Scores of softmax at which Z is a power of 2, as exp and log are to that base.

    2^k is split into halves, and one of these again, until there is one for each score.
    """
    scores: dict[Index, Scalar] = {}
    for row in groups(given["x"], 1).values():
        parts = [RATIONALS.random(rng)]
        while len(parts) < len(row):
            half = parts.pop(rng.randrange(len(parts))) - 1
            parts += [half, half]
        rng.shuffle(parts)
        scores |= zip(row, parts, strict=True)
    return {**given, "x": scores}


def whole_activations(_: Forward, given: Values, rng: Random) -> Values:
    """Points of a block at which exp(Z_tilde) is rational: gamma makes Z_tilde whole numbers.

    The inputs are made small, so that these are not too large for 2^Z_tilde.
    """
    shrunk = {at: 1 + value % 4 for at, value in given["A"].items()}
    weights = {at: value % 7 - 3 for at, value in given["W"].items()}
    linear = block(identity)
    solved = shared_epsilon(linear, {**given, "A": shrunk, "W": weights}, rng)
    hats: dict[int, list[Fraction]] = {}

    def node(label: str, index: Index, value: Scalar) -> Scalar:
        if label == "Z_hat":
            hats.setdefault(index[0], []).append(value)
        return value

    linear(RATIONALS, solved, node)
    gamma: dict[Index, Scalar] = {
        (c,): rng.choice((-1, 1))
        * Fraction(lcm(*(v.denominator for v in row)), gcd(*(v.numerator for v in row)))
        for c, row in hats.items()
    }
    return {**solved, "gamma": gamma}


class _Radicands:
    """Arithmetic that notes what is under each root and goes on with 1."""

    def __init__(self) -> None:
        self.arguments: list[Fraction] = []

    def number(self, value: int | Fraction) -> Fraction:
        return RATIONALS.number(value)

    def exp(self, a: Fraction) -> Fraction:
        return RATIONALS.exp(a)

    def log(self, a: Fraction) -> Fraction:
        return RATIONALS.log(a)

    def transcendental(self, name: str, a: Fraction) -> Fraction:
        return RATIONALS.transcendental(name, a)

    def sqrt(self, a: Fraction) -> Fraction:
        self.arguments.append(a)
        return Fraction(1)


def _untouched(label: str, index: Index, value: Scalar) -> Scalar:
    return value


REFERENCES: dict[str, Reference] = {
    reference.name: reference
    for reference in (
        Reference("batch_norm", batch_norm, shared_epsilon),
        Reference("batch_norm_1d", batch_norm_images, shared_epsilon),
        Reference("batch_norm_2d", batch_norm_images, shared_epsilon),
        Reference("batch_norm_3d", batch_norm_images, shared_epsilon),
        Reference("batch_norm_inference", batch_norm_inference, square_variances),
        Reference("block", block(some_function), shared_epsilon),
        Reference("block_identity", block(identity), shared_epsilon),
        Reference("block_sigmoid", block(sigmoid), whole_activations),
        Reference("block_tanh", block(tanh), whole_activations),
        Reference("block_relu", block(relu), shared_epsilon),
        Reference("block_behind", block_behind(some_function), shared_epsilon),
        Reference("layer_norm", layer_norm, shared_epsilon),
        Reference("rms_norm", rms_norm, shared_epsilon),
        Reference("group_norm", group_norm, scaled_groups("x", 2)),
        Reference("instance_norm", instance_norm, scaled_groups("x", 2)),
        Reference("l2_normalise", l2_normalise, scaled_groups("x", 1)),
        Reference("weight_standardisation", weight_standardisation, scaled_groups("W", 1)),
        Reference("softmax", softmax, any_point),
        Reference("log_softmax", log_softmax, halved_probabilities),
        Reference("softmax_cross_entropy", softmax_cross_entropy, halved_probabilities),
    )
}

"""Batch Norm and softmax with something changed in the definition, and each again as a reference.

The references are written with scalars and loops, apart from the engine, for :mod:`verify.exact` to
differentiate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sympy import Expr, exp, sqrt

from derive.expr import Definition, SumOver, Var, mean
from derive.layer import Layer
from derive.layers.batch_norm import BATCH_NORM, beta, c, eps, gamma, mu, n, var, x, x_hat
from derive.layers.softmax import SOFTMAX
from verify.fields import Arithmetic, Scalar, Values
from verify.references import Node, Reference, any_point, extents

m = n.size
scale = Var("scale")
std = Var("std", c, positive=True)


def changed(
    name: str, *added: Definition, learnt: tuple[Var, ...] = (), **exprs: Expr | int
) -> Layer:
    """Batch Norm with other right-hand sides (0: left out), and definitions added before x_hat."""
    definitions = [
        replace(d, expr=exprs.get(d.var.label, d.expr))
        for d in BATCH_NORM
        if exprs.get(d.var.label, 1) != 0
    ]
    definitions[-2:-2] = added
    learnt = learnt or BATCH_NORM.learnt
    return replace(BATCH_NORM, name=name, learnt=learnt, definitions=tuple(definitions))


# --- References -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Channel:
    """One channel of a reference run."""

    numbers: Arithmetic
    given: Values
    node: Node
    at: int

    def of(self, label: str) -> Scalar:
        """The channel's entry of a parameter, or the one number that it is."""
        entries = self.given[label]
        return entries[()] if () in entries else entries[self.at,]

    def column(self) -> list[Scalar]:
        batch, _ = extents(self.given["x"])
        return [self.given["x"][i, self.at] for i in batch]

    def define(self, label: str, value: Scalar) -> Scalar:
        return self.node(label, (self.at,), value)


Normalise = Callable[[Channel], list[Scalar]]
Output = Callable[[Channel, Scalar], Scalar]


def _affine(channel: Channel, normal: Scalar) -> Scalar:
    return channel.of("gamma") * normal + channel.of("beta")


def _moments(channel: Channel, lost: int = 0) -> tuple[list[Scalar], Scalar, Scalar]:
    column = channel.column()
    average = channel.define("mu", sum(column) / len(column))
    squares = sum((a - average) ** 2 for a in column)
    return column, average, channel.define("var", squares / (len(column) - lost))


def _standard(channel: Channel, lost: int = 0) -> list[Scalar]:
    column, average, spread = _moments(channel, lost)
    root = channel.numbers.sqrt(spread + channel.of("eps"))
    return [(a - average) / root for a in column]


def _unbiased(channel: Channel) -> list[Scalar]:
    return _standard(channel, lost=1)


def _eps_outside(channel: Channel) -> list[Scalar]:
    column, average, spread = _moments(channel)
    return [(a - average) / (channel.numbers.sqrt(spread) + channel.of("eps")) for a in column]


def _no_mean(channel: Channel) -> list[Scalar]:
    column = channel.column()
    spread = channel.define("var", sum(a * a for a in column) / len(column))
    return [a / channel.numbers.sqrt(spread + channel.of("eps")) for a in column]


def _not_centred(channel: Channel) -> list[Scalar]:
    column, _, spread = _moments(channel)
    return [a / channel.numbers.sqrt(spread + channel.of("eps")) for a in column]


def _part_of_the_mean(channel: Channel) -> list[Scalar]:
    column, average, spread = _moments(channel)
    root = channel.numbers.sqrt(spread + channel.of("eps"))
    return [(a - channel.of("scale") * average) / root for a in column]


def _named_std(channel: Channel) -> list[Scalar]:
    column, average, spread = _moments(channel)
    root = channel.define("std", channel.numbers.sqrt(spread + channel.of("eps")))
    return [(a - average) / root for a in column]


def _reference(name: str, normalise: Normalise = _standard, output: Output = _affine) -> Reference:
    def forward(numbers: Arithmetic, given: Values, node: Node) -> None:
        _, channels = extents(given["x"])
        for k in channels:
            channel = Channel(numbers, given, node, k)
            for i, value in enumerate(normalise(channel)):
                normal = node("x_hat", (i, k), value)
                node("y", (i, k), output(channel, normal))

    return Reference(name, forward)


def _direct_softmax(numbers: Arithmetic, given: Values, node: Node) -> None:
    scores = given["x"]
    samples, classes = extents(scores)
    for i in samples:
        total = node("Z", (i,), sum(numbers.exp(scores[i, k]) for k in classes))
        for k in classes:
            node("p", (i, k), numbers.exp(scores[i, k]) / total)


# --- The table ------------------------------------------------------------------------------------

_centred = x - mu
_root = sqrt(var + eps)
_scores, _total = SOFTMAX.data, SOFTMAX["Z"].var
_outputs: dict[str, Output] = {
    "no gamma": lambda channel, z: z + channel.of("beta"),
    "x_hat twice": lambda channel, z: channel.of("gamma") * z + channel.of("beta") * z * z,
    "learnt scale": lambda channel, z: (
        channel.of("scale") * channel.of("gamma") * z + channel.of("beta")
    ),
    "exponential": lambda channel, z: (
        channel.of("gamma") * channel.numbers.exp(z) + channel.of("beta")
    ),
}
_layers = (
    changed("eps outside", x_hat=_centred / (sqrt(var) + eps)),
    changed("unbiased", var=SumOver(_centred**2, n) / (m - 1)),
    changed("no mean", mu=0, var=mean(x**2, n), x_hat=x / _root),
    changed("not centred", x_hat=x / _root),
    changed("part of the mean", x_hat=(x - scale * mu) / _root, learnt=(gamma, beta, scale)),
    changed("named std", Definition(std, _root), x_hat=_centred / std),
    changed("no gamma", y=x_hat + beta, learnt=(beta,)),
    changed("x_hat twice", y=gamma * x_hat + beta * x_hat**2),
    changed("learnt scale", y=scale * gamma * x_hat + beta, learnt=(gamma, beta, scale)),
    changed("exponential", y=gamma * exp(x_hat) + beta),
    replace(
        SOFTMAX,
        name="softmax without e",
        definitions=(
            Definition(_total, SumOver(exp(_scores), _scores.axes[1])),
            Definition(SOFTMAX["p"].var, exp(_scores) / _total),
        ),
    ),
)
_references = (
    _reference("eps outside", _eps_outside),
    _reference("unbiased", _unbiased),
    _reference("no mean", _no_mean),
    _reference("not centred", _not_centred),
    _reference("part of the mean", _part_of_the_mean),
    _reference("named std", _named_std),
    *(_reference(name, output=output) for name, output in _outputs.items()),
    Reference("softmax without e", _direct_softmax, any_point),
)

ALTERED: dict[str, tuple[Layer, Reference]] = {
    layer.name: (layer, reference) for layer, reference in zip(_layers, _references, strict=True)
}
BATCH_NORMS = {name: pair for name, pair in ALTERED.items() if pair[0].data == BATCH_NORM.data}

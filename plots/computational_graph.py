"""The computational graph of a layer: values flow to the output, adjoints flow back.

Drawn from the definitions and from reverse mode's own record of which adjoint receives from which,
so that another definition gives another picture.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from derive.differentiate import Derivative, vjp
from derive.expr import SumOver, Var, adjoint, variables
from derive.layer import Layer
from derive.render import PAPER, formula, to_latex
from derive.render.notation_fit import fitted

FORWARD, BACKWARD, INK = "#1f5fa8", "#b3404a", "#222222"
WIDTH, HEIGHT = 1.9, 1.5  # inches from one node to the next
NEXT = 1.5  # an arrow that is longer passes a node in between
BOX = 18  # points that an arrow keeps clear of the middle of a node


@dataclass(frozen=True)
class Graph:
    """``levels``: where each quantity stands, from left to right; ``forward``: from what is used to
    what uses it; ``backward``: from whose adjoint to whose it contributes."""

    levels: dict[Var, int]
    forward: tuple[tuple[Var, Var], ...]
    backward: tuple[tuple[Var, Var], ...]


def graph_of(layer: Layer) -> Graph:
    """The nodes and arrows of a layer: its inputs and its definitions."""
    forward = tuple(
        (used, definition.var)
        for definition in layer.definitions
        for used in variables(definition.expr)
        if used not in layer.parameters
    )
    levels = {layer.data: 0}
    for definition in layer.definitions:
        used = [levels[a] for a, b in forward if b == definition.var and a in levels]
        levels[definition.var] = 1 + max(used, default=0)
    for var in layer.learnt:  # one step before they are used
        levels[var] = min(levels[b] for a, b in forward if a == var) - 1
    derivatives = _derivatives(layer)
    of = {adjoint(var): var for var in levels}
    backward = tuple(
        (term.through, of[derivative.var])
        for derivative in derivatives
        for term in derivative.terms
        if derivative.var in of
    )
    return Graph(levels, forward, backward)


def _derivatives(layer: Layer) -> tuple[Derivative, ...]:
    """Reverse mode: each adjoint, with those that it receives from."""
    return tuple(vjp(layer.definitions, {layer.output: adjoint(layer.output)}, layer.inputs))


def figure(layer: Layer) -> Figure:
    """The graph; of the axes only those that a reduction involves have their indices printed."""
    graph, shown, names = graph_of(layer), _shown(layer), fitted(PAPER, layer)
    places = _places(graph, layer)
    height = 1 + max(y for _, y in places.values()) - min(y for _, y in places.values())
    width = 1 + max(graph.levels.values())
    drawn = Figure(figsize=(WIDTH * width, HEIGHT * (height + 0.6)), layout="constrained")
    axes = drawn.add_subplot()
    axes.set_axis_off()
    for pairs, color, style in ((graph.forward, FORWARD, "-"), (graph.backward, BACKWARD, "--")):
        _arrows(axes, [(places[a], places[b]) for a, b in pairs], color, style)
    for var, (x, y) in places.items():
        value, derivative = (to_latex(formula(v, names, shown)) for v in (var, adjoint(var)))
        axes.text(x, y, f"${value}$", ha="center", va="center", fontsize=17, color=INK)
        axes.text(
            x, y - 0.24, f"${derivative}$", ha="center", va="top", fontsize=12, color=BACKWARD
        )
    xs, ys = zip(*places.values(), strict=True)
    axes.set_xlim(min(xs) - 0.5, max(xs) + 0.5)
    axes.set_ylim(min(ys) - 0.8, max(ys) + 0.8)
    axes.set_title(f"{layer.title}: values forward, adjoints backward", fontsize=11)
    return drawn


def _shown(layer: Layer) -> tuple[str, ...]:
    """Those that are reduced, then what else some gradient sums over, as in the derivation: of
    Batch Norm, each channel is a problem of its own."""
    totals = {total for d in _derivatives(layer) for total in d.expr.atoms(SumOver)}
    summed = {axis for total in totals for axis in total.axes}
    others = tuple(a for a in layer.data.axes if a in summed and a not in layer.reduced_axes)
    return tuple(axis.base for axis in layer.reduced_axes + others)


def _places(graph: Graph, layer: Layer) -> dict[Var, tuple[float, float]]:
    """The data and the definitions on one line, what is learnt below it."""
    places: dict[Var, tuple[float, float]] = {}
    for level in sorted(set(graph.levels.values())):
        here = [var for var, its in graph.levels.items() if its == level]
        main = [var for var in here if var not in layer.learnt]
        for k, var in enumerate(main):
            places[var] = level, k - (len(main) - 1) / 2
        lowest = min((places[var][1] for var in main), default=0.0)
        for k, var in enumerate(v for v in here if v in layer.learnt):
            places[var] = level + 0.35 * k, lowest - 1 - 0.5 * k
    return places


def _arrows(
    axes: Any,
    ends: Iterable[tuple[tuple[float, float], tuple[float, float]]],
    color: str,
    style: str,
) -> None:
    """Forward above and backward below, as each bends to its own left; long ones bend more."""
    for tail, head in ends:
        distance = abs(head[0] - tail[0]) + abs(head[1] - tail[1])
        axes.annotate(
            "",
            xy=head,
            xytext=tail,
            arrowprops={
                "arrowstyle": "-|>",
                "color": color,
                "linestyle": style,
                "linewidth": 1.3,
                "shrinkA": BOX,
                "shrinkB": BOX,
                "connectionstyle": f"arc3,rad={-0.35 if distance > NEXT else -0.15}",
            },
        )

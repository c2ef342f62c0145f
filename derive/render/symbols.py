"""The table of symbols: every name of a layer's formulas, and what it stands for."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from sympy import Expr

from derive.expr import Axis, Delta, adjoint
from derive.jacobian import Jacobian
from derive.layer import Layer
from derive.render.blocks import Symbols, Words
from derive.render.layout import formula
from derive.render.notation import Notation, same
from derive.render.tree import Name
from derive.trace import in_words


def symbols_of(
    layer: Layer, jacobian: Jacobian | None, notation: Notation, shown: Sequence[str]
) -> Symbols:
    """``notation`` fits the layer, and ``shown`` are the axes whose indices are printed."""
    rows = [
        (formula(expr, notation, shown), Words(in_words(means).template))
        for expr, means in _quantities(layer, jacobian)
    ]
    printed = [axis for axis in _axes(layer) if axis.base in shown]
    for axis in sorted(printed, key=lambda axis: list(shown).index(axis.base)):
        size = Name(notation.size(axis.size.name))
        letter = notation.alphabets[list(shown).index(axis.base)][0]
        rows.append((size, Words("the number of values of the index {}", (Name(same(letter)),))))
    return Symbols(tuple(rows))


def _axes(layer: Layer) -> Iterator[Axis]:
    """Each once, those of the data first."""
    yield from dict.fromkeys((*layer.data.axes, *layer.axes))


def _quantities(layer: Layer, jacobian: Jacobian | None) -> Iterator[tuple[Expr, str]]:
    yield layer.data, "the data"
    for var in layer.learnt:
        yield var, "learnt"
    for var in layer.parameters:
        yield var, "given, not learnt" if var.axes else "a constant"
    for definition in layer:
        yield definition.var, definition.note or "as defined"
    yield adjoint(layer.output), "the gradient of the loss that comes in"
    yield adjoint(layer.data), "the gradient that is wanted"
    if jacobian is not None:
        yield jacobian.u.var, "the scalar factor of the Jacobian"
        yield jacobian.R.var, "the matrix factor of the Jacobian"
        if len(jacobian.rows) == 1:
            yield Delta(*jacobian.rows, *jacobian.columns), "1 where the indices are equal, else 0"

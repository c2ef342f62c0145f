r"""Names of one's own in LaTeX, given one by one: ``loss=\mathcal{L}``.

They take the place of a notation's, in every format that shows formulas; a square that belongs to a
name, as that of σ², stays.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from dataclasses import replace

from derive.errors import InputError
from derive.layer import Layer
from derive.render.latex_name import fault
from derive.render.notation import Notation, Symbol

_LONGEST = 80  # as in a notation's file


def with_macros(notation: Notation, layer: Layer, macros: Iterable[str]) -> Notation:
    """The notation with some of the layer's names, or ``loss``, written as given, ``NAME=LATEX``.

    Raises InputError for what is no name of the layer and for LaTeX that is more than letters,
    accents, fonts and scripts, or unbalanced.
    """
    for macro in macros:
        name, found, latex = macro.partition("=")
        if not found:
            raise InputError(rf"--macro {macro!a} is not of the form NAME=LATEX, as loss=\ell")
        wrong = fault(latex) or "it is too long" * (len(latex) > _LONGEST)
        if wrong:
            raise InputError(f"--macro {name}: {latex!a} will not do: {wrong}")
        notation = _with(notation, layer, name, latex)
    return notation


def _with(notation: Notation, layer: Layer, name: str, latex: str) -> Notation:
    def written(symbol: Symbol) -> Symbol:
        return replace(symbol, latex=latex)

    if name == "loss":
        return replace(notation, loss=written(notation.loss))
    sizes = {axis.size.name for axis in layer.axes}
    if name in sizes:
        return replace(notation, sizes={**notation.sizes, name: written(notation.size(name))})
    quantities = (*layer.inputs, *layer.parameters, *(definition.var for definition in layer))
    labels = [var.label for var in quantities] + ["u", "R"]
    if name not in labels:
        known = ["loss", *sorted(sizes), *labels]
        near = difflib.get_close_matches(name, known, n=1)
        guess = f"; did you mean {near[0]}?" if near else ""
        raise InputError(
            f"--macro: {layer.name} has no {name!a}{guess} (names: {', '.join(known)})"
        )
    own = notation.only.get(layer.name, {})
    symbol = own.get(name) or notation.symbol(name)
    return replace(notation, only={**notation.only, layer.name: {**own, name: written(symbol)}})

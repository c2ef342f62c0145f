"""A notation for one layer: what it writes must be told apart.

A notation lists names for some quantities, and a layer may have others, which print under their own
names.  Two of one layer's names that look the same are refused.  An index gets no letter that is a
name in the layer.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import replace

from derive.errors import InputError
from derive.layer import Layer
from derive.render.notation import Notation, Symbol


def fitted(notation: Notation, layer: Layer) -> Notation:
    """The notation as it is printed for the layer.

    Subscripts such as the B of μ_B stand for a mini-batch, and are left out where the statistics
    are not a batch's.  Raises InputError if two names of the layer look the same.
    """
    notation = replace(notation, symbols={**notation.symbols, **notation.only.get(layer.name, {})})
    if layer.data.axes[0] not in layer.reduced_axes:
        bare = {label: replace(s, subscript="") for label, s in notation.symbols.items()}
        notation = replace(notation, symbols=bare)
    names = _names(notation, layer)
    _check(names, notation, layer)
    alphabets = _alphabets(notation, names, layer)
    return replace(notation, alphabets=alphabets)


def _names(notation: Notation, layer: Layer) -> dict[str, Symbol]:
    """What the layer's formulas are made of, by what it is called in a message."""
    variables = (*layer.inputs, *layer.parameters, *(d.var for d in layer))
    names = {var.label: notation.symbol(var.label) for var in variables}
    names |= {label: notation.symbol(label) for label in ("u", "R")}
    names |= {f"the size {axis.size}": notation.size(axis.size.name) for axis in layer.axes}
    names["the Kronecker delta"] = notation.delta
    if notation.identifiers:
        names |= {f"the gradient of {v.label}": names[v.label].adjoint() for v in variables}
        roots = {f"inv_root_{var.label}" for var in variables} & set(notation.symbols)
        names |= {label: notation.symbols[label] for label in sorted(roots)}
    else:
        names["the loss"] = notation.loss
    return names


def _looks(symbol: Symbol) -> Iterator[tuple[str, str]]:
    """The symbol in each alphabet, such that two that look the same are equal."""
    square = "2" * symbol.square
    yield "text", unicodedata.normalize("NFKC", symbol.text) + square
    yield "ASCII", symbol.ascii + square
    yield "LaTeX", symbol.latex + symbol.superscript + square


def _check(names: Mapping[str, Symbol], notation: Notation, layer: Layer) -> None:
    seen: dict[tuple[str, str], str] = {}
    for what, symbol in names.items():
        for look in _looks(symbol):
            if look in seen:
                raise InputError(
                    f"in the notation {notation.name}, {seen[look]} and {what} of {layer.name} "
                    f"have the same {look[0]}, {look[1]}; "
                    "a notation of your own (a .toml file) can tell them apart"
                )
            seen[look] = what
    letters = set("".join(notation.alphabets))
    for alphabet, name in seen:
        stem, _, index = name.rpartition("_")
        if alphabet == "ASCII" and set(index) <= letters and len(index) in (1, 2):
            other = seen.get((alphabet, stem))
            if other is not None:
                raise InputError(
                    f"in the notation {notation.name}, {seen[alphabet, name]} of {layer.name} is "
                    f"{name} in ASCII, which is also {other} with the index {index}"
                )


def _alphabets(notation: Notation, names: Mapping[str, Symbol], layer: Layer) -> tuple[str, ...]:
    """The letters of indices without those that are names."""
    listed = {*notation.symbols.values(), *notation.sizes.values(), notation.loss}
    taken: dict[str, str] = {}
    for what, symbol in names.items():
        for _, look in _looks(symbol):
            taken[look] = what if symbol in listed else taken.get(look, "")
    for letter in "".join(notation.alphabets):
        if taken.get(letter):
            raise InputError(
                f"in the notation {notation.name}, {letter} is an index and {taken[letter]}"
            )
    left = tuple(
        "".join(letter for letter in alphabet if letter not in taken)
        for alphabet in notation.alphabets
    )
    if "" in left:
        alphabet = notation.alphabets[left.index("")]
        raise InputError(
            f"the notation {notation.name} has the indices {alphabet}, and {layer.name} uses them "
            "as names"
        )
    return left

r"""What the names of a formula in LaTeX stand for: a notation read backwards.

A notation says how each quantity is written; here its names are parsed as a formula's are, and so
\sigma_B^2, \sigma^2_{\mathcal B} and \sigma^2 are all the variance, and \sigma is its root.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from sympy import Expr, Symbol

from derive.errors import InputError
from derive.grammar.latex_items import Item
from derive.grammar.latex_names import Written, flat, parsed, printed
from derive.grammar.source import Source, suggestion
from derive.grammar.tokens import Token
from derive.grammar.tree import Node, Number, Power, Product, Quantity
from derive.render.notation import Notation

LOSS = "loss"
LOSSES = (r"\ell", "l", "L", "J")  # where they are no quantities
_LAYER = re.compile(r"\[[^\]]*\]")  # the [l] of Z^{[l]}
_INDEX = re.compile(r"\([a-z,]+\)")  # the (i) of x^{(i)}

Exponent = Callable[[tuple[Item, ...]], Node]


@dataclass(frozen=True)
class Meaning:
    """A quantity; ``square`` says that the name itself ends in a square (σ²).

    ``below`` is a subscript that may be left out (the B of μ_B).
    """

    label: str
    square: bool = False
    below: str = ""


class Vocabulary:
    """The names of a notation, and others.

    ``names`` are the quantities and sizes that there are; ``others`` maps names in LaTeX to one of
    them, or to "loss".  ``functions`` are letters for functions, ``batch`` the size that |B| is.
    """

    def __init__(
        self,
        names: Mapping[str, Expr],
        notation: Notation,
        others: Mapping[str, str],
        functions: frozenset[str] = frozenset(),
        batch: str = "",
    ) -> None:
        self.functions, self.batch = functions, batch
        self._meanings: dict[tuple[str, str], Meaning] = {}
        self._labels = frozenset(names)
        for label, value in sorted(names.items()):
            size = type(value) is Symbol
            symbol = notation.size(label) if size else notation.symbol(label)
            layer = _LAYER.match(symbol.superscript)
            try:
                key = parsed(symbol.latex).key
            except InputError:  # E[x], which the parser knows by itself
                continue
            self._meanings[key, layer[0] if layer else ""] = Meaning(
                label, symbol.square, symbol.subscript
            )
        self._meanings.setdefault((parsed(notation.delta.latex).key, ""), Meaning("delta"))
        for latex, label in others.items():
            self._add(parsed(latex), label)
        own = [parsed(latex).key for latex, label in others.items() if label == LOSS]
        usual = [parsed(notation.loss.latex).key, *LOSSES]
        self.losses = frozenset(own or [key for key in usual if not self.knows(key)])

    def _add(self, written: Written, label: str) -> None:
        if label == LOSS:
            return
        above = printed(written.above)
        square = above == "2"
        meaning = Meaning(label, square, printed(written.below))
        self._meanings[written.key, "" if square else above] = meaning

    def knows(self, key: str) -> bool:
        """Whether a name has this key, whatever stands above it."""
        return any(known == key for known, _ in self._meanings)

    def has(self, label: str) -> bool:
        """Whether there is such a quantity."""
        return label in self._labels

    def is_loss(self, written: Written) -> bool:
        return written.key in self.losses and not written.below and not written.above

    def resolved(self, source: Source, written: Written, exponent: Exponent) -> Node:
        """What a name stands for; ``exponent`` parses what is above it.  Raises SourceError."""
        layer, above = _above(source, written)
        meaning = self._meanings.get((written.key, layer))
        if meaning is None:
            raise source.error(written.place, self.unknown(written.key, layer))
        indices = self._indices(source, written, meaning)
        if _INDEX.fullmatch(printed(above)):
            if indices:
                raise source.error(written.place, "an index below and another above")
            letters = (token for token in flat(above)[1:-1] if token.text != ",")
            indices, above = tuple(self._index(source, token) for token in letters), ()
        name = Token("name", meaning.label, written.place)
        quantity = Quantity(name, indices or None)
        if not above:
            half = Number(Fraction(1, 2), written.place)
            return Power(quantity, half, written.place) if meaning.square else quantity
        if len(flat(above)) == 1 and flat(above)[0].kind == "name":
            raise source.error(
                flat(above)[0].place, "an exponent is a number; an index stands below"
            )
        if printed(above)[0] == "(" and printed(above)[-1] == ")":
            raise source.error(written.place, f"is {printed(above)} an index or an exponent?")
        power = exponent(above)
        if not meaning.square:
            return Power(quantity, power, written.place)
        two = Number(Fraction(2), power.place)
        if power == two:
            return quantity
        return Power(quantity, Product(((False, power), (True, two)), power.place), written.place)

    def unknown(self, key: str, layer: str = "") -> str:
        """What to say of a name that is none."""
        if key in self.losses:
            return rf"{key} is the loss here, which stands above a \partial only"
        known = sorted(key + f"^{{{above}}}" * bool(above) for key, above in self._meanings)
        said = key + f"^{{{layer}}}" * bool(layer)
        hint = f"; if {key} is an index, braces belong around it: x_{{i{key}}}"
        return f"unknown name {said}{suggestion(said, known)}" + hint * (len(key) == 1)

    def _indices(self, source: Source, written: Written, meaning: Meaning) -> tuple[Token, ...]:
        if printed(written.below) in ("", meaning.below):
            return ()
        tokens = [token for token in flat(written.below) if token.text != ","]
        return tuple(self._index(source, token) for token in tokens)

    def _index(self, source: Source, token: Token) -> Token:
        if token.kind != "name" or not token.text.islower():
            raise source.error(
                token.place, f"an index is a small letter such as i or j, not {token.text}"
            )
        if self.knows(token.text):
            raise source.error(token.place, f"{token.text} is a name here, so it can be no index")
        return token


def _above(source: Source, written: Written) -> tuple[str, tuple[Item, ...]]:
    """[l] and what is above the name behind it."""
    layer = _LAYER.match(printed(written.above))
    if layer is None:
        return "", written.above
    above = list(written.above)
    dropped = ""
    while dropped != layer[0]:
        dropped += printed([above.pop(0)])
        if len(dropped) > layer.end():
            raise source.error(written.place, f"what is above {written.key} cannot be read")
    return layer[0], tuple(above)

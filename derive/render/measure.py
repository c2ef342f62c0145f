"""How wide a typeset tree is in LaTeX, so that rows can be broken before TeX finds them too wide.

In points, for Computer Modern at 10 pt.  The measure is an estimate that errs on the wide side: by
a few points for a short formula, by under a tenth for a long one.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from itertools import pairwise

from derive.render.latex import is_tall, run_together
from derive.render.latex_name import WITH_ARGUMENT
from derive.render.notation import Symbol
from derive.render.tree import (
    Call,
    Case,
    Cases,
    Differential,
    Dots,
    Equation,
    Fraction,
    Group,
    Matrix,
    Name,
    Node,
    Number,
    Power,
    Product,
    Root,
    Terms,
    Total,
)

DIGIT = 5.0
BINARY, RELATION = 12.3, 13.4  # + and =, with the space around them
MINUS, PARTIAL = 8.0, 5.9
THIN = 1.7
QUAD = 10.0
_LETTERS = (
    dict.fromkeys("mwMW", 9.6)
    | dict.fromkeys("ABCDEFGHKNOQRUVXYZ", 7.9)
    | dict.fromkeys("()[],ijlrt", 4.4)
)
_LETTER, _COMMAND = 5.8, 6.6


@dataclass(frozen=True)
class Style:
    """The size of letters against 10 pt, and whether the formula is displayed."""

    scale: float = 1.0
    display: bool = True

    def smaller(self) -> Style:
        return Style(max(0.5, self.scale * 0.8), display=False)

    def inner(self) -> Style:
        """Over and under the bar of a fraction."""
        return replace(self, display=False) if self.display else self.smaller()


DISPLAY, INLINE = Style(), Style(display=False)


def width(node: Node, style: Style = DISPLAY) -> float:
    """The width of a tree.  Raises TypeError for a node that it does not know."""
    scale = style.scale
    match node:
        case Number(value):
            return DIGIT * len(str(value)) * scale
        case Name():
            return _name(node, style)
        case Terms(terms):
            signs = BINARY * (len(terms) - 1) + MINUS * terms[0].negative
            return signs * scale + sum(width(term.body, style) for term in terms)
        case Product(factors):
            spaces = sum(1 + run_together(a, b) for a, b in pairwise(factors))
            return sum(width(f, style) for f in factors) + THIN * scale * spaces
        case Fraction(over, under):
            return _stacked(width(over, style.inner()), width(under, style.inner()))
        case Differential(over, under):
            sides = (_name(name, style.inner()) for name in (over, under))
            return _stacked(*(side + PARTIAL * style.inner().scale for side in sides))
        case Power(base, exponent):
            return width(base, style) + width(exponent, style.smaller()) + 0.5
        case Root(body):
            return width(body, style) + 10 * scale
        case Group(body):
            return width(body, style) + _parentheses(body) * scale
        case Call(function, arguments):
            inside = sum(width(argument, style) for argument in arguments)
            between = 5 * (len(arguments) - 1) + max(map(_parentheses, arguments))
            return (5.6 * len(function.text) + between) * scale + inside
        case Total(index, size, body):
            limits = _limits(index, size, style)
            return limits + 2 * THIN * scale + width(body, style)
        case Cases(cases):
            return 9 + max(map(_case, cases))
        case Matrix(rows):
            columns = zip(*rows, strict=True)
            entry = replace(style, display=False)
            widths = (max(width(node, entry) for node in column) for column in columns)
            return sum(widths) + 10.0 * scale * len(rows[0]) + 9.0
        case Dots():
            return 12.0 * scale
        case Equation(left, right):
            return width(left, style) + RELATION * scale + width(right, style)
        case _:
            raise TypeError(f"no width for {type(node).__name__}")


def text_width(text: str) -> float:
    """The width of words in roman type."""
    return sum(2.8 if letter in " ,.;:'ijlt()" else 5.6 for letter in text)


def _stacked(over: float, under: float) -> float:
    return max(over, under) + 2.6


def _parentheses(body: Node) -> float:
    return 16.0 if is_tall(body) else 7.8


def _limits(index: str, size: Name, style: Style) -> float:
    small = style.smaller()
    below = (_letters(index) + 7.8 + DIGIT) * small.scale
    above = _name(size, small)
    if style.display:
        return max(14.5, below, above)
    return 10.6 * style.scale + max(below, above)


def _case(case: Case) -> float:
    return width(case.body) + QUAD + text_width("if ") + 2 * _LETTER + RELATION


def _name(name: Name, style: Style) -> float:
    symbol = name.symbol
    index = "".join(name.index) or symbol.subscript
    below = _letters(index) * style.smaller().scale
    above = DIGIT * symbol.square * style.smaller().scale
    if symbol.superscript:
        return _symbol(symbol, style) + below + _script(symbol.superscript, style)
    dotted = 8 * (symbol.square and name.dot)
    return _symbol(symbol, style) + max(below, above) + dotted + 0.7


def _symbol(symbol: Symbol, style: Style) -> float:
    return _letters(_bare(symbol.latex)) * style.scale


def _script(text: str, style: Style) -> float:
    return _letters(_bare(text)) * style.smaller().scale


def _bare(latex: str) -> str:
    r"""The characters that are printed: fonts and accents left out, other commands as ``\``."""

    def shown(found: re.Match[str]) -> str:
        return "" if found[0] in WITH_ARGUMENT else "\\"

    return re.sub(r"\\([A-Za-z]+|.)", shown, latex).translate(_NOT_PRINTED)


_NOT_PRINTED = str.maketrans("", "", "{}^_ ")


def _letters(text: str) -> float:
    return sum(_COMMAND if letter == "\\" else _LETTERS.get(letter, _LETTER) for letter in text)

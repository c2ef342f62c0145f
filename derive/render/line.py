"""A typeset tree as one line of text, in Unicode or in ASCII.

The line means the same without the two-dimensional picture: products and quotients are read from
left to right, a Σ extends to the end of its product, and a quotient is parenthesised where a reader
could take what follows for a part of its denominator.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import TypeAlias

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
    Signed,
    Terms,
    Total,
)

Pieces: TypeAlias = tuple[str, str, str, str]
"""A bracket: in one row; its top, its stretchable part and its bottom."""


@dataclass(frozen=True)
class Glyphs:
    """The characters to draw with."""

    minus: str
    root: str
    partial: str
    bar: str
    total: str
    big_total: str
    unequal: str
    left: Pieces
    right: Pieces
    brace: Pieces
    brace_middle: str
    dots: dict[str, str]
    subscripts: dict[int, str]
    superscripts: dict[int, str]


_SUBSCRIPTS = dict(zip("0123456789aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ", strict=True))
_SUPERSCRIPTS = dict(zip("0123456789", "⁰¹²³⁴⁵⁶⁷⁸⁹", strict=True))

UNICODE = Glyphs(
    minus="−",
    root="√",
    partial="∂",
    bar="─",
    total="Σ",
    big_total="∑",
    unequal="≠",
    left=("(", "⎛", "⎜", "⎝"),
    right=(")", "⎞", "⎟", "⎠"),
    brace=("{", "⎧", "⎪", "⎩"),
    brace_middle="⎨",
    dots={"right": "⋯", "below": "⋮", "diagonal": "⋱"},
    subscripts=str.maketrans(_SUBSCRIPTS),
    superscripts=str.maketrans(_SUPERSCRIPTS),
)
ASCII = Glyphs(
    minus="-",
    root="sqrt",
    partial="d",
    bar="-",
    total="sum",
    big_total="sum",
    unequal="!=",
    left=("(", "/", "|", "\\"),
    right=(")", "\\", "|", "/"),
    brace=("{", "/", "|", "\\"),
    brace_middle="<",
    dots={"right": "...", "below": ":", "diagonal": "..."},
    subscripts={},
    superscripts={},
)


def columns(text: str) -> int:
    """The columns that a text takes up in a terminal: accents stand over the letter before them,
    and East Asian letters are two wide."""
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )


def index_text(index: str, glyphs: Glyphs) -> str:
    """A subscript: as such where the letters exist, after a low line otherwise."""
    if not index:
        return ""
    small = index.translate(glyphs.subscripts)
    return small if all(letter not in small for letter in index) else "_" + index


def name_text(name: Name, glyphs: Glyphs) -> str:
    """A name with its square, dot and index: σ²ᵣ, x̂ᵢ, ẋᵢ."""
    symbol = name.symbol
    index = index_text("".join(name.index) or symbol.subscript, glyphs)
    if glyphs is ASCII:
        return symbol.ascii + "^2" * symbol.square + "_dot" * name.dot + index
    core = symbol.text + "²" * symbol.square
    if not name.dot:
        return core + index
    # One letter carries its dot; (σ²)˙ must not look like the square of σ̇.
    return f"({core}{index})˙" if columns(core) > 1 else core + "\N{COMBINING DOT ABOVE}" + index


def exponent_text(exponent: Node, glyphs: Glyphs) -> str:
    """What follows the base in one line: ², ^2, ^(3/2)."""
    text = line(exponent, glyphs)
    if not isinstance(exponent, Number):
        return f"^({text})"
    return text.translate(glyphs.superscripts) if glyphs.superscripts else "^" + text


_LOOSE = Terms | Product | Fraction | Total | Differential  # in parentheses under a solidus


def line(node: Node, glyphs: Glyphs) -> str:
    """The tree in one line.  Raises TypeError for a node that it does not know."""
    show = partial(line, glyphs=glyphs)
    match node:
        case Number(value):
            return str(value)
        case Name():
            return name_text(node, glyphs)
        case Terms((first, *others)):
            return (
                (glyphs.minus if first.negative else "")
                + show(first.body)
                + "".join(f" {sign(term, glyphs)} {show(term.body)}" for term in others)
            )
        case Product(factors):
            return _product(factors, glyphs)
        case Fraction(over, under):
            above = f"({show(over)})" if isinstance(over, Terms) else show(over)
            return above + "/" + (f"({show(under)})" if isinstance(under, _LOOSE) else show(under))
        case Power(base, exponent):
            return show(base) + exponent_text(exponent, glyphs)
        case Root(body):
            return f"{glyphs.root}({show(body)})"
        case Group(body):
            return f"({show(body)})"
        case Call(function, arguments):
            name = function.ascii if glyphs is ASCII else function.text
            return f"{name}({', '.join(map(show, arguments))})"
        case Total(index, _, body):
            return f"{glyphs.total}{index_text(index, glyphs)} {show(body)}"
        case Differential(over, under):
            return f"{glyphs.partial}{show(over)}/{glyphs.partial}{show(under)}"
        case Cases(cases):
            parts = (f"{show(case.body)} if {condition(case, glyphs)}" for case in cases)
            return "{" + "; ".join(parts) + "}"
        case Matrix(rows):
            return f"[{'; '.join(', '.join(map(show, row)) for row in rows)}]"
        case Dots(towards):
            return glyphs.dots[towards]
        case Equation(left, right):
            return f"{show(left)} = {show(right)}"
        case _:
            raise TypeError(f"no text for {type(node).__name__}")


def sign(term: Signed, glyphs: Glyphs) -> str:
    """The sign of a term that is not the first."""
    return glyphs.minus if term.negative else "+"


def condition(case: Case, glyphs: Glyphs) -> str:
    """i = j or i ≠ j."""
    return f"{case.first} {'=' if case.equal else glyphs.unequal} {case.second}"


def gap(left: Node, right: Node) -> str:
    """What stands between two factors: nothing in 2(x − μ) and 2(x − μ)², else a space."""
    core = right.base if isinstance(right, Power) else right
    return "" if isinstance(left, Number) and isinstance(core, Group) else " "


def _product(factors: tuple[Node, ...], glyphs: Glyphs) -> str:
    first = line(factors[0], glyphs)
    if isinstance(factors[0], Fraction) and not isinstance(factors[0].under, _LOOSE):
        first = f"({first})"
    text = first
    for left, right in pairwise(factors):
        text += gap(left, right) + line(right, glyphs)
    return text

"""One equation as it is written, whatever its syntax, before its names mean anything."""

from __future__ import annotations

from dataclasses import dataclass, replace
from fractions import Fraction

from derive.grammar.source import Place, Source
from derive.grammar.tokens import Token
from derive.grammar.tree import (
    Call,
    Derivative,
    Node,
    Number,
    Power,
    Product,
    Quantity,
    Reduction,
    Sum,
)


@dataclass(frozen=True)
class Condition:
    """Two indices are the same, or they differ."""

    first: Token
    second: Token
    same: bool

    def __str__(self) -> str:
        return f"{self.first.text} {'=' if self.same else '!='} {self.second.text}"


@dataclass(frozen=True)
class Bound:
    """A sum runs over all of an index; ``size`` names how many there are, "" if it does not say."""

    index: Token
    size: str = ""


@dataclass(frozen=True)
class Equation:
    """``left = right``, for which two indices the condition says.

    ``arrays`` says that quantities have no indices and sums name their axes.
    """

    source: Source
    left: Node
    equals: Place
    right: Node
    condition: Condition | None = None
    bounds: tuple[Bound, ...] = ()
    arrays: bool = False


# --- Printing -------------------------------------------------------------------------------------
# Levels: what may stand beside what without parentheses.

_SUM, _PRODUCT, _POWER, _ATOM = range(4)


def to_text(equation: Equation) -> str:
    """The equation in the syntax of :mod:`derive.grammar`."""
    text = f"{_text(equation.left, _SUM)} = {_text(equation.right, _SUM)}"
    return text if equation.condition is None else f"{text}, {equation.condition}"


def _text(node: Node, level: int) -> str:
    text, own = _written(node)
    return f"({text})" if own < level else text


def _written(node: Node) -> tuple[str, int]:
    match node:
        case Number(value):
            return str(value), _ATOM if value.denominator == 1 else _PRODUCT
        case Quantity(name, indices):
            return name.text + _indices(indices), _ATOM
        case Derivative(of, wrt):
            above = "l" if of is None else _written(of)[0]
            return f"d{above}/d{_written(wrt)[0]}", _PRODUCT
        case Sum(terms):
            first, *others = terms
            text = "-" * first[0] + _text(first[1], _PRODUCT)
            for negative, term in others:
                text += (" - " if negative else " + ") + _text(term, _PRODUCT)
            return text, _SUM
        case Product(factors):
            return _factors(factors), _PRODUCT
        case Power(base, exponent):
            if exponent == replace(_HALF, place=exponent.place):
                return f"sqrt({_text(base, _SUM)})", _ATOM
            return f"{_text(base, _ATOM)}**{_text(exponent, _ATOM)}", _POWER
        case Call(function, arguments):
            inside = ", ".join(_text(argument, _SUM) for argument in arguments)
            return f"{function.text}({inside})", _ATOM
        case Reduction(function, axes, body):
            return f"{function.text}{_indices(axes)}({_text(body, _SUM)})", _ATOM


_HALF = Number(Fraction(1, 2), Place(0, 0, 0))


def _factors(factors: tuple[tuple[bool, Node], ...]) -> str:
    text = ""
    for divides, factor in factors:
        sign = "/" if divides else "*"
        if not text and divides:
            text = "1"
        whole = isinstance(factor, Derivative | Number | Product) and not divides
        text += (sign if text else "") + _text(factor, _PRODUCT if whole else _POWER)
    return text


def _indices(indices: tuple[Token, ...] | None) -> str:
    return "" if indices is None else f"[{', '.join(token.text for token in indices)}]"

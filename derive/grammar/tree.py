"""The syntax tree: what was written, with the place of each part.  Nothing in it is computed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TypeAlias

from derive.grammar.source import Place
from derive.grammar.tokens import Token


@dataclass(frozen=True)
class Number:
    """A decimal, as the exact fraction that it is."""

    value: Fraction
    place: Place


@dataclass(frozen=True)
class Quantity:
    """A name, with the indices in brackets behind it, or None without brackets."""

    name: Token
    indices: tuple[Token, ...] | None

    @property
    def place(self) -> Place:
        return self.name.place


@dataclass(frozen=True)
class Derivative:
    """d of / d wrt; ``of`` is None for the loss."""

    of: Quantity | None
    wrt: Quantity
    place: Place


@dataclass(frozen=True)
class Sum:
    """Terms, each with the sign in front of it."""

    terms: tuple[tuple[bool, Node], ...]
    place: Place


@dataclass(frozen=True)
class Product:
    """Factors, each with whether it divides."""

    factors: tuple[tuple[bool, Node], ...]
    place: Place


@dataclass(frozen=True)
class Power:
    base: Node
    exponent: Node
    place: Place


@dataclass(frozen=True)
class Call:
    """A function of one or two arguments."""

    function: Token
    arguments: tuple[Node, ...]

    @property
    def place(self) -> Place:
        return self.function.place


@dataclass(frozen=True)
class Reduction:
    """sum or mean over axes."""

    function: Token
    axes: tuple[Token, ...]
    body: Node

    @property
    def place(self) -> Place:
        return self.function.place


Node: TypeAlias = Number | Quantity | Derivative | Sum | Product | Power | Call | Reduction


def names(node: Node) -> Iterator[Token]:
    """The names of quantities in a tree, from left to right."""
    match node:
        case Number():
            return
        case Quantity(name):
            yield name
        case Derivative(of, wrt):
            yield from (part.name for part in (of, wrt) if part is not None)
        case Sum(parts) | Product(parts):
            for _, part in parts:
                yield from names(part)
        case Power(base, exponent):
            yield from names(base)
            yield from names(exponent)
        case Call(_, arguments):
            for argument in arguments:
                yield from names(argument)
        case Reduction(_, _, body):
            yield from names(body)

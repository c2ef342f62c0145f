"""The typeset tree: what stands between an expression and every renderer of it.

The nodes say what is drawn, not what it means: order, signs, fractions, roots, parentheses and the
letters of indices are settled by :mod:`derive.render.layout`.  Renderers refuse other nodes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

from derive.render.notation import Symbol


@dataclass(frozen=True)
class Number:
    """A natural number."""

    value: int


@dataclass(frozen=True)
class Name:
    """A quantity with the letters of its printed indices; ``dot`` marks a tangent."""

    symbol: Symbol
    index: tuple[str, ...] = ()
    dot: bool = False


@dataclass(frozen=True)
class Signed:
    """One term of a sum."""

    negative: bool
    body: Node


@dataclass(frozen=True)
class Terms:
    """A sum of signed terms; a single negative one is a minus sign."""

    terms: tuple[Signed, ...]


@dataclass(frozen=True)
class Product:
    """Two or more factors side by side."""

    factors: tuple[Node, ...]


@dataclass(frozen=True)
class Fraction:
    over: Node
    under: Node


@dataclass(frozen=True)
class Power:
    base: Node
    exponent: Node


@dataclass(frozen=True)
class Root:
    body: Node


@dataclass(frozen=True)
class Group:
    """Parentheses."""

    body: Node


@dataclass(frozen=True)
class Call:
    """A function such as exp or max, applied."""

    function: Symbol
    arguments: tuple[Node, ...]


@dataclass(frozen=True)
class Total:
    """Σ with ``index`` from 1 to ``size``; the body extends to the end of the product."""

    index: str
    size: Name
    body: Node


@dataclass(frozen=True)
class Differential:
    """∂over/∂under."""

    over: Name
    under: Name


@dataclass(frozen=True)
class Case:
    """``body`` where the two indices are equal, or where they are not."""

    body: Node
    first: str
    second: str
    equal: bool


@dataclass(frozen=True)
class Cases:
    cases: tuple[Case, ...]


@dataclass(frozen=True)
class Dots:
    """Entries that are left out, in a row, down a column or along the diagonal."""

    towards: Literal["right", "below", "diagonal"]


@dataclass(frozen=True)
class Matrix:
    rows: tuple[tuple[Node, ...], ...]


@dataclass(frozen=True)
class Equation:
    left: Node
    right: Node


Node: TypeAlias = (
    Number
    | Name
    | Terms
    | Product
    | Fraction
    | Power
    | Root
    | Group
    | Call
    | Total
    | Differential
    | Cases
    | Dots
    | Matrix
    | Equation
)

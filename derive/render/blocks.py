"""What a document consists of: headings, sentences, equations and a table of symbols."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from sympy import Expr

from derive.expr import Var
from derive.render import tree
from derive.render.tree import Node
from derive.trace import JacobianEntry


@dataclass(frozen=True)
class Heading:
    """A section's title, and a sentence about it."""

    title: str
    about: str = ""


@dataclass(frozen=True)
class Words:
    """Text with formulas in it: one tree for each pair of braces in the template."""

    template: str
    formulas: tuple[Node, ...] = ()


@dataclass(frozen=True)
class Equation:
    """``lhs = rhs`` with its reason; ``continued`` ones repeat the left-hand side invisibly.

    ``rule`` names the rewriting rule of a certified step, and is empty otherwise.  ``name`` is that
    of the left side in every notation, such as dx, or empty where the left side is none.
    """

    lhs: Node
    tree: tree.Equation
    reason: Words | None = None
    continued: bool = False
    rule: str = ""
    name: str = ""


@dataclass(frozen=True)
class Symbols:
    """A table: each name with what it stands for."""

    rows: tuple[tuple[Node, Words], ...]


Block: TypeAlias = Heading | Words | Equation | Symbols


def name_of(lhs: Expr | JacobianEntry) -> str:
    """What an equation is called after its left side: dx, dy_dx, or nothing."""
    if isinstance(lhs, JacobianEntry):
        return f"d{lhs.of.label}_d{lhs.wrt.label}"
    return lhs.label if isinstance(lhs, Var) else ""

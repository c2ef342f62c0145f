"""The intermediate representation: what a kernel does, before any language is chosen.

A *program* is a list of assignments over named axes.  Scheduling groups it into *passes* over
memory, and a backend prints those:

* :class:`ReducePass`  reads the data once and sums over the reduced axes;
* :class:`GroupPass`   computes with one value per group (a channel, say);
* :class:`MapPass`     reads the data once and writes results of its shape.

Expressions are those of :mod:`derive.expr`, so that every stage can still be proved.
"""

from __future__ import annotations

from dataclasses import dataclass

from sympy import Expr

from derive.expr import Axis, SumOver, Var


@dataclass(frozen=True)
class Assign:
    """``target = expr``; ``note`` becomes the comment that says where the line comes from."""

    target: Var
    expr: Expr
    note: str = ""


@dataclass(frozen=True)
class Program:
    """Assignments in order, what is given beforehand and what is asked for."""

    given: tuple[Var, ...]
    assigns: tuple[Assign, ...]
    results: tuple[Var, ...]

    def names(self) -> frozenset[str]:
        """Every label in use."""
        return frozenset(var.label for var in self.given) | {
            assign.target.label for assign in self.assigns
        }


@dataclass(frozen=True)
class ReducePass:
    """One reading of the data: ``local`` elementwise values of a block, then sums over ``axes``."""

    axes: tuple[Axis, ...]
    local: tuple[Assign, ...]
    sums: tuple[Assign, ...]


@dataclass(frozen=True)
class GroupPass:
    """Values per group, none of them of the data's size."""

    assigns: tuple[Assign, ...]


@dataclass(frozen=True)
class MapPass:
    """One reading of the data: ``local`` values of a block, and the results written from them."""

    local: tuple[Assign, ...]
    results: tuple[Assign, ...]


Pass = ReducePass | GroupPass | MapPass


def is_sum(assign: Assign) -> bool:
    """Whether an assignment is one bare sum, ready to become part of a reduce pass."""
    return isinstance(assign.expr, SumOver)

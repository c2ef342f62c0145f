"""Studies: derivations about a layer that are not its gradients.

How running statistics are corrected, what folding makes of the weights, what training mode adds to
test mode.  A study is developed from the layers' definitions by the same engine, and its steps are
certified like theirs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from sympy import Expr

from derive.expr import Definition, Var
from derive.layer import Layer
from derive.trace import Fact, Result

Entry = Definition | Result | Fact
Prover = Callable[[Expr, Expr], bool]  # whether two expressions are equal, for every size


@dataclass(frozen=True)
class Section:
    """One part of a study under its heading: ``entries`` in the order in which they are read.

    ``conclusions`` is what kernels compute, in closed form.
    """

    title: str
    about: str
    entries: tuple[Entry, ...]
    conclusions: tuple[Definition, ...]
    proves: Prover

    def equalities(self) -> Iterator[tuple[Expr, Expr]]:
        """What the section states: both sides of each step and of each fact."""
        for entry in self.entries:
            if isinstance(entry, Result):
                if isinstance(entry.lhs, Expr) and not isinstance(entry.lhs, Var):
                    yield entry.lhs, entry.start
                yield from ((step.before, step.after) for step in entry.steps)
            elif isinstance(entry, Fact):
                yield entry.lhs, entry.rhs


@dataclass(frozen=True)
class Study:
    """What is studied; ``develop`` derives its sections.

    ``layer`` is where its names come from, ``shown`` are the axes whose indices are printed.
    """

    name: str
    title: str
    source: str
    layer: Layer
    shown: tuple[str, ...]
    develop: Callable[[], tuple[Section, ...]]

"""The chart: the coordinates in which a layer's formulas become polynomials.

Three changes of coordinates, each an exact equivalence, make a normal form possible:

* a *root* such as (σ²+ε)^(-1/2) becomes a generator r, and σ² is eliminated by σ² = r⁻² − ε;
* the data is eliminated in favour of the *normalised* variable: x = μ + x̂/r, e = pZ;
* whatever is left over is unfolded (y = γx̂ + β).

In these coordinates the definitions of the statistics say something new, and that is how the
identities of a layer are found: μ = (1/m)Σx reads Σx̂ = 0, the definition of σ² reads
Σx̂² = m(1 − εr²), the definition of softmax's Z reads Σp = 1.  Nothing here names a layer.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property

from sympy import Expr, Function, Pow

from derive.errors import InputError
from derive.expr import (
    Axis,
    Definition,
    Delta,
    SumOver,
    Var,
    canonical,
    free_axes,
    labels,
    rebuild,
    rename,
    sorted_axes,
)


class NotNormalError(InputError):
    """The normal form cannot represent an expression, so nothing can be proved about it."""


@dataclass(frozen=True)
class Root:
    """The generator ``var`` stands for base^(-1/degree)."""

    var: Var
    base: Expr
    degree: int


@dataclass(frozen=True)
class Identity:
    """``total == value`` for every size, read off the definition of ``source``."""

    total: SumOver
    value: Expr
    source: Var

    @cached_property
    def bound(self) -> frozenset[str]:
        """The names of the axes summed over; a sum over several is a sum of sums here."""
        return frozenset(a.base for total in self.total.atoms(SumOver) for a in total.axes)


@dataclass(frozen=True)
class Chart:
    """How each quantity is written in the coordinates.

    ``eliminated`` maps labels to what they are replaced by; ``roots`` maps the labels of root
    generators to their meaning; ``aliases`` maps (function, argument label) to the defined
    quantity that equals it (exp of x is softmax's e); ``normalised`` is the coordinate that
    replaced the data, if there is one, and ``solved`` the data in terms of it.
    """

    constants: tuple[Expr, ...]
    eliminated: Mapping[str, Definition] = field(default_factory=dict)
    roots: Mapping[str, Root] = field(default_factory=dict)
    aliases: Mapping[tuple[type[Function], str], Definition] = field(default_factory=dict)
    identities: tuple[Identity, ...] = ()
    normalised: Var | None = None
    solved: Definition | None = None

    @cached_property
    def labels(self) -> frozenset[str]:
        """Of every quantity that the coordinates replace, or speak of."""
        named = [*self.eliminated, *self.roots, *(d.var.label for d in self.aliases.values())]
        named += [label for _, label in self.aliases]
        spoken = [definition.expr for definition in self.eliminated.values()]
        spoken += [root.base for root in self.roots.values()]
        spoken += [part for i in self.identities for part in (i.total, i.value)]
        return frozenset(named).union(*(labels(expr) for expr in spoken))

    def display(self, expr: Expr) -> Expr:
        """As people write it: roots written out again, and a sum of sums as one sum."""
        if isinstance(expr, Var) and expr.label in self.roots:
            root = self.roots[expr.label]
            base = Definition(root.var, root.base).at(*expr.axes)
            return Pow(base, -Pow(root.degree, -1))
        if isinstance(expr, SumOver):
            body = self.display(expr.body)
            clash = set(body.args) & set(expr.axes)  # Σₙ Σₙ, where the inner n is another
            inner = body.axes if isinstance(body, SumOver) and not clash else ()
            total: Expr = SumOver(body.body if inner else body, *expr.axes, *inner)
            return total
        if not expr.args:
            return expr
        return rebuild(expr, (self.display(arg) for arg in expr.args))


def match(pattern: SumOver, total: SumOver) -> dict[Axis, Axis] | None:
    """The renaming of free axes that turns one sum into the other, or None.

    Both in SymPy's order and with the lowest free bound indices, as the normal form makes them.
    """
    if labels(pattern) != labels(total):
        return None
    renaming = {
        old: new for old in axes_of(pattern) for new in axes_of(total) if old.base == new.base
    }
    return renaming if canonical(rename(pattern, renaming)) == total else None


def lowest(axis: Axis, free: frozenset[Axis]) -> Axis:
    """The index to bind over the same range: as few primes as can be, so that Σᵢ and Σⱼ agree."""
    bound = Axis(axis.base, axis.size.name)
    while bound in free:
        bound = bound.prime()
    return bound


def settled(expr: Expr) -> Expr:
    """In SymPy's order, and each sum at its lowest index: renaming may have left gaps."""
    if isinstance(expr, SumOver):
        (axis,) = expr.axes
        bound = lowest(axis, free_axes(expr))
        moved = {axis: bound} if axis != bound else {}
        total: Expr = SumOver(settled(rename(expr.body, moved)), bound)
        return total
    if isinstance(expr, Delta) or not expr.args:
        return expr
    return expr.func(*(settled(arg) for arg in expr.args))


def axes_of(expr: Expr) -> tuple[Axis, ...]:
    """Free axes in a fixed order."""
    return sorted_axes(free_axes(expr))

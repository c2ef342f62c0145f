"""From an equation as it is written to a formula of the engine's quantities."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from sympy import Expr, Integer

from derive.expr import Axis, Delta, Var, adjoint, free_axes, mul, rename, sorted_axes, tangent
from derive.grammar.elaborate import Elaborator
from derive.grammar.equation import Equation
from derive.grammar.source import Place, Source, suggestion
from derive.grammar.tokens import Token
from derive.grammar.tree import Derivative, Node, Quantity
from derive.trace import JacobianEntry


@dataclass(frozen=True)
class Formula:
    """``lhs = rhs``.

    The left side is a quantity, an adjoint (dl/dx[i]), an entry of a Jacobian (dx_hat[i]/dx[j]) or
    any expression.  On the right side ∂v/∂wrt is the tangent of v, as in
    :func:`derive.differentiate.jvp` with a δ for the tangent of ``wrt``; None if the formula has no
    such derivative.
    """

    lhs: Expr | JacobianEntry
    rhs: Expr
    wrt: Var | None = None


def formula_of(equation: Equation, names: Mapping[str, Expr], axes: Mapping[str, Axis]) -> Formula:
    """The formula that an equation states.

    ``names`` maps each name to what it stands for: a Var, the size of an axis, or any expression.
    ``axes`` maps each index letter to an axis at one index: ``{"i": n, "j": n.prime()}``.

    Raises SourceError with the place of the first mistake.
    """
    scope = _Scope(equation.source, names, axes)
    lhs = scope.left(equation.left)
    rhs = Elaborator(scope)(equation.right)
    _check_indices(scope, lhs, rhs, equation.equals)
    return Formula(lhs, rhs, scope.wrt)


def _check_indices(scope: _Scope, lhs: Expr | JacobianEntry, rhs: Expr, place: Place) -> None:
    entry = isinstance(lhs, JacobianEntry)
    own = free_axes(lhs.of) | free_axes(lhs.wrt) if entry else free_axes(lhs)
    if extra := free_axes(rhs) - own:
        raise scope.source.error(
            place,
            f"the right-hand side varies over {scope.listed(extra)}, the left-hand side does not",
        )


class _Scope:
    """Names with indices."""

    def __init__(self, source: Source, names: Mapping[str, Expr], axes: Mapping[str, Axis]) -> None:
        self.source, self._names, self._letters = source, names, axes
        sizes: dict[str, Expr] = {axis.size.name: axis.size for axis in axes.values()}
        self._values = {**sizes, **names}
        self.wrt: Var | None = None

    def _fail(self, place: Place, message: str) -> NoReturn:
        raise self.source.error(place, message)

    def is_quantity(self, label: str) -> bool:
        return label in self._values

    def listed(self, axes: frozenset[Axis]) -> str:
        letters = {axis: letter for letter, axis in self._letters.items()}
        return ", ".join(letters.get(a, str(a)) for a in sorted_axes(axes)) or "no index"

    def axis(self, written: Token) -> Axis:
        if written.text not in self._letters:
            near = suggestion(written.text, list(self._letters))
            self._fail(written.place, f"unknown index {written.text}{near}")
        return self._letters[written.text]

    def left(self, node: Node) -> Expr | JacobianEntry:
        """What the formula is about."""
        if isinstance(node, Derivative) and node.of is not None:
            return JacobianEntry(self._var(node.of), self._var(node.wrt))
        return Elaborator(self)(node)

    def quantity(self, written: Quantity) -> Expr:
        label = written.name.text
        if label == "delta" and label not in self._names:
            return self._delta(written)
        if label not in self._values:
            self._fail(
                written.place, f"unknown name {label}{suggestion(label, list(self._values))}"
            )
        return self._indexed(self._values[label], written)

    def derivative(self, written: Derivative) -> Expr:
        wrt = self._var(written.wrt)
        if written.of is None:
            return adjoint(wrt)
        of = self._var(written.of)
        if of.label == wrt.label:
            pairs = zip(of.axes, wrt.axes, strict=True)
            return mul(*(Delta(a, b) for a, b in pairs)) if of.axes else Integer(1)
        if self.wrt not in (None, wrt):
            self._fail(
                written.wrt.place,
                "all derivatives on the right-hand side are with respect to the same quantity, "
                "at the same index",
            )
        self.wrt = wrt
        return tangent(of)

    def _var(self, written: Quantity) -> Var:
        value = self.quantity(written)
        if not isinstance(value, Var) or value.role != "value":
            name = written.name.text
            self._fail(written.place, f"{name} is no quantity that derivatives can be taken of")
        return value

    def _delta(self, written: Quantity) -> Expr:
        indices = [self.axis(token) for token in written.indices or ()]
        if len(indices) != 2 or indices[0].base != indices[1].base:
            self._fail(written.place, "delta takes two indices over one axis: delta[i, j]")
        delta: Expr = Delta(*indices)
        return delta

    def _indexed(self, value: Expr, written: Quantity) -> Expr:
        """The value at the given indices; an axis for which none is given keeps its own."""
        own = value.axes if isinstance(value, Var) else sorted_axes(free_axes(value))
        given = [self.axis(token) for token in written.indices or ()]
        if [axis.base for axis in given] == [axis.base for axis in own]:
            return rename(value, dict(zip(own, given, strict=True)))
        at: dict[Axis, Axis] = {}
        for axis, token in zip(given, written.indices or (), strict=True):
            places = [place for place in own if place.base == axis.base and place not in at]
            alike = sum(place.base == axis.base for place in own)
            some = alike > 1 and alike != sum(each.base == axis.base for each in given)
            if not places or some:
                has = ", ".join(place.base for place in own) or "no axis"
                self._fail(
                    token.place,
                    f"{token.text} is an index of the axis {axis.base}; "
                    f"{written.name.text} varies over {has}",
                )
            at[places[0]] = axis
        return rename(value, at)

"""One formula with explicit indices, as textbooks print it: ``dmu/dx[i] = 1/m``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NoReturn

from sympy import Expr, Integer

from derive.errors import InputError
from derive.expr import Axis, Delta, Var, adjoint, free_axes, mul, rename, sorted_axes, tangent
from derive.grammar.elaborate import Elaborator
from derive.grammar.equation import Equation
from derive.grammar.parser import Parser
from derive.grammar.source import Place, Source, suggestion
from derive.grammar.tokens import Token, tokens
from derive.grammar.tree import Derivative, Node, Quantity
from derive.trace import JacobianEntry


@dataclass(frozen=True)
class Formula:
    """``lhs = rhs``.

    The left side is a quantity, an adjoint (dl/dx[i]), an entry of a Jacobian (dx_hat[i]/dx[j]) or,
    from :func:`formula_of`, any expression.
    On the right side ∂v/∂wrt is the tangent of v, as in :func:`derive.differentiate.jvp` with a δ
    for the tangent of ``wrt``; None if the formula has no such derivative.
    """

    lhs: Expr | JacobianEntry
    rhs: Expr
    wrt: Var | None = None


def parse_formula(
    text: str,
    names: Mapping[str, Expr],
    axes: Mapping[str, Axis],
    *,
    loss: str = "l",
    source: str = "formula",
) -> Formula:
    """The formula that a line of text states; see :mod:`derive.grammar` for the syntax.

    ``names`` maps each name to what it stands for: a Var, the size of an axis, or any expression.
    ``axes`` maps each index letter to an axis at one index: ``{"i": n, "j": n.prime()}``.
    ``loss`` is what dl/dx differentiates.  ``source`` names the text in errors.

    Raises SourceError with the place of the first mistake.
    """
    if loss in names:
        raise InputError(f"{loss} is the loss here and cannot name another quantity")
    scope = _Scope(Source(source, text), names, axes, loss)
    if len(scope.source.lines) > 1:
        raise scope.source.error(Place(1, 0, 1), "a formula is one line")
    parser = _FormulaParser(scope.source, tokens(scope.source, 0), {*names, loss}, loss)
    left = parser.atom()
    equals = parser.expect("=")
    body = parser.expression()
    parser.end()
    lhs = scope.left(left)
    rhs = Elaborator(scope)(body)
    _check_indices(scope, lhs, rhs, equals.place)
    return Formula(lhs, rhs, scope.wrt)


def formula_of(equation: Equation, names: Mapping[str, Expr], axes: Mapping[str, Axis]) -> Formula:
    """The formula that an equation states; its left side may be any expression.

    ``names`` and ``axes`` are as in :func:`parse_formula`, the loss being l.  Raises SourceError.
    """
    scope = _Scope(equation.source, names, axes, "l")
    lhs = scope.left(equation.left, strict=False)
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


class _FormulaParser(Parser):
    """A Parser that knows derivatives: ``d`` and a name, over ``d`` and a name."""

    def __init__(self, source: Source, read: list[Token], known: set[str], loss: str) -> None:
        super().__init__(source, read)
        self._known, self._loss = known, loss

    def atom(self) -> Node:
        start = self._at
        above = self._differential()
        if above is not None and self.accept("/"):
            below = self._differential()
            if below is not None:
                of = None if above.name.text == self._loss else above
                return Derivative(of, below, self._tokens[start].place)
        self._at = start
        return super().atom()

    def _differential(self) -> Quantity | None:
        """dx[i] or d x[i]."""
        token = self.token
        if token.text == "d" and self.ahead(1).kind == "name":
            self.take()
            name = self.take()
        elif token.kind == "name" and token.text[0] == "d" and token.text[1:] in self._known:
            place = Place(token.place.line, token.place.start + 1, token.place.end)
            name = Token("name", self.take().text[1:], place)
        else:
            return None
        return Quantity(name, self.indices() if self.sees("[") else None)


class _Scope:
    """Names with indices."""

    def __init__(
        self, source: Source, names: Mapping[str, Expr], axes: Mapping[str, Axis], loss: str
    ) -> None:
        self.source, self._names, self._letters, self._loss = source, names, axes, loss
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

    def left(self, node: Node, *, strict: bool = True) -> Expr | JacobianEntry:
        """What the formula is about; if ``strict``, one quantity or one derivative."""
        if isinstance(node, Derivative) and node.of is not None:
            return JacobianEntry(self._var(node.of), self._var(node.wrt))
        value = None
        if isinstance(node, Derivative):
            value = self.derivative(node)
        elif isinstance(node, Quantity):
            value = self.quantity(node)
        if not isinstance(value, Var):
            if not strict:
                return Elaborator(self)(node)
            self._fail(node.place, "the left-hand side is one quantity or one derivative")
        return value

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

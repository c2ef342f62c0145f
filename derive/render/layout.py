"""From an expression to a small typeset tree, which every renderer draws.

Whatever can be decided once is decided here: the order of factors, signs, what goes over and under
a fraction, where a root or a parenthesis stands, and which letter each index gets.  Terms of a sum
keep the order in which they were built.

The order within a product is

    sign · (numbers, sizes, scalars, values) / (negative powers) · (sums in parentheses)
         · adjoints and tangents · values at the same indices · δ · Σ

so that ∂ℓ/∂x reads γ/(m √(σ² + ε)) (m ∂ℓ/∂yᵢ − Σⱼ ∂ℓ/∂yⱼ − x̂ᵢ Σⱼ ∂ℓ/∂yⱼ x̂ⱼ).  A factor that is
a sum of plain values and would be alone over the fraction stands there: (xᵢ − μ)/√(σ² + ε).

:mod:`derive.render.scope` says which letter each index gets.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sympy import Add, Expr, Mul, Pow, Rational
from sympy import Symbol as SympySymbol

from derive.expectation import Expected
from derive.expr import Axis, Delta, SumOver, Var, free_axes, sorted_axes, variables
from derive.functions import FUNCTIONS, Activation, ActivationSlope
from derive.render.notation import Notation, Symbol
from derive.render.scope import Scope, scope_of
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
from derive.trace import JacobianEntry

# --- What is laid out besides expressions --------------------------------------------------------


@dataclass(frozen=True)
class ByCase:
    """One value where two indices are equal and another where they differ: a right side."""

    first: Axis
    second: Axis
    equal: Expr
    different: Expr


@dataclass(frozen=True)
class Entries:
    """A matrix written out, with dots: ``entry`` at 1, 2, … up to ``last``, its size's letter."""

    entry: ByCase
    last: str


def equation(
    lhs: Expr | JacobianEntry,
    rhs: Expr | ByCase | Entries,
    notation: Notation,
    shown: Sequence[str],
) -> Equation:
    """The tree of lhs = rhs.

    ``shown`` lists the bases of the axes whose indices are printed, the reduced one first (it gets
    i, j, k; the next gets r, s, t).  An axis that no formula of the document sums over is best left
    out.  Raises ValueError if a formula cannot be told apart without an axis that is not shown, and
    TypeError for a node that has no layout.
    """
    scope = scope_of(_free(lhs) | _free(rhs), notation, shown)
    if isinstance(lhs, JacobianEntry):
        scope = replace(scope, wrt=lhs.wrt)
    return Equation(_side(lhs, scope), _side(rhs, scope))


def formula(
    expr: Expr | JacobianEntry,
    notation: Notation,
    shown: Sequence[str],
    beside: JacobianEntry | None = None,
) -> Node:
    """The tree of one expression; see :func:`equation`.

    ``beside`` is the left side of the equation that it stands beside, for the same letters.
    """
    if beside is None:
        return _side(expr, scope_of(_free(expr), notation, shown))
    scope = scope_of(_free(expr) | _free(beside), notation, shown)
    return _side(expr, replace(scope, wrt=beside.wrt))


def _free(side: Expr | JacobianEntry | ByCase | Entries) -> frozenset[Axis]:
    if isinstance(side, Entries):
        return _free(side.entry) - {side.entry.first, side.entry.second}
    if isinstance(side, JacobianEntry):
        return free_axes(side.of) | free_axes(side.wrt)
    if isinstance(side, ByCase):
        return free_axes(side.equal) | free_axes(side.different) | {side.first, side.second}
    return free_axes(side)


def _side(side: Expr | JacobianEntry | ByCase | Entries, scope: Scope) -> Node:
    if isinstance(side, Entries):
        return _matrix(side, scope)
    if isinstance(side, JacobianEntry):
        return _derivative(_name(side.of, scope), _name(side.wrt, scope), scope)
    if isinstance(side, ByCase):
        first, second = scope.letter(side.first), scope.letter(side.second)
        return Cases(
            tuple(
                Case(_node(body, scope), first, second, equal)
                for body, equal in ((side.equal, True), (side.different, False))
            )
        )
    return _node(side, scope)


def _matrix(side: Entries, scope: Scope) -> Matrix:
    letters = ("1", "2", "", side.last)  # dots stand in the place of the third

    def at(row: str, column: str) -> Node:
        if not (row and column):
            return Dots("diagonal" if row == column else "right" if row else "below")
        indices = {side.entry.first: row, side.entry.second: column}
        body = side.entry.equal if row == column else side.entry.different
        return _node(body, replace(scope, letters={**scope.letters, **indices}))

    return Matrix(tuple(tuple(at(row, column) for column in letters) for row in letters))


# --- Expressions ---------------------------------------------------------------------------------

_IN_LATEX = ("exp", "log", "max", "tanh")  # functions that LaTeX has a command for
_FUNCTIONS = {
    function: Symbol(name, name, f"\\{name}" if name in _IN_LATEX else f"\\operatorname{{{name}}}")
    for name, function in FUNCTIONS.items()
} | {
    Activation: Symbol("g", "g", "g"),
    ActivationSlope: Symbol("g′", "g'", "g'"),
    Expected: Symbol("E", "E", r"\mathrm{E}"),
}


def _node(expr: Expr, scope: Scope) -> Node:
    signed = _signed(expr, scope)
    return Terms((signed,)) if signed.negative else signed.body


def _signed(expr: Expr, scope: Scope) -> Signed:
    """The layout with the minus sign, if any, in front."""
    if isinstance(expr, Add):
        return Signed(False, Terms(tuple(_term(arg, scope) for arg in expr.args)))
    if isinstance(expr, Mul | Rational | Pow):
        return _product(expr, scope)
    if isinstance(expr, SumOver):
        return _total(expr, scope)
    return Signed(False, _atom(expr, scope))


def _term(expr: Expr, scope: Scope) -> Signed:
    signed = _signed(expr, scope)
    return replace(signed, body=_grouped(signed.body, Terms))


def _atom(expr: Expr, scope: Scope) -> Node:
    if isinstance(expr, Var):
        return _quantity(expr, scope)
    if isinstance(expr, Delta):
        return Name(scope.notation.delta, tuple(map(scope.letter, expr.indices)))
    if type(expr) is SympySymbol:
        return _size(expr, scope)
    if type(expr) in _FUNCTIONS:
        return Call(_FUNCTIONS[type(expr)], tuple(_node(arg, scope) for arg in expr.args))
    raise TypeError(f"no layout for {type(expr).__name__}: {expr}")


def _quantity(var: Var, scope: Scope) -> Node:
    name = _name(var, scope)
    if var.role == "tangent" and scope.wrt is not None:
        return _derivative(name, _name(scope.wrt, scope), scope)
    if scope.notation.identifiers:
        names = {"adjoint": name.symbol.adjoint, "tangent": name.symbol.tangent}
        return replace(name, symbol=names[var.role]()) if var.role in names else name
    if var.role == "adjoint":
        return Differential(Name(scope.notation.loss), name)
    return replace(name, dot=var.role == "tangent")


def _name(var: Var, scope: Scope) -> Name:
    """The quantity itself, whatever the variable's role."""
    return Name(scope.notation.symbol(var.of), scope.index(var.axes))


def _size(size: SympySymbol, scope: Scope) -> Name:
    return Name(scope.notation.size(size.name))


def _derivative(of: Name, wrt: Name, scope: Scope) -> Node:
    """∂of/∂wrt, or dy_dx at the indices of both."""
    if not scope.notation.identifiers:
        return Differential(of, wrt)
    return Name(of.symbol.by(wrt.symbol), tuple(dict.fromkeys((*of.index, *wrt.index))))


def _total(total: SumOver, scope: Scope) -> Signed:
    for axis in total.axes:
        scope = scope.bind(axis, summed=True)
    body = _term(total.body, scope)
    node = body.body
    for axis in reversed(total.axes):
        node = Total(scope.letter(axis), _size(axis.size, scope), node)
    return Signed(body.negative, node)


def _grouped(node: Node, *loose: type) -> Node:
    """The node in parentheses if it is of one of the given types, which bind too loosely."""
    return Group(node) if isinstance(node, loose) else node


def _power(base: Expr, exponent: Expr, scope: Scope) -> Node:
    node = _node(base, scope)
    if exponent == 1:
        return node
    if exponent == Rational(1, 2):
        return Root(node)
    # A superscript on σ²_B would look like part of the name.
    plain = isinstance(node, Call) or (
        isinstance(node, Name)
        and not (node.symbol.square or node.symbol.superscript)
        and bool(node.index or not node.symbol.subscript)
    )
    return Power(node if plain else Group(node), _node(exponent, scope))


# --- Products ------------------------------------------------------------------------------------


def _factors(expr: Expr) -> Iterator[tuple[Expr, Expr]]:
    """Each factor as (base, exponent)."""
    if isinstance(expr, Mul):
        for arg in expr.args:
            yield from _factors(arg)
    elif isinstance(expr, Pow):
        yield expr.args
    else:
        yield expr, Rational(1)


@dataclass(frozen=True)
class _Factor:
    base: Expr
    exponent: Expr

    @property
    def kind(self) -> str:
        if isinstance(self.base, Var) and self.base.role != "value":
            return "linear"  # an adjoint or a tangent: gradients are linear in them
        if isinstance(self.base, Add) and not self.exponent.is_Integer:
            return "value"  # a root is one thing, a sum in parentheses is not
        for kind, node in (("add", Add), ("delta", Delta), ("total", SumOver)):
            if isinstance(self.base, node):
                return kind
        return "value"

    def rank(self, scope: Scope) -> int:
        """Numbers, sizes, scalars without an index, their powers, then whatever has an index."""
        if self.kind != "value":
            return 4 + (self.kind == "total")
        if scope.index(sorted_axes(free_axes(self.base))):
            return 3
        if isinstance(self.base, Var):
            return 1 if self.exponent == 1 else 2
        return 0 if type(self.base) is SympySymbol else 2

    def indices(self, scope: Scope) -> int:
        """How many indices: γᵢ stands ahead of x̂ᵣᵢ."""
        return len(scope.index(sorted_axes(free_axes(self.base))))

    def node(self, scope: Scope) -> Node:
        return _power(self.base, self.exponent, scope)


def _product(expr: Expr, scope: Scope) -> Signed:
    number, over, under, negative = Rational(1), list[_Factor](), list[_Factor](), False
    for base, exponent in _factors(expr):
        if isinstance(base, Rational) and exponent.is_Integer:
            number *= base**exponent
        elif isinstance(exponent, Rational) and exponent.is_negative:
            under.append(_Factor(base, -exponent))
        else:
            over.append(_Factor(base, exponent))
    value, rest = _split(over, scope, fraction=bool(under) or number.q != 1)
    tail: list[Node] = []
    for factor in rest:
        if isinstance(factor.base, SumOver) and factor.exponent == 1:
            # A sum's own minus sign joins that of the product.
            total = _total(factor.base, scope)
            negative ^= total.negative
            tail.append(total.body)
        else:
            tail.append(factor.node(scope))
    head = _row(number.p, value, scope)
    if under or number.q != 1:
        head = [Fraction(_beside(head or [Number(1)]), _beside(_row(number.q, under, scope)))]
    node = _beside([*head, *tail] or [Number(1)])
    return Signed(negative ^ bool(number < 0), node)


def _split(
    over: list[_Factor], scope: Scope, fraction: bool
) -> tuple[list[_Factor], list[_Factor]]:
    """What stands in front (over the fraction, if there is one), and what follows, in order."""
    kinds = {
        kind: [factor for factor in over if factor.kind == kind]
        for kind in ("value", "add", "linear", "delta", "total")
    }
    values, adds, linear = kinds["value"], kinds["add"], kinds["linear"]
    late: list[_Factor] = []
    if fraction and not values and len(adds) == 1 and _is_plain(adds[0].base):
        values, adds = adds, []
    elif linear and not fraction:
        # γᵢ, over fewer axes, is a coefficient of ∂ℓ/∂yᵣᵢ; x̂ᵣᵢ is what it is multiplied with.
        full = max(len(factor.base.axes) for factor in linear)
        late = [
            factor
            for factor in values
            if factor.rank(scope) == 3 and len(free_axes(factor.base)) >= full
        ]
        values = [factor for factor in values if factor not in late]
    totals = sorted(kinds["total"], key=lambda factor: factor.exponent == 1)
    return values, [*adds, *linear, *late, *kinds["delta"], *totals]


def _is_plain(expr: Expr) -> bool:
    """Whether a sum is made of values only, and so is short."""
    return not expr.has(SumOver, Delta) and all(var.role == "value" for var in variables(expr))


def _row(number: int, factors: list[_Factor], scope: Scope) -> list[Node]:
    ordered = sorted(factors, key=lambda f: (f.rank(scope), f.indices(scope)))
    nodes = [factor.node(scope) for factor in ordered]
    return nodes if abs(number) == 1 else [Number(abs(number)), *nodes]


def _beside(nodes: list[Node]) -> Node:
    """Factors side by side.  Only the last may be a bare Σ: its body extends to the end."""
    if len(nodes) == 1:
        return nodes[0]
    *first, last = (_grouped(node, Terms) for node in nodes)
    return Product((*(_grouped(node, Total) for node in first), last))

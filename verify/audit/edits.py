"""The mistakes that people make in a formula, as edits of one node of an expression.

Each edit looks at one node and yields what a mistake would make of it; :func:`edited` applies every
edit at every node.  No formula is written here: an edit only drops, doubles, negates or exchanges
what the derivation has.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

from sympy import Add, Expr, Mul, Pow, Rational, Symbol

from derive.expr import Axis, SumOver, Var, add, free_axes, mul, rebuild
from derive.functions import Maximum

HALF = Rational(1, 2)
POWERS = tuple(Rational(k, 2) for k in (-4, -3, -2, -1, 1, 2))


@dataclass(frozen=True)
class Scope:
    """What a mistake may put in a place.

    ``given`` are the labels of a layer's inputs, ``axes``, ``reduced`` and ``learnt`` are its own,
    ``eps`` is its ε; ``instead`` lists for each label what is easily taken for that quantity, each
    with the name of the mistake.
    """

    given: frozenset[str]
    axes: tuple[Axis, ...]
    reduced: tuple[Axis, ...]
    eps: Var
    learnt: tuple[Var, ...]
    instead: Mapping[str, tuple[tuple[str, Expr], ...]]

    @property
    def sizes(self) -> tuple[Symbol, ...]:
        return tuple(axis.size for axis in self.axes)

    @property
    def counted(self) -> tuple[Symbol, ...]:
        """The sizes whose product is m."""
        return tuple(axis.size for axis in self.reduced)


@dataclass(frozen=True)
class Edit:
    """``part`` of an expression was treated as ``kind`` says; ``result`` is what came of it."""

    kind: str
    part: Expr
    result: Expr


Local = Callable[[Expr, Scope], Iterator[Edit]]


def edited(expr: Expr, scope: Scope) -> Iterator[Edit]:
    """Every expression that one mistake in it makes of this one, the outermost mistakes first."""
    yield from _everywhere(expr, scope)
    yield from _within(expr, scope)


def _within(expr: Expr, scope: Scope) -> Iterator[Edit]:
    """One mistake, in one place."""
    for local in LOCAL:
        yield from local(expr, scope)
    yield from _inside(expr, scope)


def _everywhere(expr: Expr, scope: Scope) -> Iterator[Edit]:
    """The same mistake wherever it can be made: another count, γ in front of the sums."""
    sizes = [size for size in scope.counted if expr.has(size)]
    if sizes:
        count = mul(*sizes)
        others = mul(*sizes[1:])
        less = {sizes[0]: add(sizes[0], mul(-1, Pow(others, -1)))}  # so that the product is m - 1
        yield Edit("m-1 for m", count, _replaced(expr, less))
        for k in range(1, len(sizes)):
            for left_out in combinations(sizes, k):
                ones = dict.fromkeys(left_out, mul(1))
                yield Edit("wrong count", count, _replaced(expr, ones))
    for var in scope.learnt:
        yield Edit(f"{var.label} outside the sum", var, _in_front(expr, var))


def _replaced(expr: Expr, by: Mapping[Expr, Expr]) -> Expr:
    if expr in by:
        return by[expr]
    if isinstance(expr, SumOver):
        return SumOver(_replaced(expr.body, by), *expr.axes)
    if isinstance(expr, Var) or not expr.args:
        return expr
    return rebuild(expr, (_replaced(arg, by) for arg in expr.args))


def _in_front(expr: Expr, var: Var) -> Expr:
    """Σ γ a as γ Σ a, although γ varies."""
    if isinstance(expr, SumOver):
        factors = Mul.make_args(expr.body)
        if var in factors and set(var.axes) & set(expr.axes):
            rest = mul(*(factor for factor in factors if factor != var))
            return mul(var, SumOver(rest, *expr.axes))
    if isinstance(expr, Var) or not expr.args:
        return expr
    return rebuild(expr, (_in_front(arg, var) for arg in expr.args))


def whole(expr: Expr, scope: Scope) -> Iterator[Edit]:
    """The formula as a whole 0, with the other sign, twice, half, or divided by a count."""
    yield Edit("zero", expr, mul(0))
    yield Edit("sign flipped", expr, mul(-1, expr))
    yield Edit("doubled", expr, mul(2, expr))
    yield Edit("halved", expr, mul(HALF, expr))
    yield Edit("averaged", expr, mul(*(Pow(size, -1) for size in scope.counted), expr))
    for size in scope.sizes:
        yield Edit("averaged", expr, mul(Pow(size, -1), expr))
        yield Edit("multiplied by a count", expr, mul(size, expr))


def _inside(expr: Expr, scope: Scope) -> Iterator[Edit]:
    """The mistakes in the parts of an expression."""
    if isinstance(expr, SumOver):
        for edit in _within(expr.body, scope):
            yield Edit(edit.kind, edit.part, SumOver(edit.result, *expr.axes))
    elif not isinstance(expr, Var):
        for k, arg in enumerate(expr.args):
            for edit in _within(arg, scope) if arg.args or isinstance(arg, Var) else ():
                args = (*expr.args[:k], edit.result, *expr.args[k + 1 :])
                yield Edit(edit.kind, edit.part, rebuild(expr, args))


# --- Edits of one node ----------------------------------------------------------------------------


def _terms(expr: Expr, scope: Scope) -> Iterator[Edit]:
    """A term dropped, with the other sign, twice, half."""
    if not isinstance(expr, Add):
        return
    for k, term in enumerate(expr.args):
        others = [*expr.args[:k]], [*expr.args[k + 1 :]]

        def with_(*new: Expr, others: tuple[list[Expr], list[Expr]] = others) -> Expr:
            return add(*others[0], *new, *others[1])

        if term == scope.eps:
            if len(expr.args) == 2:
                yield Edit("larger for sum", expr, Maximum(*expr.args))
            yield Edit("eps missing", term, with_())
            yield Edit("eps twice", term, with_(mul(2, term)))
            yield Edit("eps squared", term, with_(Pow(term, 2)))
            continue
        yield Edit("term dropped", term, with_())
        yield Edit("sign flipped", term, with_(mul(-1, term)))
        yield Edit("term doubled", term, with_(mul(2, term)))
        yield Edit("term halved", term, with_(mul(HALF, term)))


def _powers(expr: Expr, scope: Scope) -> Iterator[Edit]:
    """(σ²+ε)^(-1/2) with another exponent, or with ε beside the root."""
    if not isinstance(expr, Pow) or not expr.base.has(scope.eps) or expr.exp == 2:
        return
    base, exponent = expr.base, expr.exp
    if isinstance(base, Add) and scope.eps in base.args:
        rest = add(*(term for term in base.args if term != scope.eps))
        outside = add(Pow(rest, HALF), scope.eps)
        yield Edit("eps outside the root", expr, Pow(outside, 2 * exponent))
    for other in POWERS:
        if other != exponent:
            kind = "variance for deviation" if other == 2 * exponent else "wrong power"
            kind = "deviation for variance" if 2 * other == exponent else kind
            yield Edit(kind, expr, Pow(base, other))


def _counts(expr: Expr, scope: Scope) -> Iterator[Edit]:
    """1/m missing, twice, or of another count: m−1, or only some of the axes."""
    factors = Mul.make_args(expr)
    counted = [f for f in factors if f.as_base_exp()[0] in scope.sizes]
    if not counted:
        return
    rest = [f for f in factors if f not in counted]
    for sign in (-1, 1):
        group = [f for f in counted if f.as_base_exp()[1] == sign]
        if not group:
            continue
        outer = [*rest, *(f for f in counted if f not in group)]
        sizes = [f.as_base_exp()[0] for f in group]
        count = mul(*sizes)
        whole = Pow(count, sign)
        yield Edit("m-1 for m", count, mul(*outer, Pow(add(count, -1), sign)))
        missing = "1/m missing" if sign < 0 else "m missing"
        yield Edit(missing, whole, mul(*outer))
        yield Edit("1/m twice" if sign < 0 else "m twice", whole, mul(*outer, whole, whole))
        for k in range(1, len(sizes)):
            for some in combinations(sizes, k):
                yield Edit("wrong count", whole, mul(*outer, Pow(mul(*some), sign)))
        for other in scope.sizes:
            if other not in sizes:
                yield Edit("wrong count", whole, mul(*outer, Pow(other, sign)))
                yield Edit("wrong count", whole, mul(*outer, whole, Pow(other, sign)))


def _factors(expr: Expr, scope: Scope) -> Iterator[Edit]:
    """A factor missing or twice; a number missing."""
    if not isinstance(expr, Mul):
        return
    for k, factor in enumerate(expr.args):
        base, exponent = factor.as_base_exp()
        if base in scope.sizes:
            continue
        others = [*expr.args[:k], *expr.args[k + 1 :]]
        what = factor.label if factor in scope.learnt else "factor"
        yield Edit(f"{what} missing", factor, mul(*others))
        if factor.is_Number:
            yield Edit("number inverted", factor, mul(*others, 1 / factor))
        elif exponent == 1:
            yield Edit(f"{what} twice", factor, mul(*others, factor, factor))


def _sums(expr: Expr, scope: Scope) -> Iterator[Edit]:
    """A sum over other axes, a mean in place of a sum, no sum at all."""
    if not isinstance(expr, SumOver):
        return
    count = mul(*(axis.size for axis in expr.axes))
    yield Edit("1/m too many", expr, mul(Pow(count, -1), expr))
    for k in range(1, len(scope.axes) + 1):
        for axes in combinations(scope.axes, k):
            if set(axes) != set(expr.axes):
                yield Edit("wrong axis", expr, SumOver(expr.body, *axes))
    if isinstance(expr.body, Mul):
        for k, factor in enumerate(expr.body.args):
            others = mul(*expr.body.args[:k], *expr.body.args[k + 1 :])
            if all(free_axes(part) & set(expr.axes) for part in (factor, others)):
                split = mul(SumOver(factor, *expr.axes), SumOver(others, *expr.axes))
                yield Edit("product of sums", expr, split)
    yield Edit("sum missing", expr, expr.body)


def _exchanges(expr: Expr, scope: Scope) -> Iterator[Edit]:
    """Another quantity in the place of one."""
    if isinstance(expr, Var):
        for kind, other in scope.instead.get(expr.label, ()):
            yield Edit(kind, expr, other)


LOCAL: tuple[Local, ...] = (_terms, _powers, _counts, _factors, _sums, _exchanges)

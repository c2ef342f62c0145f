"""Axis-typed expressions: the terms that every other module speaks in.

An :class:`Axis` is an index and its range in one: ``n`` stands for "the current element along
the batch".  A :class:`Var` carries the axes it varies over (``x`` over ``n`` and ``c``), and
``SumOver(body, n)`` binds ``n``.  No dummy letters are needed to write a layer down; i, j, k
appear only when a formula is printed.  A second index over the same range is a *primed* axis,
``n.prime()``; the Jacobian and the facts about it are the only places that need one.

All of this is ordinary SymPy: a Var is a Symbol, a SumOver an Expr.  What SymPy is not trusted with
is sums and indices: it captures bound indices when it differentiates and substitutes, so both are
done here and in :mod:`derive.differentiate`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

from sympy import Add, Expr, Integer, Mul, Pow, Rational, S, Symbol, sympify

Role = Literal["value", "adjoint", "tangent"]
Sign = Literal["positive", "nonnegative", "real"]


class _Unique(Symbol):
    """A symbol of which there is one object for each name, sort and facts."""

    __eq__, __ne__, __hash__ = object.__eq__, object.__ne__, Symbol.__hash__


class Axis(_Unique):
    """One axis, at one index.  ``Axis("n", "m")`` has the symbolic size m; ``prime()`` is another
    index over the same range."""

    base: str
    level: int
    size: Symbol

    def __new__(cls, base: str, size: str, level: int = 0) -> Axis:
        return _axis(base, size, level)

    def __getnewargs_ex__(self) -> Any:
        return (self.base, self.size.name, self.level), {}

    def _hashable_content(self) -> tuple[Any, ...]:
        # SymPy sorts by this: an axis of another size is not the same.
        return (*super()._hashable_content(), self.size.name)

    def prime(self, level: int = 1) -> Axis:
        """The same range under another index."""
        return Axis(self.base, self.size.name, self.level + level)


class Var(_Unique):
    """A named quantity and the axes it varies over.

    ``label`` is the name without axes; ``role`` tells a value from the adjoint ∂ℓ/∂v or the
    tangent v̇ of the value called ``of``.
    """

    label: str
    axes: tuple[Axis, ...]
    sign: Sign
    role: Role
    of: str

    def __new__(
        cls,
        label: str,
        *axes: Axis,
        positive: bool | None = None,
        nonnegative: bool | None = None,
        role: Role = "value",
        of: str = "",
    ) -> Var:
        sign: Sign = "positive" if positive else "nonnegative" if nonnegative else "real"
        return _var(label, axes, sign, role, of or label)

    def __getnewargs_ex__(self) -> Any:
        return (self.label, *self.axes), {
            "positive": self.is_positive,
            "nonnegative": self.is_nonnegative,
            "role": self.role,
            "of": self.of,
        }

    def _hashable_content(self) -> tuple[Any, ...]:
        return (*super()._hashable_content(), self.axes, self.role, self.of)

    def at(self, *axes: Axis) -> Var:
        """The same quantity at other indices."""
        return _var(self.label, axes, self.sign, self.role, self.of)


def adjoint(var: Var) -> Var:
    """∂ℓ/∂v, named dv, over the axes of v."""
    return Var("d" + var.label, *var.axes, role="adjoint", of=var.label)


def tangent(var: Var) -> Var:
    """v̇, the directional derivative of v, named v_dot."""
    return Var(var.label + "_dot", *var.axes, role="tangent", of=var.label)


class SumOver(Expr):
    """Σ over one or more axes, which it binds."""

    is_real = True
    is_commutative = True

    def __new__(cls, body: Expr | int, *axes: Axis) -> Any:
        return _sum_over(_expr(body), axes)

    @property
    def body(self) -> Expr:
        body: Expr = self.args[0]
        return body

    @property
    def axes(self) -> tuple[Axis, ...]:
        return self.args[1:]

    @property
    def free_symbols(self) -> set[Any]:
        return self.body.free_symbols - set(self.axes)

    def _eval_is_positive(self) -> bool | None:
        return self.body.is_positive or None  # no axis is empty

    def _eval_is_nonnegative(self) -> bool | None:
        return self.body.is_nonnegative or None

    def _eval_derivative(self, _: Symbol) -> Expr:
        raise TypeError("a sum is differentiated by derive.differentiate, never by sympy.diff")


class Delta(Expr):
    """Kronecker's δ of two indices over the same range."""

    is_real = True
    is_commutative = True

    def __new__(cls, first: Axis, second: Axis) -> Any:
        return _delta(first, second)

    @property
    def indices(self) -> tuple[Axis, Axis]:
        return self.args


# --- Making terms: equal ones are one object, which makes comparing and hashing cheap -------------


@cache
def _axis(base: str, size: str, level: int) -> Axis:
    axis: Axis = Symbol.__xnew__(Axis, base + "'" * level, integer=True)
    axis.base, axis.level = base, level
    axis.size = Symbol(size, integer=True, positive=True)
    return axis


@cache
def _var(label: str, axes: tuple[Axis, ...], sign: Sign, role: Role, of: str) -> Var:
    # The SymPy name contains the axes, so that equality, hashing and SymPy's ordering see them.
    name = f"{label}[{','.join(axis.name for axis in axes)}]" if axes else label
    var: Var = Symbol.__xnew__(Var, name, **{"real": True, sign: True})
    var.label, var.axes, var.sign, var.role, var.of = label, axes, sign, role, of
    return var


@cache
def _sum_over(body: Expr, axes: tuple[Axis, ...]) -> Any:
    if len(set(axes)) < len(axes):
        raise ValueError(f"a sum binds each index once, not {', '.join(a.name for a in axes)}")
    if not axes or body == 0:  # is_zero would set off all of SymPy's deductions
        return body
    return Expr.__new__(SumOver, body, *sorted(axes, key=lambda axis: axis.name))


@cache
def _delta(first: Axis, second: Axis) -> Any:
    if (first.base, first.size) != (second.base, second.size):
        raise ValueError(f"δ needs two indices over one range, not {first} and {second}")
    if first == second:
        return Integer(1)
    return Expr.__new__(Delta, *sorted((first, second), key=lambda axis: axis.level))


def mean(body: Expr, *axes: Axis) -> Expr:
    """The arithmetic mean over the given axes, (1/m) Σ body."""
    return mul(SumOver(body, *axes), *(Pow(axis.size, -1) for axis in axes))


@cache
def free_axes(expr: Expr) -> frozenset[Axis]:
    """The axes that an expression still varies over, i.e. that no sum in it binds."""
    if isinstance(expr, Var):
        return frozenset(expr.axes)
    if isinstance(expr, SumOver):
        return free_axes(expr.body) - frozenset(expr.axes)
    if isinstance(expr, Delta):
        return frozenset(expr.indices)
    return frozenset().union(*(free_axes(arg) for arg in expr.args))


@cache
def labels(expr: Expr) -> frozenset[str]:
    """The labels of the quantities in an expression."""
    if isinstance(expr, Var):
        return frozenset((expr.label,))
    return frozenset().union(*(labels(arg) for arg in expr.args))


@cache
def has_sum(expr: Expr) -> bool:
    """Whether there is a sum anywhere in an expression."""
    return isinstance(expr, SumOver) or any(has_sum(arg) for arg in expr.args)


@cache
def sizes_in(expr: Expr) -> frozenset[str]:
    """The names of sizes that an expression speaks of, as m: neither quantities nor indices."""
    if isinstance(expr, Symbol):
        return frozenset(() if isinstance(expr, Var | Axis) else (expr.name,))
    return frozenset().union(*(sizes_in(arg) for arg in expr.args))


@cache
def variables(expr: Expr) -> tuple[Var, ...]:
    """Every Var in the expression, each once, in the order of their SymPy names."""
    if isinstance(expr, Var):
        return (expr,)
    found = {var for arg in expr.args for var in variables(arg)}
    return tuple(sorted(found, key=lambda var: var.name))


def sorted_axes(axes: Iterable[Axis]) -> tuple[Axis, ...]:
    """Axes in a fixed order, so that no output depends on the hash seed."""
    return tuple(sorted(axes, key=lambda axis: axis.name))


# --- Building terms ------------------------------------------------------------------------------
# SymPy sorts the terms of a sum and distributes numbers over them (-2*(x - mu) becomes
# 2*mu - 2*x).  Both destroy the shape that a reader expects, so terms are built by these two.


def _expr(term: Expr | int) -> Expr:
    return term if isinstance(term, Expr) else sympify(term, strict=True)


@cache
def mul(*factors: Expr | int) -> Expr:
    """The product; powers of one base are merged, numbers collected, nothing is distributed."""
    coefficient: Expr = S.One
    powers: dict[Expr, Expr] = {}
    stack = [_expr(factor) for factor in reversed(factors)]
    while stack:
        factor = stack.pop()
        if isinstance(factor, Mul):
            stack.extend(reversed(factor.args))
        elif factor.is_Number:
            coefficient = coefficient * factor
        else:
            base, exponent = (factor, S.One) if factor.is_Symbol else factor.as_base_exp()
            powers[base] = powers[base] + exponent if base in powers else exponent
    if coefficient is S.Zero:
        return coefficient
    parts: list[Expr] = []
    for base, exponent in powers.items():
        part = base if exponent is S.One else Pow(base, exponent)
        if part.is_Number:
            coefficient = coefficient * part
        else:
            parts.append(part)
    if any(isinstance(part, Mul) for part in parts):  # √(ab) √(ab) has become ab
        return mul(coefficient, *parts)
    if coefficient is not S.One or not parts:
        parts.insert(0, coefficient)
    product: Expr = Mul._from_args(parts, is_commutative=True)
    return product


@cache
def add(*terms: Expr | int) -> Expr:
    """The sum in the given order; like terms are merged, those that cancel dropped."""
    coefficients: dict[Expr, Expr] = {}
    stack = [_expr(term) for term in reversed(terms)]
    while stack:
        term = stack.pop()
        if isinstance(term, Add):
            stack.extend(reversed(term.args))
        else:
            number, rest = term.as_coeff_Mul()
            coefficients[rest] = coefficients[rest] + number if rest in coefficients else number
    parts = [mul(number, rest) for rest, number in coefficients.items() if number != 0]
    if any(isinstance(part, Add) for part in parts):  # 2(a + b) - (a + b) has become a + b
        return add(*parts)
    total: Expr = Add._from_args(parts, is_commutative=True)
    return total


def rebuild(expr: Expr, args: Iterable[Expr]) -> Expr:
    """The same node over new arguments, by :func:`mul` and :func:`add` where they apply."""
    if isinstance(expr, Mul):
        return mul(*args)
    if isinstance(expr, Add):
        return add(*args)
    return expr.func(*args)


@cache
def canonical(expr: Expr) -> Expr:
    """The expression in SymPy's own order, to tell a change from a rearrangement."""
    if isinstance(expr, Delta) or not expr.args:
        return expr
    return expr.func(*(canonical(arg) for arg in expr.args))


# --- Indices and substitution --------------------------------------------------------------------


def rename(expr: Expr, indices: Mapping[Axis, Axis]) -> Expr:
    """The expression at other indices; bound axes are left alone and never capture a new index."""
    if free_axes(expr).isdisjoint(indices):
        return expr
    if isinstance(expr, Var):
        return expr.at(*(indices.get(axis, axis) for axis in expr.axes))
    if isinstance(expr, Delta):
        delta: Expr = Delta(*(indices.get(axis, axis) for axis in expr.indices))
        return delta
    if isinstance(expr, SumOver):
        free = free_axes(expr)
        inner = {old: new for old, new in indices.items() if old in free}
        expr = avoid(expr, frozenset(inner.values()))
        total: Expr = SumOver(rename(expr.body, inner), *expr.axes)
        return total
    if not expr.args:
        return expr
    return rebuild(expr, (rename(arg, indices) for arg in expr.args))


def avoid(total: SumOver, taken: frozenset[Axis]) -> SumOver:
    """The same sum, with each bound axis that is in ``taken`` given a fresh index."""
    clashes = [axis for axis in total.axes if axis in taken]
    if not clashes:
        return total
    used = taken | free_axes(total.body) | frozenset(total.axes)
    fresh: dict[Axis, Axis] = {}
    for axis in clashes:
        new = axis.prime()
        while new in used:
            new = new.prime()
        used |= {new}
        fresh[axis] = new
    body = rename(total.body, fresh)
    renamed: SumOver = SumOver(body, *(fresh.get(axis, axis) for axis in total.axes))
    return renamed


@dataclass(frozen=True)
class Definition:
    """``var := expr``.  ``note`` says in a few words what it is or where it comes from."""

    var: Var
    expr: Expr
    note: str = ""

    def at(self, *axes: Axis) -> Expr:
        """The right-hand side at other indices."""
        pairs = zip(self.var.axes, axes, strict=True)
        indices = {old: new for old, new in pairs if old is not new}
        return rename(self.expr, indices)


def substitute(expr: Expr, table: Mapping[str, Definition]) -> Expr:
    """Every Var whose label is in the table, replaced at its own indices, all at once."""
    if labels(expr).isdisjoint(table):
        return expr
    if isinstance(expr, Var):
        return table[expr.label].at(*expr.axes) if expr.label in table else expr
    if isinstance(expr, SumOver):
        # A replacement may bring an index of its own (the δᵢⱼ of a Jacobian): it must stay free.
        read = (table[label] for label in labels(expr) if label in table)
        foreign = frozenset[Axis]().union(*(free_axes(d.expr) - set(d.var.axes) for d in read))
        expr = avoid(expr, foreign)
        total: Expr = SumOver(substitute(expr.body, table), *expr.axes)
        return total
    if not expr.args:
        return expr
    return rebuild(expr, (substitute(arg, table) for arg in expr.args))


HALF = Rational(1, 2)

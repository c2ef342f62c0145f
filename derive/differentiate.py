"""Derivatives of definitions: reverse mode (vjp) and forward mode (jvp).

A program is a sequence of definitions.  Its vjp is again a sequence of definitions, one for each
adjoint, and so is its jvp: apply them to their own output for higher orders.

    forward    v = f(u)            u over A_u, v over A_v
    jvp        v̇ = Σ_u ∂f/∂u · u̇
    vjp        ū = Σ_v S(v̄ · ∂f/∂u, A_v − A_u)      broadcasting forward is a sum backward

A sum inside f is replaced by a placeholder t, f is differentiated with respect to t, and the
summand is then visited in turn; ``sympy.diff`` only ever sees one elementary operation at a time,
so that it can neither capture an index nor rearrange a term.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from sympy import Expr, Symbol, diff

from derive.expr import (
    Axis,
    Definition,
    Delta,
    SumOver,
    Var,
    add,
    adjoint,
    free_axes,
    mul,
    rebuild,
    sorted_axes,
    tangent,
    variables,
)


@dataclass(frozen=True)
class Contribution:
    """One term of an adjoint or a tangent, and the quantity through which it arrives."""

    expr: Expr
    through: Var


@dataclass(frozen=True)
class Derivative(Definition):
    """The definition of an adjoint or tangent, together with its terms one by one."""

    terms: tuple[Contribution, ...] = ()


def vjp(
    program: Sequence[Definition],
    cotangents: Mapping[Var, Expr],
    wrt: Sequence[Var],
    named: Callable[[Var], Var] = adjoint,
) -> tuple[Derivative, ...]:
    """The adjoint of every quantity between the outputs and ``wrt``, last defined first.

    ``cotangents`` maps outputs of the program to ∂ℓ/∂output.  ``named`` makes the names of the
    adjoints: when the program contains adjoints already, those of the second order need others.
    """
    _check_indices(program, wrt)
    arrived: dict[Var, list[Contribution]] = {
        output: [Contribution(cotangent, output)] for output, cotangent in cotangents.items()
    }
    adjoints: list[Derivative] = []
    for definition in reversed(program):
        if definition.var not in arrived:
            continue
        cotangent = tuple(arrived.pop(definition.var))
        if definition.var not in cotangents:
            adjoints.append(_derivative(named(definition.var), cotangent))
            cotangent = (Contribution(named(definition.var), definition.var),)
        bar = add(*(term.expr for term in cotangent))
        for var, term in _pull_back(definition.expr, bar, definition.var.axes):
            arrived.setdefault(var, []).append(Contribution(term, definition.var))
    adjoints.extend(_derivative(named(var), tuple(arrived.get(var, ()))) for var in wrt)
    return tuple(adjoints)


def _check_indices(program: Sequence[Definition], inputs: Sequence[Var]) -> None:
    """A quantity at an index of its own, x[n'], would be taken for another that nothing reaches."""
    declared = {var.label: var for var in (*inputs, *(d.var for d in program))}
    for definition in program:
        for var in variables(definition.expr):
            if var.axes != declared.get(var.label, var).axes:
                name = declared[var.label].name
                raise ValueError(f"{definition.var.label} uses {var.name}, declared as {name}")


def _derivative(var: Var, terms: tuple[Contribution, ...]) -> Derivative:
    return Derivative(var, add(*(term.expr for term in terms)), terms=terms)


def _pull_back(expr: Expr, bar: Expr, axes: Sequence[Axis]) -> Iterator[tuple[Var, Expr]]:
    """What ``bar``, the cotangent of an expression over ``axes``, contributes to each Var in it."""
    outer, sums = _without_sums(expr)
    for var in _leaves(outer):
        if var in sums:
            continue
        factor = _restore(partial(outer, var), sums)
        yield var, _summed(bar, factor, set(axes) - set(var.axes))
    for placeholder, total in sums.items():
        lost = set(axes) - free_axes(total)
        inner = _summed(bar, _restore(partial(outer, placeholder), sums), lost)
        yield from _pull_back(total.body, inner, sorted_axes({*free_axes(total), *total.axes}))


def _summed(bar: Expr, factor: Expr, axes: set[Axis]) -> Expr:
    """Σ over ``axes`` of bar · factor; a cotangent that does not vary there stays outside."""
    lost = sorted_axes(axes)
    if not free_axes(bar) & axes:
        return mul(bar, SumOver(factor, *lost))
    return SumOver(mul(bar, factor), *lost)


def jvp(program: Sequence[Definition], tangents: Mapping[Var, Expr]) -> tuple[Derivative, ...]:
    """The tangent of every quantity that depends on ``tangents``, in the order of definition."""
    _check_indices(program, list(tangents))
    moved = dict(tangents)
    result: list[Derivative] = []
    for definition in program:
        terms = [Contribution(expr, var) for var, expr in _push_forward(definition.expr, moved)]
        if terms:
            order = list(moved)  # what varies like the result first, then as defined
            terms.sort(
                key=lambda t: (t.through.axes != definition.var.axes, order.index(t.through))
            )
            moved[definition.var] = tangent(definition.var)
            result.append(_derivative(tangent(definition.var), tuple(terms)))
    return tuple(result)


def _push_forward(expr: Expr, moved: Mapping[Var, Expr]) -> Iterator[tuple[Var, Expr]]:
    outer, sums = _without_sums(expr)
    for var in _leaves(outer):
        if var not in sums and var in moved:
            yield var, mul(_restore(partial(outer, var), sums), moved[var])
    for placeholder, total in sums.items():
        terms = list(_push_forward(total.body, moved))
        if terms:
            inner = SumOver(add(*(term for _, term in terms)), *total.axes)
            yield terms[0][0], mul(_restore(partial(outer, placeholder), sums), inner)


def _without_sums(expr: Expr) -> tuple[Expr, dict[Var, SumOver]]:
    """The expression with a placeholder for each outermost sum, and what they stand for."""
    sums: dict[SumOver, Var] = {}

    def visit(node: Expr) -> Expr:
        if isinstance(node, SumOver):
            axes = sorted_axes(free_axes(node))
            return sums.setdefault(node, Var(f"(sum {len(sums)})", *axes))
        if isinstance(node, Delta) or not node.args:
            return node
        return rebuild(node, (visit(arg) for arg in node.args))

    outer = visit(expr)
    return outer, {placeholder: total for total, placeholder in sums.items()}


def _leaves(expr: Expr) -> list[Var]:
    """The Vars of a sum-free expression in order of first appearance."""
    seen: dict[Var, None] = {}
    stack = [expr]
    while stack:
        node = stack.pop()
        if isinstance(node, Var):
            seen[node] = None
        stack.extend(reversed(node.args))
    return list(seen)


@cache
def partial(expr: Expr, var: Var) -> Expr:
    """∂expr/∂var of a sum-free expression, in the shape that the chain rule gives it.

    ``sympy.diff`` differentiates each node with respect to placeholders for its arguments, so the
    arguments ((x − μ), say) stay as they were written.
    """
    if expr == var:
        return mul(1)
    if var not in expr.free_symbols:
        return mul(0)
    # Numbers stay (a power's exponent), and nothing is assumed about the rest (d|a| = sign a).
    arguments = {
        Symbol(f"(argument {k})", real=True): arg
        for k, arg in enumerate(expr.args)
        if not arg.is_Number
    }
    stand_ins = iter(arguments)
    node = expr.func(*(arg if arg.is_Number else next(stand_ins) for arg in expr.args))
    terms = []
    for stand_in, argument in arguments.items():
        inner = partial(argument, var)
        if inner != 0:
            outer = _restore(_slope(node, stand_in), arguments)
            terms.append(mul(outer, inner))
    return add(*terms)


@cache
def _slope(node: Expr, stand_in: Symbol) -> Expr:
    """The derivative of one node; few kinds of node occur."""
    return diff(node, stand_in)


def _restore(expr: Expr, arguments: Mapping[Expr, Expr]) -> Expr:
    if expr in arguments:
        return arguments[expr]
    if not expr.args:
        return expr
    return rebuild(expr, (_restore(arg, arguments) for arg in expr.args))

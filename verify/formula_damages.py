"""Damages to a formula, each of which verification has to notice.

At every place in turn: a coefficient doubled, a sign flipped, a term or a factor dropped, an
exponent changed, m − 1 or m + 1 for m, a sum left out so that its index leaks, and a primed index
unprimed.
"""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Add, Expr, I, Mul, Pow, Symbol

from derive.expr import Axis, SumOver, Var, add, mul, rebuild


def damaged(expr: Expr) -> list[Expr]:
    """Every damage, each once."""
    every = dict.fromkeys(_damages(expr))
    return [other for other in every if other != expr and not other.has(I)]


def _damages(expr: Expr) -> Iterator[Expr]:
    yield mul(2, expr)
    yield mul(-1, expr)
    match expr:
        case Var():
            unprimed = {axis: Axis(axis.base, axis.size.name) for axis in expr.axes}
            yield expr.at(*(unprimed[axis] for axis in expr.axes))
        case Symbol():
            yield add(expr, -1)
            yield add(expr, 1)
        case Pow():
            yield expr.base
            for exponent in (expr.exp + 1, expr.exp - 1, -expr.exp):
                yield Pow(expr.base, exponent)
            yield from (Pow(base, expr.exp) for base in _damages(expr.base))
        case SumOver():
            yield mul(*(axis.size for axis in expr.axes), expr.body)  # the index leaks out
            yield from (SumOver(body, *expr.axes) for body in _damages(expr.body))
        case Add() | Mul():
            for i, arg in enumerate(expr.args):
                before, after = expr.args[:i], expr.args[i + 1 :]
                yield rebuild(expr, (*before, *after))
                yield from (rebuild(expr, (*before, other, *after)) for other in _damages(arg))

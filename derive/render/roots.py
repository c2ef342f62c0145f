"""Roots by name: a notation that has one for 1/√(σ² + ε), such as inv_std, prints it by that.

The inverse of :meth:`derive.chart.Chart.display`, which writes the roots of a chart out.
"""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Expr, Integer, Pow, Rational

from derive.chart import Chart, Root, axes_of
from derive.expr import Definition, canonical, rebuild, rename
from derive.render.notation import Notation


def named_roots(chart: Chart, notation: Notation) -> tuple[Root, ...]:
    """The roots that the notation has a name for."""
    return tuple(root for label, root in chart.roots.items() if label in notation.symbols)


def definition_of(root: Root) -> Definition:
    """What the name stands for."""
    return Definition(root.var, Pow(root.base, -Rational(1, root.degree)))


def by_name(expr: Expr, roots: Sequence[Root]) -> Expr:
    """The expression with each negative power of a root's base as a power of the root."""
    if not roots or not expr.args:
        return expr
    if isinstance(expr, Pow) and isinstance(expr.exp, Rational) and expr.exp < 0:
        for root in roots:
            power = -expr.exp * root.degree
            if power.is_Integer and (found := _at(root, expr.base)) is not None:
                return Pow(found, Integer(power))
    return rebuild(expr, (by_name(arg, roots) for arg in expr.args))


def _at(root: Root, base: Expr) -> Expr | None:
    """The root at the indices that make its base the given one."""
    bases = {axis.base: axis for axis in axes_of(base)}
    indices = {axis: bases.get(axis.base, axis) for axis in axes_of(root.base)}
    if canonical(rename(root.base, indices)) != canonical(base):
        return None
    return rename(root.var, indices)

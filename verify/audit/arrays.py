"""The value of a program at given arrays, by NumPy: many wrong formulas, evaluated quickly.

An expression of :mod:`derive.expr` becomes array operations that broadcast: each axis of the
program is an axis of every array, of length 1 where the quantity does not vary along it.  Nothing
is proved here, and no verdict rests on it: what is right comes from the exact references, and this
finds which wrong formula a wrong result is.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import reduce

import numpy as np
from numpy.typing import NDArray
from sympy import Add, Expr, Mul, Pow, Rational, Symbol

from derive.expr import Axis, Definition, SumOver, Var
from derive.functions import Maximum

Floats = NDArray[np.float64]
Table = Mapping[str, Floats]


@dataclass(frozen=True)
class Space:
    """The axes that arrays have, in order, with their lengths."""

    axes: tuple[Axis, ...]
    lengths: tuple[int, ...]

    @property
    def sizes(self) -> dict[str, int]:
        """Each size symbol's value by name."""
        return {axis.size.name: n for axis, n in zip(self.axes, self.lengths, strict=True)}

    def spread(self, var: Var, values: Floats) -> Floats:
        """An array over the variable's own axes, made to broadcast with the others."""
        own = [axis for axis in self.axes if axis in var.axes]
        ordered = np.transpose(values, [var.axes.index(axis) for axis in own])
        pairs = zip(self.axes, self.lengths, strict=True)
        return ordered.reshape([n if axis in own else 1 for axis, n in pairs])


@dataclass
class Evaluator:
    """Evaluates expressions in terms of known arrays, remembering what it has evaluated."""

    space: Space
    values: Mapping[str, Floats]
    _memo: dict[Expr, Floats] = field(default_factory=dict)

    def at(self, expr: Expr) -> Floats:
        """The value of ``expr``.  Raises KeyError for an unknown quantity, TypeError for a node."""
        if isinstance(expr, Var):
            return self.values[expr.label]
        found = self._memo.get(expr)
        if found is None:
            found = self._memo[expr] = self._compute(expr)
        return found

    def _compute(self, expr: Expr) -> Floats:
        if isinstance(expr, Rational):
            return np.array(int(expr.p) / int(expr.q))
        if isinstance(expr, Add):
            return reduce(np.add, map(self.at, expr.args))
        if isinstance(expr, Mul):
            return reduce(np.multiply, map(self.at, expr.args))
        if isinstance(expr, Pow) and isinstance(expr.exp, Rational):
            return np.power(self.at(expr.base), float(expr.exp))
        if isinstance(expr, Maximum):
            return np.maximum(*map(self.at, expr.args))
        if isinstance(expr, SumOver):
            return self._sum(self.at(expr.body), expr.axes)
        if isinstance(expr, Symbol):
            return np.array(float(self.space.sizes[expr.name]))
        raise TypeError(f"{type(expr).__name__} cannot be evaluated: {expr}")

    def _sum(self, body: Floats, axes: Sequence[Axis]) -> Floats:
        where = tuple(self.space.axes.index(axis) for axis in axes)
        ones = (1,) * len(self.space.axes)
        full = np.broadcast_to(body, np.broadcast_shapes(np.shape(body), ones))
        constant = [k for k in where if full.shape[k] == 1]  # a sum of equal terms
        times = float(np.prod([self.space.lengths[k] for k in constant]))
        return np.sum(full, axis=where, keepdims=True) * times


def run(program: Iterable[Definition], space: Space, given: Table) -> dict[str, Floats]:
    """Every quantity that the program defines, in its order, and those given."""
    values = dict(given)
    evaluator = Evaluator(space, values)
    for line in program:
        values[line.var.label] = evaluator.at(line.expr)
    return values

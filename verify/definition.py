"""A layer's own definitions as the oracle's reference, where nobody has written one apart.

The definitions are run by the plain loops of :mod:`verify.evaluate` on dual numbers, so neither the
engine's rules of differentiation nor its normal form have a part in the truth.  What such a
reference cannot notice, and one written apart can, is a definition that does not say what was
meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from fractions import Fraction
from itertools import product
from random import Random

from sympy import Add, Expr, Pow, exp

from derive.expr import Axis, SumOver, Var, substitute
from derive.layer import Layer
from verify.evaluate import Evaluator
from verify.fields import Arithmetic, Index, OutsideTheField, Values
from verify.references import (
    Forward,
    Node,
    RationalPoint,
    Reference,
    any_point,
    extents,
    radicands,
    shared_shift,
)


def reference_of(layer: Layer) -> Reference:
    """The definitions of a layer as a reference.

    Where a field has no points for them (a cube root; exp of a sum that is no whole number) its
    points raise OutsideTheField, and what is to be compared there is skipped.
    """
    forward = _forward(layer)
    if why := _unreadable(layer):
        return Reference(layer.name, forward, _nowhere(why), _nowhere(why))
    splits = any(isinstance(power.args[0], Add) for power in _exponentials(layer))
    wrapped = "exp(a + b) = exp(a) exp(b) does not hold modulo 2^61-1 where a + b is no input"
    modular = _nowhere(wrapped) if splits else any_point
    return Reference(layer.name, forward, _rational(layer, splits), modular)


def _forward(layer: Layer) -> Forward:
    def forward(numbers: Arithmetic, given: Values, node: Node) -> None:
        values = dict(given)
        sizes = {
            axis.size.name: len(positions)
            for var in (*layer.inputs, *layer.parameters)
            for axis, positions in zip(var.axes, extents(given[var.label]), strict=True)
        }
        evaluator = Evaluator(numbers, values, sizes)
        for definition in layer:
            var = definition.var
            values[var.label] = {
                at: node(var.label, at, evaluator.at(definition.expr, index))
                for at, index in _indices(var, sizes)
            }

    return forward


def _indices(var: Var, sizes: Mapping[str, int]) -> Iterator[tuple[Index, dict[Axis, int]]]:
    for at in product(*(range(sizes[axis.size.name]) for axis in var.axes)):
        yield at, dict(zip(var.axes, at, strict=True))


def _unreadable(layer: Layer) -> str:
    """Why no exact field can hold the layer's values; empty where one can."""
    for definition in layer:
        for power in sorted(definition.expr.atoms(Pow), key=str):
            if power.exp.is_Rational and power.exp.q > 2:
                root = f"a root of degree {power.exp.q}"
                return f"{definition.var.label} has {root}; only square roots are exact"
    return ""


def _exponentials(layer: Layer) -> Iterator[Expr]:
    """Every exp in the definitions, its argument in terms of inputs and statistics."""
    elementwise = {d.var.label: d for d in layer if not d.expr.has(SumOver)}
    for definition in layer:
        expr = definition.expr
        for _ in elementwise:
            expr = substitute(expr, elementwise)
        yield from (node.func(node.args[0].expand()) for node in expr.atoms(exp))


def _rational(layer: Layer, splits: bool) -> RationalPoint:
    """Points at which one parameter makes all roots rational, and sums in exponents whole."""
    shifts = [var.label for var in layer.parameters if not var.axes]

    def solve(forward: Forward, given: Values, rng: Random) -> Values:
        if splits:  # means are whole then, too
            data = given[layer.data.label]
            given = {**given, layer.data.label: {at: v * len(data) for at, v in data.items()}}
        if not radicands(forward, given):
            return given
        for label in shifts:
            low, high = (
                list(dict.fromkeys(radicands(forward, {**given, label: {(): Fraction(value)}})))
                for value in (0, 1)
            )
            if len(low) <= 2 and [value + 1 for value in low] == high:
                return shared_shift(label, low, given, rng)
        raise OutsideTheField("no one parameter makes all of its roots rational")

    return solve


def _nowhere(why: str) -> RationalPoint:
    def solve(forward: Forward, given: Values, rng: Random) -> Values:
        raise OutsideTheField(why)

    return solve

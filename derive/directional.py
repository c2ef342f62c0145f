"""Directional derivatives of any order, and the Hessian.

    D₁yᵢ = Σⱼ ∂yᵢ/∂xⱼ pⱼ      D₂yᵢ = Σⱼₖ ∂²yᵢ/∂xⱼ∂xₖ pⱼ qₖ      and so on

Each is the jvp of the program that ends with the one before it, statistics included, so that none
of them is held constant; the directions are.  With δs for the directions D₂y is the Hessian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sympy import Expr

from derive.centring import Closing, centred
from derive.closed_form import closed_form
from derive.derivation import Derivation
from derive.differentiate import jvp
from derive.expr import Definition, Delta, Var, substitute
from derive.second_order import statistics
from derive.trace import Reason, Result, certify


@dataclass(frozen=True)
class Order:
    """One order: ``stages`` are the tangents of x̂ and the statistics, ``result`` that of the
    order before, with the sums of ``closing`` by name."""

    closing: Closing
    stages: tuple[Result, ...]
    result: Result

    @property
    def written_out(self) -> Definition:
        return self.closing.written_out(self.result)


def directional(derivation: Derivation, directions: Sequence[Var]) -> tuple[Order, ...]:
    """D₁y, D₂y, … of a layer with respect to its data, along each of the directions in turn."""
    layer = derivation.layer
    coordinates = centred(derivation.chart, tuple(dict.fromkeys(directions)), layer.reduced_axes)
    target = layer[layer.output.label]
    orders: list[Order] = []
    closed: dict[tuple[Var, Var, Expr], Result] = {}
    sums: tuple[Definition, ...] = ()
    for count, direction in enumerate(directions, start=1):
        program = (*statistics(layer, [target, *sums]), *sums, target)
        *inner, last = jvp(program, {layer.data: direction})
        closing = Closing(coordinates, ())
        closing.sums |= {d.var.label: d for d in sums}  # one that is constant stays as it is
        for d in inner:  # those of the statistics are the same for every order along one direction
            key = direction, d.var, d.expr
            if key in closed:
                closing.known[d.var.label] = closed[key].definition
            else:
                closed[key] = closing.close(d.var, d.expr, Reason("along {}", (direction,)))
        stages = tuple(closed[direction, d.var, d.expr] for d in inner)
        var = Var(f"D{count}{layer.output.label}", *layer.output.axes)
        reason = Reason("differentiate {} along {}", (target.var, direction))
        orders.append(Order(closing, stages, closing.close(var, last.expr, reason)))
        target, sums = orders[-1].result.definition, tuple(closing.sums.values())
    return tuple(orders)


def hessian(derivation: Derivation, second: Order, directions: Sequence[Var]) -> Definition:
    """∂²yᵢ/∂xⱼ∂xₖ over (n, n′, n″, …): D₂y along δⱼ and δₖ, in closed form."""
    layer = derivation.layer
    (axis,) = layer.reduced_axes
    full = second.written_out.expr
    for definition in reversed(second.closing.coordinates.definitions):
        full = substitute(full, {definition.var.label: definition})
    deltas = {
        direction.label: Definition(direction, Delta(axis, axis.prime(level)))
        for level, direction in enumerate(directions, start=1)
    }
    full = substitute(full, deltas)
    normal_form = derivation.normal_form
    closed = closed_form(full, normal_form)
    certify(full, closed, normal_form, "Hessian")
    others = tuple(a for a in layer.output.axes if a != axis)
    return Definition(Var("H", axis, axis.prime(), axis.prime(2), *others), closed)

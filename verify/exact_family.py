"""The higher orders of any layer against nested dual numbers on its separately written definition.

g_dy, g_x and g_γ are what :func:`verify.exact_orders.double_backward` makes of the definition, and
Dₖy what :func:`verify.exact_orders.directional` does.  The closed forms are evaluated with their
means and sums by their definitions.  *exact*, at sampled sizes and points.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from random import Random

from derive.derivation import Derivation
from derive.expr import Axis, Definition, adjoint
from derive.orders import Orders, has_orders, orders_of
from verify.evaluate import Evaluator
from verify.exact import Counterexample, Outcome, draw
from verify.exact_orders import directional, double_backward
from verify.fields import FIELDS, Arithmetic, Field, Index, OutsideTheField, Scalar, Values
from verify.references import REFERENCES, Reference

SIZES = range(2, 5)
MOST = 2  # reduced axes; of more, nested dual numbers take too long
Table = Mapping[Index, Scalar]


def orders_to_verify(derivation: Derivation) -> Orders | None:
    """A layer's higher orders, every step certified; None where they are not derived or take too
    long to verify."""
    layer = derivation.layer
    if derivation.unproved or not has_orders(layer) or len(layer.reduced_axes) > MOST:
        return None
    return orders_of(derivation)


def check(orders: Orders, *, sizes: Iterable[int] = SIZES, seed: int = 0) -> list[Outcome]:
    """One outcome for each field and result; ``sizes`` are values of m, at least 2."""
    layer = orders.derivation.layer
    return [
        outcome
        for over in FIELDS
        for outcome in _over(orders, REFERENCES[layer.name], over, list(sizes), seed)
    ]


def _over(
    orders: Orders, reference: Reference, over: Field, sizes: list[int], seed: int
) -> Iterator[Outcome]:
    layer = orders.derivation.layer
    counts: dict[str, int] = {d.var.label: 0 for d in orders.closed_forms()}
    misses: dict[str, list[Counterexample]] = {label: [] for label in counts}
    rng, skipped = Random(f"orders {layer.name} {over.name} {seed}"), ""
    for m in sizes:
        try:
            point = draw(layer, reference, over, m, rng)
        except OutsideTheField as reason:
            skipped = str(reason)
            break
        cotangents = {
            f"v_d{var.label}": {at: over.random(rng) for at in point.given[var.label]}
            for var in layer.inputs
        }
        direction = {at: over.random(rng) for at in point.given[layer.data.label]}
        dy = point.directions[adjoint(layer.output).label]
        true = truth(orders, reference, over, point.given, dy, cotangents, direction)
        known = {**point.known, adjoint(layer.output).label: dy, **cotangents}
        known[orders.direction.label] = direction
        found = evaluated(orders, over, known, point.sizes)
        for label, table in found.items():
            for at, got in table.items():
                counts[label] += 1
                if got != true[label][at]:
                    where = tuple((f"axis {k}", position) for k, position in enumerate(at))
                    named = tuple(sorted(point.sizes.items()))
                    due = str(true[label][at])
                    misses[label].append(Counterexample(named, where, due, str(got)))
    for label, count in counts.items():
        wrong = misses[label]
        yield Outcome(label, over.name, count, len(wrong), wrong[0] if wrong else None, skipped)


def truth(
    orders: Orders,
    reference: Reference,
    over: Arithmetic,
    given: Values,
    dy: Table,
    cotangents: Values,
    direction: Table,
) -> dict[str, Table]:
    """Every result by label, from the definition alone."""
    layer = orders.derivation.layer
    data, output, forward = layer.data.label, layer.output.label, reference.forward
    found: dict[str, Table] = dict(double_backward(over, given, dy, cotangents, forward, output))
    for count, order in enumerate(orders.along, start=1):
        along = [direction] * count
        found[order.result.var.label] = directional(over, given, along, forward, data, output)
    return found


def evaluated(
    orders: Orders, over: Arithmetic, known: Values, sizes: Mapping[str, int]
) -> dict[str, Table]:
    """The closed forms at every index, from the values of the layer and of what they mention."""
    values = dict(known)
    for definition in orders.names:
        values[definition.var.label] = table_of(definition, over, values, sizes)
    return {d.var.label: table_of(d, over, values, sizes) for d in orders.closed_forms()}


def table_of(
    definition: Definition, over: Arithmetic, values: Values, sizes: Mapping[str, int]
) -> Table:
    """A definition's values at every index."""
    axes: tuple[Axis, ...] = definition.var.axes
    evaluator = Evaluator(over, values, sizes)
    places = product(*(range(sizes[axis.size.name]) for axis in axes))
    return {at: evaluator.at(definition.expr, dict(zip(axes, at, strict=True))) for at in places}

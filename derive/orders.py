"""The higher orders of any layer: its double backward, and its derivatives along one direction.

They are shown as a study (:func:`study_of`), in which every equality is proved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial

from derive.chart import NotNormalError
from derive.derivation import Derivation, derive
from derive.directional import Order, directional
from derive.errors import InputError
from derive.expr import Definition, SumOver, Var, add, adjoint, mul, substitute, tangent
from derive.layer import Layer
from derive.second_order import SecondOrder, cotangent
from derive.study import Section, Study
from derive.trace import stated

LETTERS = ("p", "q")  # of a direction: softmax has a p of its own
HIGHEST = 3


@dataclass(frozen=True)
class Orders:
    """``second`` is the vjp of backward, ``along`` D₁y, D₂y and D₃y along ``direction``."""

    derivation: Derivation
    second: SecondOrder
    direction: Var
    along: tuple[Order, ...]

    @property
    def steps(self) -> int:
        """How many steps were certified on the way."""
        along = (r for order in self.along for r in (*order.stages, order.result))
        return sum(len(r.steps) for r in (*self.second.stages, *self.second.results, *along))

    @property
    def names(self) -> tuple[Definition, ...]:
        """Products, means and what is left of them, in the closed forms."""
        return (*self.second.split, *self.along[0].closing.names)

    def closed_forms(self) -> Iterator[Definition]:
        """Each result with its sums in full, in terms of the definitions and of :attr:`names`."""
        yield from (self.second.closing.written_out(result) for result in self.second.results)
        yield from (order.written_out for order in self.along)


def orders_of(derivation: Derivation) -> Orders:
    """All of them, every step certified.  Raises NotNormalError where one cannot be proved."""
    layer = derivation.layer
    taken = {var.label for var in (*layer.inputs, *layer.parameters, *(d.var for d in layer))}
    letter = next(letter for letter in LETTERS if letter not in taken)
    direction = Var(letter, *layer.data.axes)
    along = directional(derivation, (direction,) * HIGHEST)
    return Orders(derivation, derivation.second_order, direction, along)


def has_orders(layer: Layer) -> bool:
    """Whether a layer's higher orders are derived: it reduces over an axis, and has no parts with
    stages of their own, as a block has."""
    return bool(layer.reduced_axes) and not layer.stages


def study_of(layer: Layer) -> Study:
    """The higher orders of a layer as a study.  Raises InputError where there are none."""
    if not has_orders(layer):
        raise InputError(
            f"the higher orders of {layer.name} are not derived; those of a single layer that "
            "reduces over an axis are, such as layer_norm"
        )
    return Study(
        name=f"{layer.name}_orders",
        title=f"{layer.title}: higher orders",
        source=layer.source,
        layer=layer,
        shown=tuple(axis.base for axis in layer.data.axes),
        develop=partial(_develop, layer),
    )


def _develop(layer: Layer) -> tuple[Section, ...]:
    try:
        orders = orders_of(derive(layer))
    except NotNormalError as error:
        raise InputError(f"the higher orders of {layer.name} cannot be proved: {error}") from error
    return _double_backward(orders), _along(orders)


def _double_backward(orders: Orders) -> Section:
    second, layer = orders.second, orders.derivation.layer
    written = {adjoint(var).label for var in layer.inputs}
    known = {d.var.label: d for d in second.program if d.var.label in written}
    normal_form = second.closing.normal_form().knowing(known)
    dots = {tangent(var).label: cotangent(adjoint(var)) for var in layer.inputs}
    inserted = {label: Definition(Var(label, *v.axes), v) for label, v in dots.items()}
    pushed = substitute(orders.derivation.tangent.closed, inserted)
    dy, g_dy = adjoint(layer.output), second.results[0].var
    facts = [stated(g_dy, pushed, normal_form, "backward is linear in {}: this is the jvp", dy)]
    total = SumOver(second.results[1].var, *layer.reduced_axes)
    if normal_form.zero(total):  # not so for RMS Norm
        words = "a shift of all that is reduced together changes nothing"
        facts.append(stated(total, mul(0), normal_form, words))
    return Section(
        "Double backward",
        "the vjp of backward for cotangents of its results; no statistic is constant",
        (*second.program, *second.split, *second.sums, *second.stages, *second.results, *facts),
        tuple(second.closing.written_out(result) for result in second.results),
        lambda before, after: normal_form.zero(add(before, mul(-1, after))),
    )


def _along(orders: Orders) -> Section:
    first, last = orders.along[0], orders.along[-1]
    known = {d.var.label: d for order in orders.along for d in order.closing.sums.values()}
    results = {r.var.label: r for order in orders.along for r in (*order.stages, order.result)}
    known |= {label: result.definition for label, result in results.items()}
    normal_form = first.closing.normal_form().knowing(known)
    sums = [d for _, d in sorted(last.closing.sums.items())]
    return Section(
        "Along one direction",
        "the first three derivatives of the output along a direction of the data",
        (*first.closing.names, *sums, *results.values()),
        tuple(order.written_out for order in orders.along),
        lambda before, after: normal_form.zero(add(before, mul(-1, after))),
    )

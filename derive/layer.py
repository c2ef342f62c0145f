"""A layer: its inputs and, in order, the definitions that lead to its output.

This is all that a layer is.  Derivation, closed form, kernel and LaTeX follow from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property

from sympy import Add, Expr, Mul, Symbol

from derive.errors import InputError
from derive.expr import (
    Axis,
    Definition,
    Delta,
    SumOver,
    Var,
    add,
    free_axes,
    mul,
    rebuild,
    sorted_axes,
    variables,
)


class LayerError(InputError):
    """A definition that does not hold together; the message names it and says what would."""


@dataclass(frozen=True)
class Layer:
    """Inputs, parameters (ε, frozen statistics: what gets no gradient), definitions and output.

    ``data`` is the input that the layer normalises; the other inputs are learnt.  ``stages`` are
    quantities whose adjoints keep their names in the closed forms of others, as a block of several
    layers is best read (and computed): ∂ℓ/∂W is a sum of ∂ℓ/∂Z, whatever that is.
    ``source`` cites where the definition comes from (paper, section, equation).
    """

    name: str
    title: str
    source: str
    data: Var
    learnt: tuple[Var, ...]
    parameters: tuple[Var, ...]
    definitions: tuple[Definition, ...]
    stages: tuple[Var, ...] = ()

    def __post_init__(self) -> None:
        ordered = tuple(
            replace(definition, expr=_reading_order(definition.expr, self))
            for definition in self.definitions
        )
        object.__setattr__(self, "definitions", ordered)
        _check(self)

    @property
    def inputs(self) -> tuple[Var, ...]:
        """What gradients are taken with respect to."""
        return (self.data, *self.learnt)

    @property
    def output(self) -> Var:
        """The last definition."""
        return self.definitions[-1].var

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Every axis that the layer mentions, in a fixed order."""
        seen: set[Axis] = set().union(*(var.axes for var in (*self.inputs, *self.parameters)))
        return sorted_axes(seen)

    @cached_property
    def constants(self) -> tuple[Expr, ...]:
        """What varies over no axis and gets no gradient: sizes, and parameters such as ε."""
        sizes = tuple(axis.size for axis in self.axes)
        return sizes + tuple(var for var in self.parameters if not var.axes)

    @cached_property
    def reduced_axes(self) -> tuple[Axis, ...]:
        """The axes that some definition sums over, those of the data first."""
        sums: set[SumOver] = set().union(*(d.expr.atoms(SumOver) for d in self.definitions))
        summed = {axis for total in sums for axis in total.axes}
        own = tuple(axis for axis in self.data.axes if axis in summed)
        return own + sorted_axes(summed - set(own))

    def __getitem__(self, label: str) -> Definition:
        for definition in self.definitions:
            if definition.var.label == label:
                return definition
        raise KeyError(
            f"{self.name} defines {', '.join(d.var.label for d in self.definitions)}, not {label}"
        )

    def __iter__(self) -> Iterator[Definition]:
        return iter(self.definitions)


def _check(layer: Layer) -> None:
    known: dict[str, Var] = {}
    for var in (*layer.inputs, *layer.parameters):
        if var.label in known:
            raise LayerError(f"{layer.name}: the name {var.label} is used twice")
        known[var.label] = var
    if not layer.definitions:
        raise LayerError(f"{layer.name}: a layer needs at least one definition")
    _check_sizes(layer)
    depends = {layer.data.label}
    for definition in layer.definitions:
        _check_definition(definition, known, layer)
        known[definition.var.label] = definition.var
        if depends & {var.label for var in variables(definition.expr)}:
            depends.add(definition.var.label)
    if layer.output.label not in depends:
        raise LayerError(
            f"{layer.name}: the output {layer.output.label} does not depend on {layer.data.label}"
        )
    _check_names(known, layer)


def _check_sizes(layer: Layer) -> None:
    """One size for each index: messages and formulas show the index alone."""
    mentioned = [*layer.inputs, *layer.parameters]
    for definition in layer.definitions:
        mentioned += [definition.var, *variables(definition.expr)]
    sizes: dict[str, Symbol] = {}
    for axis in (axis for var in mentioned for axis in var.axes):
        if sizes.setdefault(axis.name, axis.size) != axis.size:
            raise LayerError(
                f"{layer.name}: the index {axis} has the sizes {sizes[axis.name]} and {axis.size}; "
                "give each range an index of its own"
            )


def _check_definition(definition: Definition, known: Mapping[str, Var], layer: Layer) -> None:
    where = f"{layer.name}: {definition.var.label}"
    if definition.var.label in known:
        raise LayerError(f"{where} is defined twice")
    sums = sorted(definition.expr.atoms(SumOver), key=str)
    bound = {axis for total in sums for axis in total.axes}
    for var in variables(definition.expr):
        if var.label not in known:
            raise LayerError(
                f"{where} uses {var.label}, which is not defined before it; "
                f"known here: {', '.join(known)}"
            )
        if var.axes != known[var.label].axes:
            raise LayerError(
                f"{where} uses {var.name}, but {var.label} is declared as {known[var.label].name}"
            )
    if definition.expr.has(Delta):
        raise LayerError(f"{where} contains a δ; those belong to Jacobians")
    for total in sums:
        if absent := set(total.axes) - free_axes(total.body):
            raise LayerError(
                f"{where} sums over {sorted_axes(absent)[0]}, which its summand does not vary over"
            )
    sizes = {axis.size for axis in layer.axes}
    for symbol in sorted(definition.expr.atoms(Symbol) - sizes - bound, key=str):
        if not isinstance(symbol, Var):
            raise LayerError(
                f"{where} uses {symbol}, which is neither a quantity nor the size of an axis"
            )
    free = free_axes(definition.expr)
    if free != frozenset(definition.var.axes):
        raise LayerError(
            f"{where} is declared over {[axis.name for axis in definition.var.axes]}, but its "
            f"right-hand side varies over {[axis.name for axis in sorted_axes(free)]}"
        )


def _check_names(known: Mapping[str, Var], layer: Layer) -> None:
    """No quantity is called what the derivation calls something else, and no index is taken."""
    if primed := [axis for axis in layer.axes if axis.level]:
        raise LayerError(f"{layer.name} uses the index {primed[0]}; those belong to Jacobians")
    taken = taken_names(known, layer.axes)
    for label in known:
        if label in taken:
            raise LayerError(
                f"{layer.name}: {label} is the name of {taken[label]}; call it something else"
            )


def taken_names(labels: Iterable[str], axes: Iterable[Axis]) -> dict[str, str]:
    """The names that a derivation gives to things of its own, with what they are."""
    taken = {
        **{axis.size.name: f"the size of the axis {axis}" for axis in axes},
        "u": "the scalar factor of the Jacobian",
        "R": "the matrix factor of the Jacobian",
    }
    for label in labels:
        taken["d" + label] = f"the adjoint of {label}"
        taken[label + "_dot"] = f"the tangent of {label}"
        taken["inv_root_" + label] = f"an inverse root that contains {label}"
    return taken


def _reading_order(expr: Expr, layer: Layer) -> Expr:
    """As a person writes it, x − μ, σ² + ε, γx̂ + β, WA; SymPy's operators sort by name."""
    if not expr.args:
        return expr
    args = [_reading_order(arg, layer) for arg in expr.args]
    position = {
        var.label: rank
        for rank, var in enumerate(
            (*layer.parameters, *layer.learnt, layer.data, *(d.var for d in layer.definitions))
        )
    }
    if isinstance(expr, Mul) and all(isinstance(arg, Var) or arg.is_number for arg in args):
        return mul(*sorted(args, key=lambda arg: position.get(getattr(arg, "label", ""), -1)))
    if not isinstance(expr, Add):
        return rebuild(expr, args)

    def key(term: Expr) -> tuple[bool, bool, int, str]:
        last = max((position.get(var.label, 0) for var in variables(term)), default=0)
        return term.could_extract_minus_sign(), term.is_number, -last, str(term)

    return add(*sorted(args, key=key))

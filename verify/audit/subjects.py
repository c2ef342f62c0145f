"""What published formulas speak of: a layer's quantities, their derivatives, their truth.

The truth of a left-hand side is what the definitions say (a quantity), the chain rule applied to
them (an adjoint, an entry of a Jacobian) or what the engine derived (u, R, the folded factors).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import cache

from sympy import Expr

from derive.chart import Chart
from derive.coordinates import chart_of
from derive.derivation import Derivation, derive
from derive.differentiate import jvp, vjp
from derive.errors import InputError
from derive.expectation import Expected, expected
from derive.expr import (
    Axis,
    Definition,
    Delta,
    SumOver,
    Var,
    add,
    adjoint,
    mul,
    substitute,
    tangent,
)
from derive.grammar.formulas import formula_of
from derive.grammar.indices import indices_of
from derive.grammar.python_syntax import python_equations
from derive.grammar.source import Source
from derive.layer import Layer
from derive.layers import LAYERS
from derive.layers.batch_norm_inference import BATCH_NORM_INFERENCE, mean, variance
from derive.studies import STUDIES, running_statistics
from derive.trace import Result

ITEMS = Var("items", positive=True)  # the n of document 003
LETTERS = "ijt"  # of the axis that is reduced
FREE = 5  # primes of the index that a derivative is taken at: no letter has as many


@dataclass(frozen=True)
class Compound:
    """An equation of the layer that shows whether named parts of it are right.

    ``var``, or d var / d wrt, equals ``expr``, in which the parts occur by name.
    """

    var: Var
    expr: Expr
    wrt: Var | None = None


@dataclass(frozen=True)
class Subject:
    """A layer with what formulas about it may mention.

    ``rows`` is the axis that is reduced, and ``shown`` those whose indices formulas must write.
    ``parts`` are derived quantities that are no values of the layer (u, R, folded factors), and
    ``compounds`` tells for each of them where it occurs.  ``known`` holds definitions that proofs
    unfold; ``averaged`` works out the expectations in an expression, where there are any.
    ``results`` are the derived gradients and entries of the Jacobian, ``study`` says that this is
    the study of running statistics.
    """

    layer: Layer
    chart: Chart
    names: Mapping[str, Expr]
    rows: Axis
    shown: tuple[str, ...]
    parts: Mapping[str, Definition]
    compounds: Mapping[str, Compound]
    known: Mapping[str, Definition] = field(default_factory=dict)
    averaged: Callable[[Expr], Expr] = lambda expr: expr
    results: tuple[Result, ...] = ()
    study: bool = False

    def named(self, table: Mapping[str, str]) -> dict[str, Definition]:
        """A document's own names, ``label[i]`` to formula, each in terms of those before."""
        known: dict[str, Definition] = {}
        for written, text in table.items():
            label, _, letters = written.rstrip("]").partition("[")
            at = (self.rows,) if letters else ()
            hidden = (axis for axis in self.layer.data.axes if axis.base not in self.shown)
            var = Var(label, *at, *hidden)
            names = {**self.names, label: var, **{k: d.var for k, d in known.items()}}
            source = Source(label, f"{written} = {text}")
            (equation,) = python_equations(source, names, self.layer.data.axes)
            letters_of = indices_of(equation, names, self.shown).letters
            known[label] = Definition(var, formula_of(equation, names, letters_of).rhs)
        return known

    def printed(self, *exprs: Expr) -> tuple[str, ...]:
        """The axes whose indices are printed: those that are shown, and what is summed over."""
        sums = {axis.base for e in exprs for total in e.atoms(SumOver) for axis in total.axes}
        deltas = {axis.base for e in exprs for delta in e.atoms(Delta) for axis in delta.indices}
        return (*self.shown, *sorted((sums | deltas) - set(self.shown)))

    def program(self, held: tuple[str, ...]) -> tuple[Definition, ...]:
        """The definitions of what is not held constant."""
        return tuple(d for d in self.layer if d.var.label not in held)

    def adjoints(self, held: tuple[str, ...]) -> dict[str, Definition]:
        """Every adjoint by the chain rule, in terms of those after it."""
        output = self.layer.output
        pulled = vjp(self.program(held), {output: adjoint(output)}, self.layer.inputs)
        return {derivative.var.label: derivative for derivative in pulled}

    def tangents(self, wrt: Var | None, held: tuple[str, ...]) -> dict[str, Definition]:
        """d(every quantity)/d wrt by the chain rule, in terms of those before it."""
        if wrt is None:
            return {}
        seed = self._seed(wrt)
        pushed = jvp(self.program(held), {self.value(wrt.label): seed.expr})
        return {**self._zeros(), **{d.var.label: d for d in pushed}, seed.var.label: seed}

    def partials(self, wrt: Var | None) -> dict[str, Definition]:
        """∂(every quantity)/∂ wrt of its definition alone, the others in it held constant."""
        if wrt is None:
            return {}
        seed = self._seed(wrt)
        alone = (jvp((d,), {self.value(wrt.label): seed.expr}) for d in self.layer)
        pushed: dict[str, Definition] = {d.var.label: d for each in alone for d in each}
        return {**self._zeros(), **pushed, seed.var.label: seed}

    def _seed(self, wrt: Var) -> Definition:
        """The tangent of a quantity at all indices when it moves at one."""
        var = self.value(wrt.label)
        pairs = zip(var.axes, wrt.axes, strict=True)
        return Definition(tangent(var), mul(*(Delta(here, there) for here, there in pairs)))

    def _zeros(self) -> dict[str, Definition]:
        layer = self.layer
        still = (*layer.inputs, *layer.parameters, *(d.var for d in layer))
        return {tangent(var).label: Definition(tangent(var), mul(0)) for var in still}

    def value(self, label: str) -> Var:
        """A quantity of the layer, at its own indices."""
        quantities = (*self.layer.inputs, *self.layer.parameters, *(d.var for d in self.layer))
        return next(var for var in quantities if var.label == label)

    def defined(self, label: str) -> Definition | None:
        """What a quantity is defined to be; None for an input."""
        own = {d.var.label: d for d in self.layer}
        return {**own, **self.parts}.get(label)


@cache
def subject(name: str) -> Subject:
    """The layer of that name as a subject.  Raises InputError if there is none."""
    if name == STUDY:
        return _statistics()
    if name not in LAYERS:
        raise InputError(f"there is no layer {name!r} ({', '.join((*LAYERS, STUDY))})")
    return subject_of(LAYERS[name])


def subject_of(layer: Layer) -> Subject:
    """A layer as a subject.  Raises NotNormalError where the engine proves nothing about it."""
    derivation = derive(layer)
    parts, compounds = _parts(derivation)
    plain = _plain(layer, derivation.chart)
    return replace(
        plain,
        names={**plain.names, **{label: part.var for label, part in parts.items()}},
        parts=parts,
        compounds=compounds,
        results=(*derivation.adjoints, *derivation.entries()),
    )


def restricted(about: Subject, values: Mapping[str, int]) -> Subject:
    """The same layer where inputs or parameters have these values, such as ε = 0.

    Raises NotNormalError where the engine proves nothing about it.
    """
    return _restricted(about.layer, tuple(values.items()))


@cache
def _restricted(layer: Layer, pairs: tuple[tuple[str, int], ...]) -> Subject:
    values = dict(pairs)
    about = {var.label: var for var in (*layer.learnt, *layer.parameters)}
    given = {label: Definition(about[label], mul(value)) for label, value in values.items()}
    fixed = replace(
        layer,
        name=", ".join((layer.name, *(f"{label} = {value}" for label, value in values.items()))),
        learnt=tuple(var for var in layer.learnt if var.label not in values),
        parameters=tuple(var for var in layer.parameters if var.label not in values),
        definitions=tuple(replace(d, expr=substitute(d.expr, given)) for d in layer),
    )
    return _plain(fixed, chart_of(fixed))


def _plain(layer: Layer, chart: Chart) -> Subject:
    """A layer without what is derived about it."""
    counted = [axis for axis in layer.data.axes if any(d.expr.has(axis.size) for d in layer)]
    rows = (*counted, *layer.reduced_axes, *layer.data.axes)[0]
    shown = (rows.base, *(axis.base for axis in layer.reduced_axes if axis != rows))
    quantities = (*layer.inputs, *layer.parameters, *(d.var for d in layer))
    names: dict[str, Expr] = {var.label: var for var in quantities}
    names |= {axis.size.name: axis.size for axis in layer.axes}
    return Subject(layer, chart, {**names, ITEMS.label: ITEMS}, rows, shown, {}, {})


def _parts(derivation: Derivation) -> tuple[dict[str, Definition], dict[str, Compound]]:
    layer, jacobian = derivation.layer, derivation.jacobian
    if layer == BATCH_NORM_INFERENCE:
        conclusions = STUDIES["folding"].develop()[0].conclusions
        factor, rest = (d.var for d in conclusions)
        whole = Compound(layer.output, add(mul(factor, layer.data), rest))
        return {d.var.label: d for d in conclusions}, dict.fromkeys(("scale", "shift"), whole)
    if jacobian is None or len(jacobian.rows) != 1:
        return {}, {}
    entry = jacobian.entry.entry
    assert entry is not None
    whole = Compound(entry.of, mul(jacobian.u.var, jacobian.R.var), entry.wrt)
    return {"u": jacobian.u, "R": jacobian.R}, {"u": whole, "R": whole}


# --- Running statistics ---------------------------------------------------------------------------

STUDY = running_statistics.STUDY.name


def _statistics() -> Subject:
    """That study: expectations E_mu and E_var, running averages, the old values."""
    of_layer = subject("batch_norm")
    _, running, _ = running_statistics.STUDY.develop()
    plain = running_statistics.PLAIN
    parts = {d.var.label: d for d in running.conclusions}
    names: dict[str, Expr] = {label: of_layer.names[label] for label in ("x", "mu", "var", "m")}
    names |= {f"E_{label}": Expected(of_layer.value(label)) for label in ("mu", "var")}
    names |= {var.label: var for var in (running_statistics.momentum, mean, variance)}
    names |= {label: part.var for label, part in parts.items()}
    return Subject(
        of_layer.layer,
        plain.chart,
        names,
        of_layer.rows,
        of_layer.shown,
        parts,
        {},
        plain.known,
        lambda expr: expected(expr, running_statistics.POPULATION, plain),
        study=True,
    )


# --- Expressions ----------------------------------------------------------------------------------


def unfolded(expr: Expr, known: Mapping[str, Definition]) -> Expr:
    """Every known name replaced by its meaning, until none is left."""
    while any(var.label in known for var in expr.atoms(Var)):
        expr = substitute(expr, known)
    return expr


def taken_at(wrt: Var, shown: tuple[str, ...]) -> dict[Axis, Axis]:
    """The index that a derivative is taken at, made one that no letter stands for."""
    return {axis: Axis(axis.base, axis.size.name, FREE) for axis in wrt.axes if axis.base in shown}

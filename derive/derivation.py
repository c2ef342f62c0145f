"""Derivations: what was derived, the steps that lead there, and their proofs.

``derive(layer)`` is the whole pipeline of this package:

1. find the layer's chart and with it the identities (:mod:`derive.coordinates`);
2. take the vjp and the jvp of the definitions (:mod:`derive.differentiate`);
3. rewrite each result by the named rules until it is closed (:mod:`derive.rules`);
4. read the Jacobian off the jvp, as u·R, with what is worth knowing about R
   (:mod:`derive.jacobian`).

Where the definitions are outside what the engine proves, ``derive_or_stage`` leaves it at step 2:
the chain rule's own formulas, which :mod:`verify` can compare exactly at sampled sizes.

Every step is certified when it is made: a step whose two sides differ in normal form cannot be
constructed.  The steps are the result; every printed form renders this one trace.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING

from derive.chart import Chart, NotNormalError
from derive.coordinates import chart_of
from derive.differentiate import Derivative, jvp, vjp
from derive.expr import Definition, SumOver, add, adjoint, mul, substitute, tangent
from derive.identities import identities
from derive.jacobian import Jacobian, jacobian_of, result_of
from derive.layer import Layer
from derive.normal_form import NormalForm
from derive.rules import Context
from derive.trace import Fact, Reason, Result, Step, stated

if TYPE_CHECKING:
    from derive.second_order import SecondOrder


@dataclass(frozen=True)
class Derivation:
    """Everything that follows from a layer's definitions.

    ``unproved`` says what could not be proved, and then there are staged forms only; else it is
    empty.
    """

    layer: Layer
    chart: Chart
    identities: tuple[Fact, ...]
    adjoints: tuple[Result, ...]
    tangent: Result
    jacobian: Jacobian | None
    facts: tuple[Fact, ...]
    unproved: str = ""

    def __hash__(self) -> int:
        return hash(self.layer)  # which all else follows from, and some of that has no hash

    def __getitem__(self, label: str) -> Result:
        """The result for an adjoint by its label, such as ``dx``."""
        for result in self.adjoints:
            if result.var.label == label:
                return result
        raise KeyError(
            f"{self.layer.name} has {', '.join(r.var.label for r in self.adjoints)}, not {label}"
        )

    @cached_property
    def normal_form(self) -> NormalForm:
        """Over the chart; it remembers what it has seen, for all that extend it."""
        return NormalForm(self.chart)

    @cached_property
    def second_order(self) -> SecondOrder:
        """The double backward, derived when it is first asked for.

        Raises NotNormalError where the engine cannot prove it.
        """
        from derive.second_order import double_backward  # which imports this module

        return double_backward(self)

    @property
    def known(self) -> dict[str, Definition]:
        """The closed form of every adjoint, by label."""
        return {result.var.label: result.definition for result in self.adjoints}

    def _repr_markdown_(self) -> str:
        """How a notebook shows it."""
        from derive.render.display import derivation_markdown  # which imports this module

        return derivation_markdown(self)

    def _repr_latex_(self) -> str:
        from derive.render.display import derivation_latex

        return derivation_latex(self)

    def steps(self) -> Iterable[Step]:
        """Every certified step."""
        for fact in self.identities:
            yield from fact.steps
        for result in (*self.adjoints, self.tangent, *self.entries()):
            yield from result.steps

    def entries(self) -> tuple[Result, ...]:
        """The derivative of every quantity with respect to one entry of the data, if taken."""
        jacobian = self.jacobian
        return () if jacobian is None else (*jacobian.intermediate, jacobian.entry)

    def all_facts(self) -> tuple[Fact, ...]:
        """Identities, facts about the derivatives and facts about R."""
        about_r = () if self.jacobian is None else self.jacobian.facts
        return (*self.identities, *self.facts, *about_r)


def derive(layer: Layer) -> Derivation:
    """Derive everything about a layer.

    Raises LayerError or NotNormalError where the definitions are outside what the engine proves.
    """
    try:
        return _derived(layer)
    except NotNormalError as error:
        raise NotNormalError(
            f"{layer.name}: the engine cannot prove the gradients of this layer: {error}"
        ) from error


def derive_or_stage(layer: Layer) -> Derivation:
    """Like ``derive``, but with staged forms only, and no proofs, where those are out of reach."""
    try:
        return derive(layer)
    except NotNormalError as error:
        pulled = vjp(layer.definitions, {layer.output: adjoint(layer.output)}, layer.inputs)
        *before, pushed = jvp(layer.definitions, {var: tangent(var) for var in layer.inputs})
        unfolded = pushed.expr
        for derivative in reversed(before):  # in terms of the inputs' tangents
            unfolded = substitute(unfolded, {derivative.var.label: derivative})
        adjoints = tuple(_staged(derivative) for derivative in pulled)
        forward = _staged(replace(pushed, expr=unfolded))
        chart = Chart(layer.constants)
        return Derivation(layer, chart, (), adjoints, forward, None, (), str(error))


def _staged(derivative: Derivative) -> Result:
    reason = _chain_rule(derivative)
    return Result(derivative.var, derivative.var, derivative.expr, reason, (), ())


def _chain_rule(derivative: Derivative) -> Reason:
    through = tuple(term.through for term in derivative.terms)
    return Reason("chain rule through " + ", ".join("{}" for _ in through), through)


def _derived(layer: Layer) -> Derivation:
    normal_form = NormalForm(chart_of(layer))
    chart = normal_form.chart
    adjoints = _adjoints(layer, normal_form)
    known = {result.var.label: result.definition for result in adjoints}
    tangent_result = _tangent(layer, normal_form)
    jacobian = jacobian_of(layer, normal_form, known[adjoint(layer.data).label])
    transposed = _transposition(layer, normal_form.knowing(known), tangent_result)
    return Derivation(
        layer,
        chart,
        identities(layer, normal_form),
        adjoints,
        tangent_result,
        jacobian,
        (transposed,),
    )


def _adjoints(layer: Layer, normal_form: NormalForm) -> tuple[Result, ...]:
    kept = {adjoint(var).label for var in layer.stages}
    inserting = proving = normal_form  # the stages keep their names, but proofs know what they are
    results = []
    cotangents = {layer.output: adjoint(layer.output)}
    for derivative in vjp(layer.definitions, cotangents, layer.inputs):
        context = Context(inserting, proving if kept else None)
        result = result_of(derivative, derivative.var, _chain_rule(derivative), context)
        results.append(result)
        known = {result.var.label: result.definition}
        proving = proving.knowing(known)
        if result.var.label not in kept:
            inserting = inserting.knowing(known)
    return tuple(results)


def _tangent(layer: Layer, normal_form: NormalForm) -> Result:
    """The directional derivative of the output, for arbitrary tangents of all inputs."""
    for derivative in jvp(layer.definitions, {var: tangent(var) for var in layer.inputs}):
        of = layer[derivative.var.of].var
        reason = Reason("differentiate the definition of {}", (of,))
        result = result_of(derivative, derivative.var, reason, Context(normal_form))
        normal_form = normal_form.knowing({result.var.label: result.definition})
    return result


def _transposition(layer: Layer, normal_form: NormalForm, pushed: Result) -> Fact:
    """⟨dy, ẏ⟩ = ⟨dx, ẋ⟩ + …: reverse and forward mode, derived apart, are transposes."""
    dy = adjoint(layer.output)
    lhs = SumOver(mul(dy, pushed.var), *dy.axes)
    rhs = add(*(SumOver(mul(adjoint(var), tangent(var)), *var.axes) for var in layer.inputs))
    everything = normal_form.knowing({pushed.var.label: pushed.definition})
    return stated(lhs, rhs, everything, "the vjp is the transpose of the jvp")

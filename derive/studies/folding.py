"""Folding Batch Norm for deployment: in test mode the layer is one multiplication and one addition.

Ioffe & Szegedy 2015, Algorithm 2, line 11: y = (γ/√(Var[x] + ε)) x + (β − γ E[x]/√(Var[x] + ε)).
After a linear layer, or a convolution, even that goes into the weights and the bias.
"""

from __future__ import annotations

from sympy import Expr, sqrt

from derive.coordinates import chart_of
from derive.differentiate import jvp
from derive.expr import (
    Axis,
    Definition,
    Delta,
    SumOver,
    Var,
    add,
    mul,
    rename,
    sorted_axes,
)
from derive.jacobian import result_of
from derive.layer import Layer
from derive.layers.batch_norm import beta, c, eps, gamma, n
from derive.layers.batch_norm_inference import BATCH_NORM_INFERENCE, mean, variance
from derive.normal_form import NormalForm
from derive.rules import COLLECT, INSERT, Context, rewrite
from derive.study import Section, Study
from derive.trace import JacobianEntry, Reason, Result, Step, stated

k = Axis("k", "K")
a, weight, bias = Var("a", n, k), Var("W", c, k), Var("b", c)
z, x_hat, y = Var("z", n, c), Var("x_hat", n, c), Var("y", n, c)

LINEAR_BATCH_NORM = Layer(
    name="linear_batch_norm_inference",
    title="A linear layer and Batch Normalisation in test mode",
    source="Ioffe & Szegedy 2015, section 3.2 and Algorithm 2",
    data=a,
    learnt=(weight, bias, gamma, beta),
    parameters=(eps, mean, variance),
    definitions=(
        Definition(z, SumOver(weight * a, k) + bias, "linear layer"),
        Definition(x_hat, (z - mean) / sqrt(variance + eps), "normalise by frozen statistics"),
        Definition(y, gamma * x_hat + beta, "scale and shift"),
    ),
)


def _develop() -> tuple[Section, ...]:
    return (
        _folded(BATCH_NORM_INFERENCE, Var("scale", c), Var("shift", c), "The layer alone"),
        _folded(
            LINEAR_BATCH_NORM,
            Var("folded_weight", c, k),
            Var("folded_bias", c),
            "After a linear layer",
        ),
    )


def _folded(layer: Layer, factor: Var, rest: Var, title: str) -> Section:
    """The layer as factor · data + rest, each derived: the derivative, and what it leaves over."""
    normal_form = NormalForm(chart_of(layer))
    mixed = sorted_axes(set(layer.data.axes) - set(layer.output.axes))
    slopes = _slopes(layer, mixed, normal_form)
    normal_form = normal_form.knowing({r.var.label: r.definition for r in slopes})
    there = {axis.prime(): axis for axis in mixed}
    first = Definition(factor, rename(slopes[-1].closed, there), "the factor")
    product: SumOver = SumOver(mul(first.expr, layer.data), *mixed)
    start = add(layer.output, mul(-1, product))
    second = _rest(start, rest, layer, normal_form)
    whole = add(SumOver(mul(factor, layer.data), *mixed), rest)
    both = normal_form.knowing({factor.label: first, rest.label: second.definition})
    fact = stated(layer.output, whole, both, "the same for every input")
    return Section(
        title,
        layer.title,
        (*layer.definitions, *slopes, first, second, fact),
        (first, second.definition),
        lambda before, after: both.zero(before - after),
    )


def _slopes(layer: Layer, mixed: tuple[Axis, ...], normal_form: NormalForm) -> list[Result]:
    """∂(every quantity)/∂data at the same place; where a sum mixes entries, for one of them."""
    there = {axis: axis.prime() for axis in mixed}
    seed = mul(*(Delta(axis, other) for axis, other in there.items()))
    wrt = layer.data.at(*(there.get(axis, axis) for axis in layer.data.axes))
    known: dict[str, Definition] = {}
    results = []
    for derivative in jvp(layer.definitions, {layer.data: seed}):
        of = layer[derivative.var.of].var
        context = Context(normal_form.knowing(known))
        reason = Reason("differentiate the definition of {}", (of,))
        results.append(result_of(derivative, JacobianEntry(of, wrt), reason, context))
        known[derivative.var.label] = results[-1].definition
    return results


def _rest(start: Expr, rest: Var, layer: Layer, normal_form: NormalForm) -> Result:
    """``start`` with all definitions inserted, in closed form."""
    context = Context(normal_form)
    steps: list[Step] = []
    for definition in reversed(layer.definitions):
        known = {definition.var.label: definition}
        steps += rewrite(start, (INSERT,), Context(normal_form.knowing(known), normal_form))
        start = steps[-1].after
    steps += rewrite(start, (COLLECT,), context)
    reason = Reason("what is left of {}", (layer.output,))
    return Result(rest, rest, steps[0].before, reason, (), tuple(steps))


STUDY = Study(
    name="folding",
    title="Folding Batch Normalisation for deployment",
    source="Ioffe & Szegedy 2015, Algorithm 2",
    layer=LINEAR_BATCH_NORM,
    shown=("n", "c", "k"),
    develop=_develop,
)

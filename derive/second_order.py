"""The double backward: the vjp of a layer's own backward pass.

The closed backward is again a program: μ, σ², x̂ and then dx, dγ, dβ as functions of x, γ and dy.
Given cotangents v_dx, v_dγ, v_dβ of its results, its vjp is

    g_dy, g_x, g_γ = ∂(⟨v_dx, dx⟩ + ⟨v_dγ, dγ⟩ + ⟨v_dβ, dβ⟩)/∂(dy, x, γ)

The statistics are definitions of the program, not constants of it: what flows through μ and σ² to x
is there, of the second order too.  In coordinates in which dy and v_dx are centred
(:mod:`derive.centring`) the closed forms need the means of two and a few sums; where γ varies along
the reduction, it is γ dy and v_dγ dy that are, in the place of dy (:mod:`derive.products`).
"""

from __future__ import annotations

from dataclasses import dataclass

from derive.centring import Closing, centred
from derive.derivation import Derivation
from derive.differentiate import Derivative, vjp
from derive.expr import Definition, Var, adjoint, variables
from derive.layer import Layer
from derive.products import weighted
from derive.trace import Reason, Result


@dataclass(frozen=True)
class SecondOrder:
    """The double backward of a layer.

    ``program`` is what was differentiated.  ``stages`` are the adjoints of x̂ and the statistics,
    ``results`` those of dy, x and γ; ``closing`` has the names in their closed forms.
    """

    derivation: Derivation
    program: tuple[Definition, ...]
    closing: Closing
    stages: tuple[Result, ...]
    results: tuple[Result, ...]

    @property
    def cotangents(self) -> tuple[Var, ...]:
        """v_dx, v_dγ, v_dβ."""
        return self.closing.factors

    @property
    def split(self) -> tuple[Definition, ...]:
        """Products by name, the means, and what is left of dy (or those products) and v_dx."""
        return self.closing.names

    @property
    def sums(self) -> tuple[Definition, ...]:
        """The sums of the closed forms of the results."""
        read = {var.label for result in self.results for var in variables(result.closed)}
        return tuple(d for label, d in sorted(self.closing.sums.items()) if label in read)


def cotangent(var: Var) -> Var:
    """v_dx: what the result dx of the backward pass is multiplied with."""
    return Var(f"v_{var.label}", *var.axes)


def gradient(var: Var) -> Var:
    """g_x: the derivative of Σ v_dx dx + … with respect to x."""
    return Var(f"g_{var.label}", *var.axes)


def double_backward(derivation: Derivation) -> SecondOrder:
    """The vjp of the closed backward, in closed form; every step certified.

    Raises NotNormalError where the engine cannot prove it.
    """
    layer = derivation.layer
    outputs = tuple(adjoint(var) for var in layer.inputs)
    seeds = {output: cotangent(output) for output in outputs}
    program = backward_program(derivation)
    dy = adjoint(layer.output)
    read = {v for d in program for v in variables(d.expr)}
    wrt = (dy, layer.data, *(v for v in layer.learnt if v in read))
    derivatives = vjp(program, seeds, wrt, gradient)
    learnt = [var for var in layer.learnt if var in read]
    weights = (*learnt, *(seeds[adjoint(var)] for var in learnt))
    products = weighted(derivation, weights)
    split = (*((p.var for p in products) if products else (dy,)), seeds[adjoint(layer.data)])
    coordinates = centred(derivation.chart, split, layer.reduced_axes)
    closing = Closing(coordinates, tuple(seeds.values()), products)
    closed = tuple(closing.close(d.var, d.expr, _reason(d)) for d in derivatives)
    stages, results = closed[: -len(wrt)], closed[-len(wrt) :]
    return SecondOrder(derivation, program, closing, stages, results)


def _reason(derivative: Derivative) -> Reason:
    through = tuple(dict.fromkeys(term.through for term in derivative.terms))
    return Reason("chain rule through " + ", ".join("{}" for _ in through), through)


def backward_program(derivation: Derivation) -> tuple[Definition, ...]:
    """The definitions that the closed gradients read, and then these."""
    layer = derivation.layer
    gradients = [derivation[adjoint(var).label].definition for var in layer.inputs]
    return (*statistics(layer, gradients), *gradients)


def statistics(layer: Layer, read_by: list[Definition]) -> tuple[Definition, ...]:
    """Those definitions of a layer that some formulas read, directly or through others."""
    labels = {var.label for d in read_by for var in variables(d.expr)}
    kept = []
    for definition in reversed(layer.definitions):
        if definition.var.label in labels:
            kept.append(definition)
            labels |= {var.label for var in variables(definition.expr)}
    return tuple(reversed(kept))

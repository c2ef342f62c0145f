"""Batch Norm's higher orders: the double backward, the Hessian, a third derivative.

The double backward is the vjp of the closed backward (:mod:`derive.second_order`); the others are
directional derivatives of y with respect to x (:mod:`derive.directional`).  μ and σ² depend on x in
all of them.  A framework that saves them in forward, and holds them constant when it differentiates
its backward again, gets other results.
"""

from __future__ import annotations

from sympy import Pow, sqrt

from derive.derivation import Derivation, derive
from derive.differentiate import vjp
from derive.directional import Order, directional, hessian
from derive.expr import Definition, SumOver, Var, add, adjoint, mul, substitute, tangent
from derive.jacobian import result_of
from derive.layers.batch_norm import BATCH_NORM, beta, c, eps, gamma, mu, n, var, x, y
from derive.normal_form import NormalForm
from derive.rules import Context
from derive.second_order import SecondOrder, cotangent, gradient
from derive.study import Prover, Section, Study
from derive.trace import Reason, Result, stated

p, q, potential = Var("p", n, c), Var("q", n, c), Var("F", c)
i, j, k = n, n.prime(), n.prime(2)
dx, dy = adjoint(x), adjoint(y)
v_dx, v_dgamma, v_dbeta = (cotangent(adjoint(of)) for of in (x, gamma, beta))


def _develop() -> tuple[Section, ...]:
    derivation = derive(BATCH_NORM)
    second = derivation.second_order
    _, bilinear = directional(derivation, (p, q))
    cubic = directional(derivation, (p, p, p))
    entry = hessian(derivation, bilinear, (p, q))
    return (
        _program(second),
        _double_backward(second),
        _hessian(second, bilinear, entry),
        _potential(derivation),
        _directional(cubic),
    )


def _program(second: SecondOrder) -> Section:
    """What is differentiated, and the names."""
    notes = {dx: "closed form of backward", y: "output"}
    program = [Definition(d.var, d.expr, d.note or notes.get(d.var, "")) for d in second.program]
    return Section(
        "Backward as a program",
        "of x, gamma and dl/dy; two means and three sums by name",
        (*program, *second.split, *second.sums),
        (),
        _prover(second.closing.normal_form()),
    )


def _double_backward(second: SecondOrder) -> Section:
    known = {d.var.label: d for d in second.program if d.var == dx}
    normal_form = second.closing.normal_form().knowing(known)
    tangents = {tangent(x): v_dx, tangent(gamma): v_dgamma, tangent(beta): v_dbeta}
    inserted = {dot.label: Definition(dot, value) for dot, value in tangents.items()}
    pushed = substitute(second.derivation.tangent.closed, inserted)
    g_dy, g_x, g_gamma = (result.var for result in second.results)
    facts = (
        stated(g_dy, pushed, normal_form, "backward is linear in {}: this is the jvp", dy),
        stated(
            mul(gamma, g_gamma), SumOver(mul(v_dx, dx), n), normal_form, "{} is a factor", gamma
        ),
        stated(SumOver(g_x, n), mul(0), normal_form, "a shift of the whole batch changes nothing"),
    )
    return Section(
        "Double backward",
        "its vjp for cotangents of its results; no statistic is constant",
        (*second.stages, *second.results, *facts),
        tuple(second.closing.written_out(result) for result in second.results),
        _prover(normal_form),
    )


def _hessian(second: SecondOrder, bilinear: Order, entry: Definition) -> Section:
    known = {d.var.label: d for d in (entry, *second.program) if d.var in (entry.var, dx)}
    known |= {d.var.label: d for d in bilinear.closing.coordinates.definitions}
    known |= bilinear.closing.known | bilinear.closing.sums
    normal_form = second.closing.normal_form().knowing(known)
    h = entry.var
    swapped, cycled = h.at(j, i, k, c), h.at(j, k, i, c)
    contracted = SumOver(mul(h, dy.at(j, c), v_dx.at(k, c)), j, k)
    rest = mul(v_dgamma, Pow(gamma, -1), dx)
    facts = (
        stated(h, swapped, normal_form, "symmetric in the first two indices"),
        stated(h, cycled, normal_form, "and so in all three indices"),
        stated(SumOver(h, k), mul(0), normal_form, "a shift of the whole batch changes nothing"),
        stated(gradient(x), add(contracted, rest), normal_form, "the double backward by {}", h),
    )
    return Section(
        "Hessian",
        "the second derivative of y along p and q, and with two deltas for them",
        (
            *bilinear.closing.coordinates.definitions,
            *(d for _, d in sorted(bilinear.closing.sums.items())),
            *bilinear.stages,
            bilinear.result,
            entry,
            *facts,
        ),
        (entry,),
        _prover(normal_form),
    )


def _potential(derivation: Derivation) -> Section:
    total = Definition(potential, mul(n.size, sqrt(add(var, eps))), "a function of x alone")
    program = (derivation.layer[mu.label], derivation.layer[var.label], total)
    known: dict[str, Definition] = {}
    results: list[Result] = []
    for derivative in vjp(program, {potential: mul(1)}, (x,), _slope):
        context = Context(derivation.normal_form.knowing(known))
        reason = Reason("chain rule through {}", (derivative.terms[0].through,))
        results.append(result_of(derivative, derivative.var, reason, context))
        known[derivative.var.label] = results[-1].definition
    return Section(
        "Why it is symmetric",
        "up to gamma and beta, y is the gradient F_x of one function",
        (total, *results),
        (),
        _prover(derivation.normal_form.knowing(known)),
    )


def _slope(of: Var) -> Var:
    return Var(f"F_{of.label}", *of.axes)


def _directional(orders: tuple[Order, ...]) -> Section:
    first = orders[0]
    known = {d.var.label: d for order in orders for d in order.closing.sums.values()}
    results = {r.var.label: r for order in orders for r in (*order.stages, order.result)}
    known |= {label: result.definition for label, result in results.items()}
    sums = [d for label, d in sorted(orders[-1].closing.sums.items())]
    return Section(
        "Along one direction",
        "the first three derivatives of y along p, from two sums",
        (*first.closing.coordinates.definitions, *sums, *results.values()),
        tuple(order.written_out for order in orders),
        _prover(first.closing.normal_form().knowing(known)),
    )


def _prover(normal_form: NormalForm) -> Prover:
    return lambda before, after: normal_form.zero(add(before, mul(-1, after)))


STUDY = Study(
    name="higher_orders",
    title="Batch Normalisation: higher orders",
    source="Ioffe & Szegedy 2015, Algorithm 1, differentiated again",
    layer=BATCH_NORM,
    shown=("n",),
    develop=_develop,
)

"""The Jacobian of a layer as u·R, and what is worth knowing about R.

The jvp with the tangent ẋᵢ = δᵢⱼ is ∂y/∂xⱼ.  Its content is u, its primitive part R, whatever the
layer; the facts are found by computing, and each is proved by normal form before it is stated.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from sympy import Expr, Integer, Pow

from derive.chart import Chart
from derive.closed_form import closed_form, factored
from derive.differentiate import Derivative, jvp
from derive.expr import (
    Axis,
    Definition,
    Delta,
    SumOver,
    Var,
    add,
    adjoint,
    free_axes,
    mul,
    rename,
    sorted_axes,
)
from derive.layer import Layer, LayerError
from derive.normal_form import NormalForm
from derive.polynomial import ONE, Monomial, name_of
from derive.rules import STAGE, Context, close, rewrite
from derive.trace import Fact, JacobianEntry, Reason, Result, certify


@dataclass(frozen=True)
class Eigenvalue:
    """An eigenvalue of R, its multiplicity, and its eigenvector (None: all that is orthogonal to
    the others)."""

    value: Expr
    multiplicity: Expr
    vector: Expr | None


@dataclass(frozen=True)
class Spectrum:
    """All eigenvalues of R, proved by their sum being the trace; valid where the vectors are not
    zero."""

    eigenvalues: tuple[Eigenvalue, ...]

    def rank(self, vanishing: tuple[Var, ...] = ()) -> Expr:
        """The rank of R; with ``vanishing``, its rank in the limit where those constants are 0."""
        zero = dict.fromkeys(vanishing, 0)
        return add(*(e.multiplicity for e in self.eigenvalues if e.value.xreplace(zero) != 0))


@dataclass(frozen=True)
class Jacobian:
    """∂y/∂x as u·R, and facts about R.

    ``entry`` is the Result for ∂yᵢ/∂xⱼ; ``u`` and ``R`` define its content and primitive part.
    ``intermediate`` holds the same derivative of each statistic and intermediate quantity.
    ``spectrum`` is None where R is not symmetric.
    """

    intermediate: tuple[Result, ...]
    entry: Result
    u: Definition
    R: Definition
    facts: tuple[Fact, ...]
    spectrum: Spectrum | None


def result_of(
    derivative: Derivative, lhs: Var | JacobianEntry, reason: Reason, context: Context
) -> Result:
    """A derivative with its certified steps."""
    staging = rewrite(derivative.expr, STAGE, context)
    staged = staging[-1].after if staging else derivative.expr
    return Result(derivative.var, lhs, derivative.expr, reason, staging, close(staged, context))


def jacobian_of(layer: Layer, chart: Chart, dx: Definition) -> Jacobian:
    """∂(every quantity)/∂x, u and R.  ``dx`` is the closed form of the chain rule's result."""
    axis = _row_axis(layer)
    column = axis.prime()
    wrt = wrt_of(layer, axis, column)
    known: dict[str, Definition] = {}
    results: list[Result] = []
    for derivative in jvp(layer.definitions, {layer.data: Delta(axis, column)}):
        context = Context(NormalForm(chart, known), known)
        of = layer[derivative.var.of].var
        reason = Reason("differentiate the definition of {}", (of,))
        result = result_of(derivative, JacobianEntry(of, wrt), reason, context)
        results.append(result)
        known[derivative.var.label] = result.definition
    *intermediate, entry = results
    normal_form = NormalForm(chart, known)
    parts = factored(normal_form.poly(entry.closed), normal_form)
    u = Definition(_named("u", parts.content), parts.content)
    R = Definition(_named("R", parts.primitive, axis, column), parts.primitive)  # noqa: N806 - R is its name
    names = NormalForm(chart, {"u": u, "R": R})
    certify(entry.closed, mul(u.var, R.var), names, "the Jacobian is u·R")
    facts = _facts(layer, names, u.var, R.var, dx)
    return Jacobian(tuple(intermediate), entry, u, R, facts, _spectrum(names, R.var))


def _row_axis(layer: Layer) -> Axis:
    """The one axis along which the entries of the data influence each other."""
    axes = layer.reduced_axes or layer.data.axes[:1]
    if len(axes) != 1:
        raise LayerError(
            f"{layer.name} sums over {len(axes)} axes; its Jacobian needs one: "
            "let a single axis run over all that is reduced"
        )
    if not {axes[0]} <= set(layer.data.axes) & set(layer.output.axes):
        raise LayerError(
            f"{layer.name}: {layer.data.name} and {layer.output.name} must both vary over "
            f"{axes[0]}, which is summed over, to have a square Jacobian"
        )
    return axes[0]


def _named(label: str, expr: Expr, *first: Axis) -> Var:
    rest = sorted_axes(free_axes(expr) - set(first))
    return Var(label, *first, *rest)


def _facts(
    layer: Layer,
    normal_form: NormalForm,
    u: Var,
    R: Var,  # noqa: N803 - R is its name
    dx: Definition,
) -> tuple[Fact, ...]:
    i, j, *rest = R.axes
    k = i.prime(2)

    def entry(row: Axis, column: Axis) -> Var:
        return R.at(row, column, *rest)

    def fact(says: str, lhs: Expr, *formulas: Expr) -> Fact:
        rhs = closed_form(lhs, normal_form)
        certify(lhs, rhs, normal_form, says)
        return Fact(lhs, rhs, Reason(says, formulas))

    dy = adjoint(layer.output)
    product = SumOver(mul(dy, u, entry(i, j)), i)
    column = dx.at(*(j if axis == i else axis for axis in dx.var.axes))
    certify(product, column, normal_form, "dx = dy·uR")
    facts = [
        Fact(
            product,
            adjoint(wrt_of(layer, i, j)),
            Reason("the chain rule's result is the cotangent times uR"),
        )
    ]
    if normal_form.zero(entry(i, j) - entry(j, i)):
        facts.append(Fact(entry(i, j), entry(j, i), Reason("R is symmetric")))
    facts.append(fact("R applied to a constant vector", SumOver(entry(i, j), j)))
    if (v := normal_form.chart.normalised) is not None:
        moved = v.at(*(j if axis == i else axis for axis in v.axes))
        facts.append(fact("R applied to {}", SumOver(mul(entry(i, j), moved), j), v))
    facts.append(fact("the trace of R", SumOver(entry(i, i), i)))
    facts.append(fact("R squared", SumOver(mul(entry(i, k), entry(k, j)), k)))
    return tuple(facts)


def wrt_of(layer: Layer, axis: Axis, column: Axis) -> Var:
    """The data at the column's index."""
    return layer.data.at(*(column if a == axis else a for a in layer.data.axes))


def _spectrum(normal_form: NormalForm, R: Var) -> Spectrum | None:  # noqa: N803 - R is its name
    """The eigenvalues of a symmetric R = κI − Σ_f (…)f fᵀ, from R applied to an arbitrary vector v.

    Sums of f·v are what separates R·v from κv: where they vanish R·v = κv, which leaves m − (number
    of f) dimensions; each f is then tried as an eigenvector.  None where this shape is not met.
    """
    i, j, *rest = R.axes
    if not normal_form.zero(R - R.at(j, i, *rest)):
        return None
    v = Var("(any vector)", i, *rest)
    poly = normal_form.poly(SumOver(mul(R, v.at(j, *rest)), j))
    bulk = {powers: c for powers, c in poly.items() if not _sums(powers)}
    sums = {total: None for powers in poly for total in _sums(powers)}
    if set(bulk) != {((v, 1),)}:
        return None
    vectors = [mul(total.body, Pow(v, -1)) for total in sorted(sums, key=name_of)]
    if any(vector.has(v) or not free_axes(vector) <= set(v.axes) for vector in vectors):
        return None
    kappa = normal_form.expr({ONE: bulk[((v, 1),)]})
    pairs = [(kappa, add(i.size, -len(vectors)), None)]
    for vector in vectors:
        image = SumOver(mul(R, rename(vector, {i: j})), j)
        value = normal_form.poly(mul(image, Pow(vector, -1)))
        if any(free_axes(g) & {i, j} for powers in value for g, _ in powers):
            return None
        pairs.append((factored(value, normal_form).expr, Integer(1), vector))
        certify(image, mul(pairs[-1][0], vector), normal_form, "eigenvector")
    for a, b in combinations(vectors, 2):
        if not normal_form.zero(SumOver(mul(a, b), i)):
            return None
    trace = SumOver(R.at(i, i, *rest), i)
    certify(
        trace,
        add(*(mul(value, count) for value, count, _ in pairs)),
        normal_form,
        "the eigenvalues add up to the trace",
    )
    return Spectrum(tuple(Eigenvalue(*pair) for pair in pairs))


def _sums(powers: Monomial) -> list[SumOver]:
    return [generator for generator, _ in powers if isinstance(generator, SumOver)]

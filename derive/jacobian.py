"""The Jacobian of a layer as u·R, and what is worth knowing about R.

The jvp with the tangent ẋᵢ = δᵢⱼ is ∂y/∂xⱼ.  Its content is u, its primitive part R, whatever the
layer; the facts are found by computing, and each is proved by normal form before it is stated.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

from sympy import Expr, Integer, Mul, Pow

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
from derive.layer import Layer
from derive.normal_form import NormalForm
from derive.polynomial import ONE, Monomial, name_of
from derive.rules import STAGE, Context, close, rewrite
from derive.trace import Fact, JacobianEntry, Reason, Result, certify, stated


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

    ``rows`` are the axes along which entries of the data influence each other, ``columns`` the same
    at the index of the data.  ``entry`` is the Result for ∂yᵢ/∂xⱼ; ``u`` and ``R`` define its
    content and primitive part.
    ``intermediate`` holds the same derivative of each statistic and intermediate quantity.
    ``spectrum`` is None where R is not symmetric.
    """

    rows: tuple[Axis, ...]
    columns: tuple[Axis, ...]
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


def jacobian_of(layer: Layer, normal_form: NormalForm, dx: Definition) -> Jacobian | None:
    """∂(every quantity)/∂x, u and R.  ``dx`` is the closed form of the chain rule's result.

    None where the output does not vary over the axes of the data, and no square matrix is meant.
    """
    if set(layer.data.axes) != set(layer.output.axes):
        return None
    rows = layer.reduced_axes or layer.data.axes[:1]
    columns = tuple(axis.prime() for axis in rows)
    wrt = wrt_of(layer, rows, columns)
    seed = mul(*(Delta(row, column) for row, column in zip(rows, columns, strict=True)))
    results: list[Result] = []
    for derivative in jvp(layer.definitions, {layer.data: seed}):
        of = layer[derivative.var.of].var
        reason = Reason("differentiate the definition of {}", (of,))
        result = result_of(derivative, JacobianEntry(of, wrt), reason, Context(normal_form))
        results.append(result)
        normal_form = normal_form.knowing({derivative.var.label: result.definition})
    *intermediate, entry = results
    parts = factored(normal_form.poly(entry.closed), normal_form)
    factors = Mul.make_args(parts.content)
    deltas = [factor for factor in factors if isinstance(factor, Delta)]  # they belong to R
    scale = mul(*(factor for factor in factors if factor not in deltas))
    primitive = mul(*deltas, parts.primitive)
    u = Definition(_named("u", scale), scale)
    R = Definition(_named("R", primitive, *rows, *columns), primitive)  # noqa: N806 - R is its name
    names = normal_form.knowing({"u": u, "R": R})
    certify(entry.closed, mul(u.var, R.var), names, "the Jacobian is u·R")
    matrix = _Matrix(R.var, rows, columns, names)
    facts = _facts(layer, matrix, u.var, dx)
    return Jacobian(rows, columns, tuple(intermediate), entry, u, R, facts, _spectrum(matrix))


@dataclass(frozen=True)
class _Matrix:
    """R with its indices, and a normal form that knows what it is."""

    var: Var
    rows: tuple[Axis, ...]
    columns: tuple[Axis, ...]
    normal_form: NormalForm

    @property
    def others(self) -> tuple[Axis, ...]:
        """Indices that R varies over, but not as a matrix."""
        return self.var.axes[2 * len(self.rows) :]

    def at(self, rows: tuple[Axis, ...], columns: tuple[Axis, ...]) -> Var:
        return self.var.at(*rows, *columns, *self.others)

    def moved(self, expr: Expr) -> Expr:
        """An expression over the rows' indices, at the columns'."""
        return rename(expr, dict(zip(self.rows, self.columns, strict=True)))

    def symmetric(self) -> bool:
        return self.normal_form.zero(self.var - self.at(self.columns, self.rows))


def _named(label: str, expr: Expr, *first: Axis) -> Var:
    rest = sorted_axes(free_axes(expr) - set(first))
    return Var(label, *first, *rest)


def _facts(layer: Layer, matrix: _Matrix, u: Var, dx: Definition) -> tuple[Fact, ...]:
    rows, columns, normal_form = matrix.rows, matrix.columns, matrix.normal_form
    between = tuple(axis.prime(2) for axis in rows)
    R = matrix.var  # noqa: N806 - R is its name

    def fact(says: str, lhs: Expr, *formulas: Expr) -> Fact:
        return stated(lhs, closed_form(lhs, normal_form), normal_form, says, *formulas)

    product = SumOver(mul(adjoint(layer.output), u, R), *rows)
    certify(product, matrix.moved(dx.expr), normal_form, "dx = dy·uR")
    facts = [
        Fact(
            product,
            adjoint(wrt_of(layer, rows, columns)),
            Reason("the chain rule's result is the cotangent times uR"),
        )
    ]
    if matrix.symmetric():
        facts.append(Fact(R, matrix.at(columns, rows), Reason("R is symmetric")))
    facts.append(fact("R applied to a constant vector", SumOver(R, *columns)))
    if (v := normal_form.chart.normalised) is not None:
        facts.append(fact("R applied to {}", SumOver(mul(R, matrix.moved(v)), *columns), v))
    facts.append(fact("the trace of R", SumOver(matrix.at(rows, rows), *rows)))
    squared = SumOver(mul(matrix.at(rows, between), matrix.at(between, columns)), *between)
    facts.append(fact("R squared", squared))
    return tuple(facts)


def wrt_of(layer: Layer, rows: tuple[Axis, ...], columns: tuple[Axis, ...]) -> Var:
    """The data at the column's index."""
    moved = dict(zip(rows, columns, strict=True))
    return layer.data.at(*(moved.get(axis, axis) for axis in layer.data.axes))


def _spectrum(matrix: _Matrix) -> Spectrum | None:
    """The eigenvalues of a symmetric R = κI − Σ_f (…)f fᵀ, from R applied to an arbitrary vector v.

    Sums of f·v are what separates R·v from κv: where they vanish R·v = κv, which leaves m − (number
    of f) dimensions; each f is then tried as an eigenvector.  None where this shape is not met.
    """
    rows, columns, normal_form = matrix.rows, matrix.columns, matrix.normal_form
    R = matrix.var  # noqa: N806 - R is its name
    if not matrix.symmetric():
        return None
    v = Var("(any vector)", *rows, *matrix.others)
    poly = normal_form.poly(SumOver(mul(R, matrix.moved(v)), *columns))
    bulk = {powers: c for powers, c in poly.items() if not _sums(powers)}
    sums = {total: None for powers in poly for total in _sums(powers)}
    if set(bulk) != {((v, 1),)}:
        return None
    vectors = [mul(_innermost(total), Pow(v, -1)) for total in sorted(sums, key=name_of)]
    if any(vector.has(v) or not free_axes(vector) <= set(v.axes) for vector in vectors):
        return None
    kappa = normal_form.expr({ONE: bulk[((v, 1),)]})
    size = mul(*(row.size for row in rows))
    pairs = [(kappa, add(size, -len(vectors)), None)]
    for vector in vectors:
        image = SumOver(mul(R, matrix.moved(vector)), *columns)
        value = normal_form.poly(mul(image, Pow(vector, -1)))
        if any(free_axes(g) & {*rows, *columns} for powers in value for g, _ in powers):
            return None
        pairs.append((factored(value, normal_form).expr, Integer(1), vector))
        certify(image, mul(pairs[-1][0], vector), normal_form, "eigenvector")
    for a, b in combinations(vectors, 2):
        if not normal_form.zero(SumOver(mul(a, b), *rows)):
            return None
    trace = SumOver(matrix.at(rows, rows), *rows)
    certify(
        trace,
        add(*(mul(value, count) for value, count, _ in pairs)),
        normal_form,
        "the eigenvalues add up to the trace",
    )
    return Spectrum(tuple(Eigenvalue(*pair) for pair in pairs))


def _innermost(expr: Expr) -> Expr:
    """The summand of a sum over several axes, which the normal form writes as sums of sums."""
    return _innermost(expr.body) if isinstance(expr, SumOver) else expr


def _sums(powers: Monomial) -> list[SumOver]:
    return [generator for generator, _ in powers if isinstance(generator, SumOver)]

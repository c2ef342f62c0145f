"""Random expressions, other ways of writing them, and exact points to evaluate them at.

Every test of the engine's algebra asks the same question: is the value still the same?  Values come
from plain loops over a prime field (:mod:`verify.evaluate`), which know no rule of the engine.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache
from itertools import product
from random import Random

from hypothesis import settings
from hypothesis import strategies as st
from sympy import Add, Expr, Integer, Mul, Pow, Rational

from derive.chart import Chart
from derive.coordinates import chart_of
from derive.expr import (
    HALF,
    Axis,
    Definition,
    Delta,
    SumOver,
    Var,
    add,
    adjoint,
    avoid,
    free_axes,
    mul,
    variables,
)
from derive.layer import Layer
from derive.layers import LAYERS
from derive.layers.batch_norm import beta, c, eps, gamma, mu, n, var, x, x_hat, y
from derive.normal_form import NormalForm
from tests.altered import ALTERED
from verify.evaluate import evaluate
from verify.exact import Point, draw
from verify.fields import PRIME_FIELD, Index, Scalar
from verify.references import REFERENCES, Reference

FEW = settings(max_examples=30, deadline=None, derandomize=True)
MANY = settings(max_examples=80, deadline=None, derandomize=True)

n1, n2, c1 = n.prime(), n.prime(2), c.prime()
m, dy = n.size, adjoint(y)
std = Pow(add(var, eps), HALF)
INDICES: tuple[dict[Axis, int], ...] = (
    {n: 0, n1: 1, n2: 2, c: 1, c1: 0},
    {n: 2, n1: 2, n2: 0, c: 0, c1: 0},
)


def made_of(
    leaves: Sequence[Expr], size: int = 6, axes: tuple[Axis, ...] = (n, c)
) -> st.SearchStrategy[Expr]:
    """Sums, products, squares and sums over axes of the leaves; axes are bound inside one another
    and beside their own free index."""
    over = st.sampled_from([(axes[0],), (axes[0].prime(),), (axes[1],), (axes[1].prime(),), axes])

    def grow(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
        some = st.lists(inner, min_size=2, max_size=3)
        return st.one_of(
            some.map(lambda terms: add(*terms)),
            some.map(lambda factors: mul(*factors)),
            inner.map(lambda base: Pow(base, 2)),
            st.builds(lambda body, bound: SumOver(body, *bound), inner, over),
            st.builds(lambda body, bound: SumOver(body, *bound), inner, over),
        )

    return st.recursive(st.sampled_from(leaves), grow, max_leaves=size)


NUMBERS: tuple[Expr, ...] = (Integer(-1), Integer(2), Rational(-3, 2))
PLAIN: tuple[Expr, ...] = (*NUMBERS, x, x.at(n1, c), x.at(n, c1), gamma, m, Delta(n, n1), c.size)
NORMALISED: tuple[Expr, ...] = (
    *(*NUMBERS, m, Pow(m, -1), eps, mu, var, gamma, beta, Pow(gamma, -1), std, Pow(std, -1)),
    *(x, x_hat, y, dy, x.at(n1, c), x_hat.at(n1, c), Delta(n, n1)),
)
plain = made_of(PLAIN)
normalised = made_of(NORMALISED)


# --- Values ---------------------------------------------------------------------------------------


def table(of: Var, expr: Expr, outer: Mapping[Axis, int]) -> dict[Index, Scalar]:
    """The values of a formula for a quantity, at each of its indices."""
    ranges = [range(SIZES[axis.size.name]) for axis in of.axes]
    return {
        at: evaluate(
            expr, PRIME_FIELD, VALUES, SIZES, {**outer, **dict(zip(of.axes, at, strict=True))}
        )
        for at in product(*ranges)
    }


SIZES = {"m": 3, "C": 2}
_rng = Random(0)
VALUES: dict[str, dict[Index, Scalar]] = {
    var.label: {
        at: PRIME_FIELD.random(_rng)
        for at in product(*(range(SIZES[axis.size.name]) for axis in var.axes))
    }
    for var in (x, gamma)
}


def value(expr: Expr, index: Mapping[Axis, int], **others: Mapping[Index, Scalar]) -> Scalar:
    """The value of an expression over ``PLAIN`` leaves; ``others`` replace values by label."""
    return evaluate(expr, PRIME_FIELD, {**VALUES, **others}, SIZES, index)


def subject(name: str) -> tuple[Layer, Reference]:
    """A layer, shipped or altered, and its definition once more."""
    return ALTERED[name] if name in ALTERED else (LAYERS[name], REFERENCES[name])


@cache
def points(name: str) -> tuple[Point, ...]:
    """Points at which a layer's definitions hold, for two sizes of the batch."""
    layer, reference = subject(name)
    return tuple(draw(layer, reference, PRIME_FIELD, size, Random(size)) for size in (3, 4))


@cache
def normal_form_of(name: str) -> NormalForm:
    """One normal form for all tests: it only remembers what it has computed."""
    return NormalForm(chart_of(subject(name)[0]))


def values(expr: Expr, name: str = "batch_norm") -> list[Scalar]:
    """The values of an expression in a layer's quantities and root generators."""
    chart = normal_form_of(name).chart
    shown = chart.display(expr)
    found = []
    for point in points(name):
        for quantity in variables(shown):
            point.values[quantity.label] = point.entries(quantity)
        found += [point.evaluator.at(shown, index) for index in _indices(point)]
    return found


def _indices(point: Point) -> list[dict[Axis, int]]:
    """Two places: all indices different where there are enough, and the first two equal."""
    found: list[dict[Axis, int]] = []
    for places in ((0, 1, 2), (1, 1, 0)):
        index: dict[Axis, int] = {}
        for axis in point.layer.axes:
            size = point.sizes[axis.size.name]
            index |= {axis.prime(k) if k else axis: at % size for k, at in enumerate(places)}
        found.append(index)
    return found


# --- The same expression, written differently -----------------------------------------------------


def rewritten(expr: Expr, random: Random, layer: Layer, chart: Chart) -> Expr:
    """An expression of the same value: commuted, distributed, sums split, constants moved in and
    out, bound indices renamed, x replaced by μ + x̂√(σ²+ε) and y by its definition."""
    if isinstance(expr, Var):
        return _unfolded(expr, random, layer, chart)
    if isinstance(expr, SumOver):
        return _resummed(rewritten(expr.body, random, layer, chart), expr.axes, random)
    if not isinstance(expr, Add | Mul | Pow):
        return expr
    args = [rewritten(arg, random, layer, chart) for arg in expr.args]
    random.shuffle(args) if not isinstance(expr, Pow) else None
    if isinstance(expr, Pow):
        return Mul(args[0], args[0], evaluate=False) if args[1] == 2 else Pow(*args)
    if isinstance(expr, Mul):
        return _multiplied(args, random)
    return random.choice((add, Add))(*args)


def _unfolded(var: Var, random: Random, layer: Layer, chart: Chart) -> Expr:
    if random.random() < 0.5:
        return var
    if chart.solved is not None and var.label == chart.solved.var.label:
        return chart.display(chart.solved.at(*var.axes))
    if var.label == layer.output.label:
        return layer[var.label].at(*var.axes)
    return var


def _multiplied(factors: list[Expr], random: Random) -> Expr:
    way = random.choice(("distribute", "move in", "leave"))
    for at, factor in enumerate(factors):
        rest = factors[:at] + factors[at + 1 :]
        if way == "distribute" and isinstance(factor, Add):
            return Add(*(Mul(*rest, term) for term in factor.args))
        if way == "move in" and isinstance(factor, SumOver):
            taken = frozenset[Axis]().union(*(free_axes(f) for f in rest))
            safe = avoid(factor, taken)
            moved: Expr = SumOver(mul(*rest, safe.body), *safe.axes)
            return moved
    return random.choice((mul, Mul))(*factors)


def _resummed(body: Expr, axes: tuple[Axis, ...], random: Random) -> Expr:
    way = random.choice(("split", "move out", "rename", "nest", "leave"))
    if way == "split" and isinstance(body, Add):
        return add(*(SumOver(term, *axes) for term in body.args))
    if way == "move out" and isinstance(body, Mul):
        outside = [f for f in body.args if not free_axes(f) & set(axes)]
        inside = [f for f in body.args if f not in outside]
        return mul(*outside, SumOver(mul(*inside), *axes))
    if way == "nest":
        for axis in random.sample(axes, len(axes)):
            body = SumOver(body, axis)
        return body
    total: Expr = SumOver(body, *axes)
    if way == "rename" and isinstance(total, SumOver):
        return avoid(total, frozenset(axes))
    return total


def replacement(of: Var, expr: Expr) -> dict[str, Definition]:
    """A substitution table with one entry."""
    return {of.label: Definition(of, expr)}

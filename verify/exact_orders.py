"""The study of higher orders against dual numbers in dual numbers.

Nothing of derive's differentiation is used.  The definition of Batch Norm
(:mod:`verify.references`) is run on nested dual numbers over both exact fields, statistics and all:

* the double backward: with x, γ, β moved along v_dx, v_dγ, v_dβ inside and one entry of dy, x or γ
  outside, the loss Σ dy y has the mixed part g_dy, g_x or g_γ of that entry;
* D₁y, D₂y, D₃y: one, two or three levels, moved along the directions; H: two, along unit vectors;
* the stages: a backward pass written by hand, with one entry of an intermediate moved.

What every quantity is at a point becomes a table of values, and each definition, step and fact of
the study is evaluated by loops (:mod:`verify.evaluate`) and compared, with no tolerance: *exact*.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import product
from random import Random

from sympy import Expr

from derive.expr import Axis, Definition, Var, adjoint, free_axes, sorted_axes, tangent
from derive.layers.batch_norm import BATCH_NORM
from derive.study import Entry, Section
from derive.trace import Fact, Result
from verify.duals import Duals
from verify.evaluate import Evaluator
from verify.exact import Counterexample, Outcome, draw, moved_run, run
from verify.fields import FIELDS, Arithmetic, Field, Index, OutsideTheField, Scalar, Values
from verify.references import REFERENCES, Forward, Node, extents

REFERENCE = REFERENCES[BATCH_NORM.name]
SAMPLES = 5  # indices tried of each statement, size and field; of the Hessian all

Table = Mapping[Index, Scalar]
Parts = dict[str, Table]


def check(sections: Sequence[Section], sizes: Iterable[int], seed: int) -> Iterator[Outcome]:
    """One outcome for each field and quantity of a section; ``sizes`` are values of m."""
    sizes = list(sizes)
    for over in FIELDS:
        points = [point(over.name, m, seed) for m in sizes]
        for section, kind in zip(sections, KINDS, strict=True):
            tables = [getattr(p, kind) for p in points]
            for name, lhs, forms in _statements(section):
                yield _compare(f"{section.title}: {name}", over, points, tables, lhs, forms)


def _statements(section: Section) -> Iterator[tuple[str, Expr, list[Expr]]]:
    for entry in section.entries:
        yield _statement(entry)
    for definition in section.conclusions:
        yield definition.var.label, definition.var, [definition.expr]


def _statement(entry: Entry) -> tuple[str, Expr, list[Expr]]:
    if isinstance(entry, Fact):
        return "facts", entry.lhs, [entry.rhs]
    if isinstance(entry, Result):
        return entry.var.label, entry.var, [entry.start, *(step.after for step in entry.steps)]
    assert isinstance(entry, Definition)
    return entry.var.label, entry.var, [entry.expr]


def _compare(
    name: str,
    over: Field,
    points: Sequence[Truth],
    tables: Sequence[Values],
    lhs: Expr,
    forms: Sequence[Expr],
) -> Outcome:
    cases, misses = 0, []
    axes = sorted_axes(free_axes(lhs).union(*(free_axes(form) for form in forms)))
    for at, table in zip(points, tables, strict=True):
        evaluator = Evaluator(over, table, at.sizes)
        ranges = [range(at.sizes[axis.size.name]) for axis in axes]
        places = list(product(*ranges))
        rng = Random(f"{name} {at.sizes}")
        several = len({axis.base for axis in axes}) < len(axes)
        count = len(places) if several else min(SAMPLES, len(places))
        for place in rng.sample(places, count):
            index = dict(zip(axes, place, strict=True))
            expected = evaluator.at(lhs, index)
            for form in forms:
                cases += 1
                got = _value(evaluator, form, index)
                if got != expected:
                    where = tuple((axis.name, position) for axis, position in index.items())
                    sizes = tuple(sorted(at.sizes.items()))
                    misses.append(Counterexample(sizes, where, str(expected), str(got)))
    return Outcome(name, over.name, cases, len(misses), misses[0] if misses else None)


def _value(evaluator: Evaluator, form: Expr, index: Mapping[Axis, int]) -> Scalar:
    try:
        return evaluator.at(form, index)
    except (OutsideTheField, ZeroDivisionError) as reason:
        return str(reason)


# --- What is true at a point ----------------------------------------------------------------------

KINDS = (
    "backward",
    "backward",
    "bilinear",
    "bilinear",
    "cubic",
)  # the tables of the study's sections


@dataclass(frozen=True)
class Truth:
    """One point.  ``backward`` has what the sections about it mention, by label; ``bilinear`` what
    D₂y along p and q does, ``cubic`` what D₃y along p does."""

    sizes: Mapping[str, int]
    backward: Values
    bilinear: Values
    cubic: Values


@cache
def point(field: str, m: int, seed: int = 0) -> Truth:
    """A random point over the field of that name, and everything that is true there."""
    (over,) = (each for each in FIELDS if each.name == field)
    rng = Random(f"higher orders {field} {m} {seed}")
    drawn = draw(BATCH_NORM, REFERENCE, over, m, rng)
    x, channel = drawn.given["x"], drawn.given["gamma"]

    def random(like: Table) -> dict[Index, Scalar]:
        return {at: over.random(rng) for at in like}

    dy = drawn.directions[adjoint(BATCH_NORM.output).label]
    v = {"v_dx": random(x), "v_dgamma": random(channel), "v_dbeta": random(channel)}
    p, q = random(x), random(x)
    known = {**drawn.known, "dy": dy, **v, "p": p, "q": q}
    backward = {
        **known,
        **{f"d{name}": drawn.entries(adjoint(Var(name))) for name in ("x", "gamma", "beta")},
        **_stages(over, known),
        **double_backward(over, drawn.given, dy, v),
        **_centred(over, known, ("dy", "v_dx")),
    }
    entry = {"H": _hessian(over, drawn.given)}
    bilinear = {
        **backward,
        **_centred(over, known, ("p", "q")),
        **_along(over, drawn.given, (p, q)),
        **entry,
        **_potential(over, drawn.given),
    }
    cubic = {**known, **_centred(over, known, ("p",)), **_along(over, drawn.given, (p, p, p))}
    return Truth(drawn.sizes, backward, bilinear, cubic)


def double_backward(
    over: Arithmetic,
    given: Values,
    dy: Table,
    v: Values,
    forward: Forward = REFERENCE.forward,
    output: str = "y",
) -> Parts:
    """g_dy, g_x and g_γ from the definition alone; ``v`` has a cotangent for each input."""
    inner = Duals(over)
    outer = Duals(inner)

    def moving(label: str) -> dict[Index, Scalar]:
        along = v[f"v_d{label}"]
        return {at: inner.variable(value, along[at]) for at, value in given[label].items()}

    inside = {
        label: moving(label) if f"v_d{label}" in v else _still(inner, table)
        for label, table in given.items()
    }
    weights, name = _still(inner, dy), f"d{output}"
    moved_ones = (label for label in given if f"v_d{label}" in v and label != "beta")
    entries = {name: dy, **{label: given[label] for label in moved_ones}}
    found: Parts = {}
    for label, values in entries.items():
        gradient: dict[Index, Scalar] = {}
        for at in values:
            every = {**inside, name: weights}
            moved = {known: _still(outer, table) for known, table in every.items()}
            moved[label][at] = outer.variable(moved[label][at].re)
            y = run(forward, outer, moved)[output]
            loss = sum(moved[name][i] * value for i, value in y.items())
            gradient[at] = inner.derivative(outer.derivative(loss))
        found[f"g_{label}"] = gradient
    return found


def _still(duals: Duals, table: Table) -> dict[Index, Scalar]:
    """The table as dual numbers that do not move."""
    zero = duals.base.number(0)
    return {at: duals.variable(value, zero) for at, value in table.items()}


def directional(
    over: Arithmetic,
    given: Values,
    directions: Sequence[Table],
    forward: Forward = REFERENCE.forward,
    data: str = "x",
    output: str = "y",
) -> Table:
    """The derivative of y along all the directions, one after the other, from the definition."""
    numbers: Arithmetic = over
    levels: list[Duals] = []
    x: Table = given[data]
    others = {label: dict(table) for label, table in given.items() if label != data}
    for direction in directions:
        duals = Duals(numbers)
        x = {at: duals.variable(value, _constant(levels, direction[at])) for at, value in x.items()}
        others = {label: _still(duals, table) for label, table in others.items()}
        levels.append(duals)
        numbers = duals
    found: Table = run(forward, numbers, {**others, data: x})[output]
    for duals in reversed(levels):
        found = {at: duals.derivative(value) for at, value in found.items()}
    return found


def _constant(levels: Sequence[Duals], value: Scalar) -> Scalar:
    """A number as one of the innermost nested dual numbers so far, which does not move."""
    for duals in levels:
        value = duals.variable(value, duals.base.number(0))
    return value


def _along(over: Arithmetic, given: Values, directions: Sequence[Table]) -> Parts:
    """D₁y, D₂y, …, and the tangents of the statistics along the last direction."""
    orders = range(1, len(directions) + 1)
    found = {f"D{k}y": directional(over, given, directions[:k]) for k in orders}
    duals = Duals(over)
    moved = {at: duals.variable(value, directions[-1][at]) for at, value in given["x"].items()}
    pushed = run(REFERENCE.forward, duals, {**given, "x": moved})
    for label in ("mu", "var", "x_hat"):
        of = tangent(Var(label)).label
        found[of] = {at: duals.derivative(value) for at, value in pushed[label].items()}
    rows, channels = extents(given["x"])
    rest = _centred(over, {"x": given["x"], "x_hat": given["x"], "p": directions[0]}, ("p",))["p_c"]
    found["S_p_xhat_dot"] = {
        (c,): sum(rest[n, c] * found["x_hat_dot"][n, c] for n in rows) for c in channels
    }
    return found


def _hessian(over: Arithmetic, given: Values) -> dict[Index, Scalar]:
    """∂²y[i, c]/∂x[j, c]∂x[k, c] as [i, j, k, c], all channels at once."""
    zero, one = over.number(0), over.number(1)
    rows = extents(given["x"])[0]

    def unit(row: int) -> dict[Index, Scalar]:
        return {at: one if at[0] == row else zero for at in given["x"]}

    found: dict[Index, Scalar] = {}
    for j, k in product(rows, rows):
        for (i, c), value in directional(over, given, (unit(j), unit(k))).items():
            found[i, j, k, c] = value
    return found


def _centred(over: Arithmetic, known: Values, labels: Sequence[str]) -> Parts:
    """Means, what is left of them, and the sums by name."""
    rows, channels = extents(known["x"])
    m = over.number(len(rows))
    found: Parts = {}
    rest: dict[str, Table] = {"xhat": known["x_hat"]}
    for label in labels:
        values = known[label]
        means: dict[Index, Scalar] = {(c,): sum(values[n, c] for n in rows) / m for c in channels}
        left = {at: value - means[at[1:]] for at, value in values.items()}
        found |= {f"mean_{label}": means, f"{label}_c": left}
        rest[label.replace("_", "")] = left
    names = sorted(rest)
    for first, second in product(names, names):
        name = f"S_{first}2" if first == second else f"S_{first}_{second}"
        found[name] = {
            (c,): sum(rest[first][n, c] * rest[second][n, c] for n in rows) for c in channels
        }
    return found


# --- Programs by hand -----------------------------------------------------------------------------


def backward_by_hand(numbers: Arithmetic, given: Values, node: Node) -> None:
    """The closed backward as a program of x, γ and dy, its statistics included."""
    x, gamma, dy = given["x"], given["gamma"], given["dy"]
    rows, channels = extents(x)
    for c in channels:
        mu = node("mu", (c,), sum(x[n, c] for n in rows) / len(rows))
        var = node("var", (c,), sum((x[n, c] - mu) ** 2 for n in rows) / len(rows))
        std = numbers.sqrt(var + given["eps"][()])
        hats = {n: node("x_hat", (n, c), (x[n, c] - mu) / std) for n in rows}
        total = sum(dy[n, c] for n in rows)
        weighted = sum(dy[n, c] * hats[n] for n in rows)
        node("dbeta", (c,), total)
        node("dgamma", (c,), weighted)
        for n in rows:
            term = dy[n, c] * len(rows) - total - hats[n] * weighted
            node("dx", (n, c), gamma[c,] * term / (std * len(rows)))


def _stages(over: Arithmetic, known: Values) -> Parts:
    """The adjoints of x̂, σ² and μ in that program."""
    duals = Duals(over)
    given = {label: known[label] for label in ("x", "gamma", "dy", "eps")}
    found: Parts = {}
    for label in ("x_hat", "var", "mu"):
        found[f"g_{label}"] = {
            at: _response(duals, known, moved_run(backward_by_hand, duals, given, label, at))
            for at in known[label]
        }
    return found


def _response(duals: Duals, known: Values, traced: Values) -> Scalar:
    terms = (
        known[f"v_{label}"][at] * duals.derivative(value)
        for label in ("dx", "dgamma", "dbeta")
        for at, value in traced[label].items()
    )
    return sum(terms)


def potential_by_hand(numbers: Arithmetic, given: Values, node: Node) -> None:
    """F = m√(σ²+ε) of each channel."""
    x = given["x"]
    rows, channels = extents(x)
    for c in channels:
        mu = node("mu", (c,), sum(x[n, c] for n in rows) / len(rows))
        var = node("var", (c,), sum((x[n, c] - mu) ** 2 for n in rows) / len(rows))
        node("F", (c,), numbers.sqrt(var + given["eps"][()]) * len(rows))


def _potential(over: Arithmetic, given: Values) -> Parts:
    duals = Duals(over)
    traced = run(potential_by_hand, over, given)
    found: Parts = {"F": dict(traced["F"])}
    for label, entries in {"x": given["x"], "mu": traced["mu"], "var": traced["var"]}.items():
        found[f"F_{label}"] = {
            at: sum(
                duals.derivative(value)
                for value in moved_run(potential_by_hand, duals, given, label, at)["F"].values()
            )
            for at in entries
        }
    return found

"""The exact oracle: does a claimed formula equal the true derivative at random exact points?

The truth comes from running a separately written definition (:mod:`verify.references`) on dual
numbers over the rationals and over a prime field; the claim is evaluated by loops
(:mod:`verify.evaluate`).  Neither uses any rule of the symbolic engine.  Equality has no
tolerance.  It holds at sampled sizes m and points: *exact*, where the engine's own proof by normal
form, for every m, is called *proved*.

The loss is sum dy y with a random cotangent dy.  With dy = 1 Batch Norm's true dx is zero, and a
formula that lacks a term would pass.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import combinations, product
from random import Random
from types import MappingProxyType

from sympy import Expr

from derive.errors import InputError
from derive.expr import Axis, Var, adjoint, free_axes, sorted_axes, tangent, variables
from derive.layer import Layer
from verify.duals import Duals
from verify.evaluate import Evaluator
from verify.fields import (
    FIELDS,
    RATIONALS,
    Arithmetic,
    Field,
    Index,
    NotASquare,
    OutsideTheField,
    Scalar,
    Values,
)
from verify.references import Forward, Reference, any_point

DRAWS = 1000  # attempts at a point whose radicands are squares; four radicals need about 16
SAMPLES = 6  # indices tried per claim, size and field; all of them where there are fewer
OTHER_SIZE = 2  # the size of an axis that the layer does not reduce


@dataclass(frozen=True)
class Claim:
    """``var`` equals ``expr``; with ``wrt``, the derivative d var / d wrt does.

    By the role of ``var``: a value, an adjoint dl/dv of an input or an intermediate, or a tangent.
    The indices of a Jacobian are told apart by priming: var = y[n,c], wrt = x[n',c].  ``expr``
    may mention inputs, parameters, defined values, and the adjoint and tangent of any of them.
    """

    name: str
    var: Var
    expr: Expr
    wrt: Var | None = None

    @property
    def axes(self) -> tuple[Axis, ...]:
        """Every axis that the claim is made for each index of."""
        return tuple(dict.fromkeys((*self.var.axes, *(self.wrt.axes if self.wrt else ()))))


@dataclass(frozen=True)
class Counterexample:
    """The first place at which a claim fails; numbers as text."""

    sizes: tuple[tuple[str, int], ...]
    index: tuple[tuple[str, int], ...]
    expected: str
    got: str


@dataclass(frozen=True)
class Outcome:
    """What became of one claim over one field.

    ``skipped`` says why nothing was compared, or from which size on.
    """

    claim: str
    field: str
    cases: int
    failures: int
    counterexample: Counterexample | None = None
    skipped: str = ""


def confirmed(outcomes: Iterable[Outcome]) -> bool:
    """Whether every claim was compared over some field and held wherever it was compared."""
    outcomes = list(outcomes)
    compared = {outcome.claim for outcome in outcomes if outcome.cases}
    return bool(compared) and all(o.claim in compared and not o.failures for o in outcomes)


def check(
    layer: Layer,
    claims: Sequence[Claim],
    reference: Reference,
    *,
    sizes: Iterable[int] = range(2, 13),
    seed: int = 0,
) -> list[Outcome]:
    """Compare every claim with the reference, over every field, at every size.

    ``sizes`` are those of the axis that the layer reduces.  One outcome per field and claim.
    Raises InputError if a claim mentions what neither the layer nor the reference knows.
    """
    sizes = list(sizes)
    outcomes = []
    for number_field in FIELDS:
        rng = Random(f"{layer.name} {number_field.name} {seed}")
        points, why = [], ""
        for m in sizes:
            try:
                points.append(draw(layer, reference, number_field, m, rng))
            except OutsideTheField as reason:
                why = f"from m = {m}: {reason}" if points else str(reason)
                break
        compared = (_compare(claim, number_field.name, points, rng) for claim in claims)
        outcomes += [replace(outcome, skipped=why) for outcome in compared]
    return outcomes


def _compare(claim: Claim, over: str, points: Sequence[Point], rng: Random) -> Outcome:
    cases, misses = 0, []
    for point in points:
        for index in _sample(claim, point, rng):
            cases += 1
            expected = point.expected(claim, index)
            got = point.claimed(claim, index)
            if expected != got:
                where = tuple((axis.name, position) for axis, position in index.items())
                sizes = tuple(sorted(point.sizes.items()))
                misses.append(Counterexample(sizes, where, str(expected), str(got)))
    return Outcome(claim.name, over, cases, len(misses), misses[0] if misses else None)


def _sample(claim: Claim, point: Point, rng: Random) -> list[dict[Axis, int]]:
    """All indices, or some: as many with n = n' as without, since a Jacobian differs there."""
    ranges = [range(point.sizes[axis.size.name]) for axis in claim.axes]
    indices = [dict(zip(claim.axes, at, strict=True)) for at in product(*ranges)]
    if len(indices) <= SAMPLES:
        return indices
    pairs = [(a, b) for a, b in combinations(claim.axes, 2) if a.base == b.base]
    groups: dict[tuple[bool, ...], list[dict[Axis, int]]] = {}
    for index in indices:
        groups.setdefault(tuple(index[a] == index[b] for a, b in pairs), []).append(index)
    share = -(-SAMPLES // len(groups))
    return [
        index for group in groups.values() for index in rng.sample(group, min(share, len(group)))
    ]


# --- Points ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Point:
    """One random point: the inputs, what the definition makes of them, and their derivatives."""

    layer: Layer
    reference: Reference
    over: Field
    sizes: Mapping[str, int]
    given: Values  # inputs and parameters
    traced: Values  # intermediates and output
    directions: Values  # the cotangent of the output, the tangents of the inputs
    columns: dict[tuple[str, Index], Values] = field(default_factory=dict)

    @cached_property
    def duals(self) -> Duals:
        return Duals(self.over)

    @cached_property
    def known(self) -> Values:
        """Every value of the definition."""
        return {**self.given, **self.traced}

    @cached_property
    def values(self) -> dict[str, Mapping[Index, Scalar]]:
        """All that formulas may mention; adjoints and tangents of intermediates come on demand."""
        return {**self.known, **self.directions}

    @cached_property
    def evaluator(self) -> Evaluator:
        return Evaluator(self.over, self.values, self.sizes)

    def expected(self, claim: Claim, index: Mapping[Axis, int]) -> Scalar:
        """The truth, from the reference."""
        var, at = claim.var, tuple(index[axis] for axis in claim.var.axes)
        if claim.wrt is not None:
            column = self.column(claim.wrt.label, tuple(index[axis] for axis in claim.wrt.axes))
            if at not in column.get(var.label, {}):
                raise self._missing(f"{var.label}{list(at)}")
            return self.duals.derivative(column[var.label][at])
        if var.role == "adjoint":
            return self.adjoint(var.of, at)
        return self.entries(var)[at]

    def claimed(self, claim: Claim, index: Mapping[Axis, int]) -> Scalar:
        """The value of the formula, or in words why it has none."""
        if stray := free_axes(claim.expr) - frozenset(claim.axes):
            return f"varies over {', '.join(axis.name for axis in sorted_axes(stray))} too"
        for var in variables(claim.expr):
            self.values[var.label] = self.entries(var)
        try:
            return self.evaluator.at(claim.expr, index)
        except (OutsideTheField, ZeroDivisionError) as reason:
            return str(reason)

    def entries(self, var: Var) -> Mapping[Index, Scalar]:
        """Every entry of a value, an adjoint or a tangent; InputError if there is none."""
        if var.label in self.values:
            return self.values[var.label]
        if var.role == "adjoint" and var.of in self.known:
            return {at: self.adjoint(var.of, at) for at in self.known[var.of]}
        if var.role == "tangent" and var.of in self.pushforward:
            moved = self.pushforward[var.of]
            return {at: self.duals.derivative(value) for at, value in moved.items()}
        raise self._missing(var.label)

    def _missing(self, what: str) -> InputError:
        names = ", ".join(self.known)
        return InputError(f"{self.reference.name} has no {what}; it has {names}")

    def adjoint(self, label: str, at: Index) -> Scalar:
        """dl/dv at one index: what the loss sum dy y gains when that entry alone is moved."""
        moved = self.column(label, at)[self.layer.output.label]
        cotangent = self.directions[adjoint(self.layer.output).label]
        return sum(cotangent[i] * self.duals.derivative(value) for i, value in moved.items())

    def column(self, label: str, at: Index) -> Values:
        """The definition run with one entry of an input or intermediate moved."""
        if (label, at) not in self.columns:
            if at not in self.known.get(label, {}):
                raise self._missing(f"{label}{list(at)}")
            self.columns[label, at] = moved_run(
                self.reference.forward, self.duals, self.given, label, at
            )
        return self.columns[label, at]

    @cached_property
    def pushforward(self) -> Values:
        """The definition run with every input moved along its tangent."""
        moved = dict(self.given)
        for var in self.layer.inputs:
            direction = self.directions[tangent(var).label]
            moved[var.label] = {
                at: self.duals.variable(value, direction[at])
                for at, value in self.given[var.label].items()
            }
        return run(self.reference.forward, self.duals, moved)


def moved_run(forward: Forward, duals: Duals, given: Values, label: str, at: Index) -> Values:
    """The definition's values when one entry, of an input or an intermediate, is moved by e."""
    step = duals.variable(duals.base.number(0))
    if label in given:
        entries = {**given[label], at: given[label][at] + step}
        return run(forward, duals, {**given, label: entries})
    return run(forward, duals, given, {(label, at): step})


def run(
    forward: Forward,
    numbers: Arithmetic,
    given: Values,
    steps: Mapping[tuple[str, Index], Scalar] = MappingProxyType({}),
) -> Values:
    """Every value of the definition, by label and index; ``steps`` are added to intermediates."""
    traced: dict[str, dict[Index, Scalar]] = {}

    def node(label: str, index: Index, value: Scalar) -> Scalar:
        if isinstance(value, float):
            raise TypeError(
                f"the reference makes a float of {label}: int / int is one; "
                "divide by numbers.number(...) instead"
            )
        if (label, index) in steps:
            value = value + steps[label, index]
        traced.setdefault(label, {})[index] = value
        return value

    forward(numbers, given, node)
    return traced


def draw(layer: Layer, reference: Reference, number_field: Field, m: int, rng: Random) -> Point:
    """A random point at which the reference can be evaluated; OutsideTheField if there is none."""
    rational = number_field is RATIONALS
    solve = reference.rational if rational else reference.modular or any_point
    if solve is None:
        raise NotASquare(f"{reference.name}: no rational points are known for this definition")
    sizes = _sizes(layer, m)

    def random(*variables: Var) -> dict[str, Mapping[Index, Scalar]]:
        return {var.label: _random(var, number_field, sizes, rng) for var in variables}

    for _ in range(DRAWS):
        try:
            given = random(*layer.inputs, *layer.parameters)
            given = dict(solve(reference.forward, given, rng))
            traced = run(reference.forward, number_field, given)
        except (NotASquare, ZeroDivisionError):
            continue
        directions = random(adjoint(layer.output), *(tangent(var) for var in layer.inputs))
        return Point(layer, reference, number_field, sizes, given, traced, directions)
    raise NotASquare(f"{reference.name}: no point with all its roots in {DRAWS} draws")


def _sizes(layer: Layer, m: int) -> dict[str, int]:
    sizes = {axis.size.name: OTHER_SIZE for axis in layer.axes}
    # m counts what is averaged over: the range of a matrix product's sum is another one.
    counted = {axis for axis in layer.reduced_axes if any(d.expr.has(axis.size) for d in layer)}
    first, *others = sorted(
        layer.reduced_axes or layer.data.axes, key=lambda axis: axis not in counted
    )
    if len(others) > 1:  # their lengths, 1 to 3, are told by the digits of m in base 3
        lengths = {a.size.name: 1 + m // 3**k % 3 for k, a in enumerate((first, *others))}
        return {**sizes, **lengths}
    # The other one alternates, so that its size is neither that of the first nor always the same.
    return {**sizes, **{axis.size.name: 3 - m % 2 for axis in others}, first.size.name: m}


def _random(
    var: Var, number_field: Field, sizes: Mapping[str, int], rng: Random
) -> dict[Index, Scalar]:
    ranges = [range(sizes[axis.size.name]) for axis in var.axes]
    return {index: number_field.random(rng) for index in product(*ranges)}

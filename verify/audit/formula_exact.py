"""Published formulas against the exact oracle, and the smallest numbers that refute one.

The truth comes from the separately written definitions of :mod:`verify.references`, run on dual
numbers, and for expectations from writing down every sample (:mod:`verify.exact_samples`).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from itertools import chain, combinations, count, islice, product
from random import Random
from typing import TYPE_CHECKING

from sympy import Expr, Pow

from derive.expr import (
    Axis,
    Definition,
    Delta,
    Var,
    add,
    adjoint,
    free_axes,
    mul,
    rename,
    variables,
)
from derive.layer import Layer
from derive.layers import LAYERS
from derive.studies.running_statistics import STUDY as RUNNING
from derive.trace import Fact, Reason
from verify import exact, exact_samples
from verify.audit.subjects import LETTERS, Compound, Subject, unfolded
from verify.definition import reference_of
from verify.duals import Dual
from verify.exact import Claim, Outcome, Point
from verify.fields import (
    FIELDS,
    RATIONALS,
    Arithmetic,
    NotASquare,
    OutsideTheField,
    Scalar,
    Values,
)
from verify.references import REFERENCES, Node, Reference

if TYPE_CHECKING:
    from verify.audit.reading import Reading

SMALL = range(2, 4)  # sizes that are searched for the smallest example
LARGEST = 2  # number in an example
TRIED = 2000  # points of each shape
EPS = "eps"


@dataclass(frozen=True)
class Example:
    """Numbers at which a formula is wrong: ``given`` by label, where, and the two values."""

    given: tuple[tuple[str, tuple[str, ...]], ...]
    sizes: tuple[tuple[str, int], ...]
    index: tuple[tuple[str, int], ...]
    expected: str
    got: str


@dataclass(frozen=True)
class Confirmation:
    """How many exact comparisons were made, and the first that failed."""

    cases: int = 0
    example: Example | None = None


def confirm(reading: Reading) -> Confirmation:
    """The formula at random exact points; no cases where no oracle is written."""
    if reading.subject.study:
        return _of_statistics(reading)
    claim = _claim(reading)
    if claim is None or not _known(claim, reading.subject.layer):
        return Confirmation()
    cases = 0
    for point in _drawn(reading):
        for index in _indices(claim, point.sizes):
            expected, got = point.expected(claim, index), point.claimed(claim, index)
            if isinstance(got, str):  # a root, say, that this field does not have
                continue
            if expected != got:
                example = _example(point, claim, index, _needed(reading, claim))
                return Confirmation(cases, example)
            cases += 1
    return Confirmation(cases)


def smallest(reading: Reading) -> Example | None:
    """The smallest numbers that refute the formula; None if the oracle does not refute it."""
    found = confirm(reading).example
    claim = None if reading.subject.study else _claim(reading)
    if found is None or claim is None:
        return found
    for sizes in _shapes(reading.subject):
        for point in _points(reading.subject.layer, _reference(reading), claim, sizes):
            for index in _indices(claim, point.sizes):
                got = point.claimed(claim, index)
                if not isinstance(got, str) and point.expected(claim, index) != got:
                    return _example(point, claim, index, _needed(reading, claim))
    return found


def _shapes(about: Subject) -> Iterator[dict[str, int]]:
    """Two or three elements along the axis that is reduced, then two along all that are."""
    layer = about.layer
    yield from ({**_ones(layer), about.rows.size.name: m} for m in SMALL)
    yield _ones(layer) | {axis.size.name: 2 for axis in layer.reduced_axes}
    yield {axis.size.name: 2 for axis in layer.axes}


def _ones(layer: Layer) -> dict[str, int]:
    return {axis.size.name: 1 for axis in layer.axes}


def _drawn(reading: Reading) -> Iterator[Point]:
    """Random points over each field, as far as there are any."""
    layer, reference = reading.subject.layer, _reference(reading)
    for number_field in FIELDS:
        rng = Random(f"{layer.name} {number_field.name}")
        for m in reading.sizes:
            try:
                yield exact.draw(layer, reference, number_field, m, rng)
            except OutsideTheField:
                break


def _known(claim: Claim, layer: Layer) -> bool:
    quantities = {v.label for v in (*layer.inputs, *layer.parameters)}
    quantities |= {definition.var.label for definition in layer}
    roots = (power.exp for power in claim.expr.atoms(Pow) if power.exp.is_Rational)
    known = all(var.of in quantities for var in variables(claim.expr))
    return known and all(exponent.q <= 2 for exponent in roots)


# --- Claims ---------------------------------------------------------------------------------------


def _claim(reading: Reading) -> Claim | None:
    """What the formula claims about the layer; None where it does not speak of its values."""
    lhs, name = reading.lhs, reading.question.reads
    rhs = _masked(reading)
    if (entry := reading.entry) is not None:
        if entry.of.label == entry.wrt.label:  # that says nothing about the layer
            return None
        return Claim(name, entry.of, rhs, entry.wrt)
    if lhs.label in reading.subject.compounds:
        return _part(reading, lhs, rhs)
    if lhs.label in reading.own:
        output = reading.subject.layer.output
        truth = unfolded(reading.truth, {**reading.tangents, **reading.staged})
        if not free_axes(truth) | free_axes(rhs) <= set(output.axes):
            return None
        return Claim(name, output, add(output, rhs, mul(-1, truth)))
    # Where σ² is another symbol than ours, the formula is about ours all the same.
    return Claim(name, lhs, add(rhs, lhs, mul(-1, reading.read(lhs))))


def _masked(reading: Reading) -> Expr:
    """The right side; where two indices must differ, the truth where they do not."""
    if not reading.question.apart:
        return reading.plain
    entry = reading.entry
    axes = reading.lhs.axes if entry is None else (*entry.of.axes, *entry.wrt.axes)
    pairs = combinations(dict.fromkeys(axes), 2)
    same = Delta(*next((a, b) for a, b in pairs if a.base == b.base))
    truth = unfolded(reading.truth, {**reading.tangents, **reading.staged})
    return add(mul(reading.plain, add(1, mul(-1, same))), mul(truth, same))


def _part(reading: Reading, lhs: Var, rhs: Expr) -> Claim:
    """A derived part (u, R, …) in the equation that it is a part of."""
    parts = reading.subject.parts
    whole: Compound = reading.subject.compounds[lhs.label]
    there = dict(zip(parts[lhs.label].var.axes, lhs.axes, strict=True))
    wrt = None if whole.wrt is None else whole.wrt.at(*(there.get(a, a) for a in whole.wrt.axes))
    expr = rename(whole.expr, {a: b for a, b in there.items() if a != b})
    var = whole.var.at(*(there.get(axis, axis) for axis in whole.var.axes))
    return Claim(lhs.label, var, unfolded(expr.xreplace({lhs: rhs}), parts), wrt)


def _reference(reading: Reading) -> Reference:
    """The layer's own definition, with the quantities held constant that the formula holds.

    A layer that ships has a definition written apart; another is run by the one it has.
    """
    layer = reading.subject.layer
    ships = LAYERS.get(layer.name) == layer
    reference = REFERENCES[layer.name] if ships else reference_of(layer)
    held = reading.held
    if not held:
        return reference
    forward = reference.forward

    def still(numbers: Arithmetic, given: Values, node: Node) -> None:
        def seen(label: str, index: tuple[int, ...], value: Scalar) -> Scalar:
            constant = label in held and isinstance(value, Dual)
            return node(label, index, value.re if constant else value)

        forward(numbers, given, seen)

    return Reference(reference.name, still, reference.rational)


# --- The smallest numbers -------------------------------------------------------------------------


@dataclass
class _Radicands:
    """Arithmetic that notes what roots are taken of."""

    seen: list[Fraction] = field(default_factory=list)

    def number(self, value: int | Fraction) -> Fraction:
        return Fraction(value)

    def sqrt(self, a: Scalar) -> Fraction:
        self.seen.append(Fraction(a))
        return Fraction(1)

    def exp(self, a: Scalar) -> Scalar:
        return RATIONALS.exp(a)

    def log(self, a: Scalar) -> Scalar:
        return RATIONALS.log(a)

    def transcendental(self, name: str, a: Scalar) -> Scalar:
        return RATIONALS.transcendental(name, a)


def _points(
    layer: Layer, reference: Reference, claim: Claim, sizes: Mapping[str, int]
) -> Iterator[Point]:
    """Points with small whole numbers, in the order of their sum; ε makes the root rational."""
    cotangent = adjoint(layer.output)
    adjoints = any(v.role == "adjoint" for v in (claim.var, *variables(claim.expr)))
    drawn = [v for v in (*layer.inputs, *layer.parameters) if v.label != EPS]
    drawn += [cotangent] * adjoints
    entries = [(v, at) for v in drawn for at in _positions(v.axes, sizes)]
    every = (_summing(total, len(entries)) for total in range(LARGEST * len(entries) + 1))
    tries = TRIED // (1 + len(entries) // 10) ** 2  # each takes longer where there are more
    for numbers in islice(chain.from_iterable(every), tries):
        given: dict[str, dict[tuple[int, ...], Scalar]] = {v.label: {} for v in drawn}
        for (v, at), number in zip(entries, numbers, strict=True):
            given[v.label][at] = Fraction(number)
        directions = {cotangent.label: given.pop(cotangent.label, {})}
        try:
            solved = _with_epsilon(reference, given)
            traced = exact.run(reference.forward, RATIONALS, solved)
        except (NotASquare, ZeroDivisionError):
            continue
        yield Point(layer, reference, RATIONALS, sizes, solved, traced, directions)


def _with_epsilon(reference: Reference, given: Values) -> Values:
    """ε := q² − v for the smallest whole q that makes it positive."""
    radicands = _Radicands()
    zero: Values = {**given, EPS: {(): Fraction(0)}}
    reference.forward(radicands, zero, lambda label, index, value: value)
    first = radicands.seen[0] if radicands.seen else Fraction(0)
    root = next(q for q in count(1) if q * q > first)
    return {**given, EPS: {(): root * root - first}}


def _summing(total: int, length: int) -> Iterator[tuple[int, ...]]:
    """Whole numbers from 0 to LARGEST with a given sum."""
    if length == 0:
        if total == 0:
            yield ()
        return
    for first in range(min(total, LARGEST) + 1):
        for rest in _summing(total - first, length - 1):
            yield (first, *rest)


def _positions(axes: Iterable[Axis], sizes: Mapping[str, int]) -> Iterator[tuple[int, ...]]:
    return product(*(range(sizes[axis.size.name]) for axis in axes))


def _indices(claim: Claim, sizes: Mapping[str, int]) -> Iterator[dict[Axis, int]]:
    for at in _positions(claim.axes, sizes):
        yield dict(zip(claim.axes, at, strict=True))


def _needed(reading: Reading, claim: Claim) -> set[str]:
    """The inputs, parameters and cotangents that either side depends on."""
    layer = {d.var.label: d for d in reading.subject.layer}
    known = {**reading.adjoints, **reading.tangents, **reading.staged, **layer}
    sides = (reading.truth, reading.claimed)
    used = {v.label for side in sides for v in variables(unfolded(side, known))}
    return used | {v.label for v in variables(claim.expr)}


def _example(point: Point, claim: Claim, index: Mapping[Axis, int], needed: set[str]) -> Example:
    expected, got = str(point.expected(claim, index)), str(point.claimed(claim, index))
    values = {**point.given, **point.directions}
    given = [
        (label, tuple(str(v) for v in at.values()))
        for label, at in values.items()
        if at and label in needed
    ]
    places = [at + 1 for axis, at in index.items() if point.sizes[axis.size.name] > 1]
    where = list(zip(LETTERS, places, strict=False))
    sizes = [(name, size) for name, size in point.sizes.items() if size > 1]
    return Example(tuple(given), tuple(sizes), tuple(where), expected, got)


# --- Expectations ---------------------------------------------------------------------------------


def _of_statistics(reading: Reading) -> Confirmation:
    outcomes = list(_statistics(reading))
    failed = [outcome.counterexample for outcome in outcomes if outcome.counterexample]
    cases = sum(outcome.cases for outcome in outcomes)
    if not failed:
        return Confirmation(cases)
    first = failed[0]
    return Confirmation(cases, Example((), first.sizes, first.index, first.expected, first.got))


def _statistics(reading: Reading) -> Iterator[Outcome]:
    """The study of running statistics, with this formula in the place of what it states."""
    lhs = reading.lhs
    of_batch, running, population = RUNNING.develop()
    if lhs.label in reading.subject.parts:
        name = lhs.label
        running = replace(running, entries=(), conclusions=(Definition(lhs, reading.claimed),))
    else:
        name = of_batch.title
        of_batch = replace(of_batch, entries=(Fact(lhs, reading.claimed, Reason("published")),))
    for outcome in exact_samples.check((of_batch, running, population), range(2, 4), 0):
        if outcome.claim == name and outcome.cases:
            yield outcome

"""Expectations of a mini-batch's statistics, by writing down every sample that may be drawn.

From a finite population with rational values every sample of m draws with replacement is equally
likely, so E[·] is the plain average over all of them.  Sums of squares, running averages and
population statistics are computed from the draws themselves, by the words of their definitions:
the average, the mean squared deviation, and the sum of squares over m − 1.

Nothing is known here of moments, of independence or of the factor m/(m − 1).  Equalities have no
tolerance; they hold for sampled m and populations: *exact*, not *proved*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import product
from random import Random
from typing import TypeAlias

from sympy import Expr

from derive.expectation import Expected
from derive.expr import Axis, Definition, Var, free_axes, mul, sorted_axes
from derive.layers.batch_norm import var
from derive.layers.batch_norm_inference import mean, variance
from derive.study import Section
from verify.evaluate import Evaluator
from verify.exact import Counterexample, Outcome
from verify.fields import RATIONALS, Index, Scalar, Values

CHANNELS, BATCHES = range(2), 2
Draws: TypeAlias = Sequence[Sequence[Fraction]]  # [c][n]


def check(sections: Sequence[Section], sizes: Sequence[int], seed: int) -> Iterator[Outcome]:
    """What the study of running statistics states, in the order of its sections."""
    of_batch, running, population = sections
    rng = Random(f"running statistics {seed}")
    for m in sizes:
        one = _every_sample(m, 1, 3, _one_batch, rng)
        for entry in (*of_batch.entries, *running.conclusions):
            if isinstance(entry, Definition):
                yield _in_each(one, entry)
        (factor,) = of_batch.conclusions
        corrected = variance, Expected(mul(factor.expr, var))
        yield _equal(one, factor.var.label, [corrected])
        yield _equal(one, of_batch.title, of_batch.equalities())
        yield _equal(one, running.title, running.equalities())
        several = _every_sample(m, BATCHES, 2, _several_batches, rng)
        for estimate in population.conclusions:
            yield _in_each(several, estimate)
        averages = [Expected(estimate.expr) for estimate in population.conclusions]
        pairs = [*zip((mean, variance), averages, strict=True), *population.equalities()]
        yield _equal(several, population.title, pairs)


# --- Samples --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Old:
    """What no sample changes: E[x] and Var[x] of each population, and the momentum."""

    mean: Sequence[Fraction]
    variance: Sequence[Fraction]
    momentum: Fraction

    @property
    def values(self) -> Values:
        kept = {mean.label: self.mean, variance.label: self.variance}
        return {**_by_channel(kept), "momentum": {(): self.momentum}}


@dataclass(frozen=True)
class Sample:
    """What formulas may mention of one sample, and what has to come out, by label."""

    values: Values
    truth: Values


def _average(values: Sequence[Fraction]) -> Fraction:
    return sum(values, Fraction(0)) / len(values)


def _squares(values: Sequence[Fraction]) -> Fraction:
    """The sum of the squared deviations from the average."""
    centre = _average(values)
    return sum(((value - centre) ** 2 for value in values), Fraction(0))


def _by_channel(named: Mapping[str, Sequence[Fraction]]) -> dict[str, Mapping[Index, Scalar]]:
    return {label: {(c,): values[c] for c in CHANNELS} for label, values in named.items()}


def _one_batch(drawn: Draws, m: int, old: Old) -> Sample:
    """x, its statistics, and the running averages after it."""
    mu, squares = [_average(x) for x in drawn], [_squares(x) for x in drawn]
    biased, unbiased = [s / m for s in squares], [s / (m - 1) for s in squares]

    def updated(kept: Sequence[Fraction], seen: Sequence[Fraction]) -> list[Fraction]:
        return [a + old.momentum * (b - a) for a, b in zip(kept, seen, strict=True)]

    statistics = _by_channel({"mu": mu, "var": biased})
    running = {
        "running_mean": updated(old.mean, mu),
        "running_var_biased": updated(old.variance, biased),
        "running_var_unbiased": updated(old.variance, unbiased),
    }
    x: Mapping[Index, Scalar] = {(n, c): drawn[c][n] for n, c in product(range(m), CHANNELS)}
    return Sample({"x": x, **statistics}, {**statistics, **_by_channel(running)})


def _several_batches(drawn: Draws, m: int, old: Old) -> Sample:
    """The statistics of each batch, and the estimates from all of them."""
    cut = [[x[k : k + m] for k in range(0, len(x), m)] for x in drawn]
    each = list(product(range(BATCHES), CHANNELS))
    values: Values = {
        "mu": {(b, c): _average(cut[c][b]) for b, c in each},
        "var": {(b, c): _squares(cut[c][b]) / m for b, c in each},
    }
    estimates = {
        "population_mean": [_average(x) for x in drawn],
        "population_var": [_average([_squares(x) / (m - 1) for x in cut[c]]) for c in CHANNELS],
    }
    return Sample(values, _by_channel(estimates))


class EverySample(Evaluator):
    """Evaluates formulas in which E[·] is the average over every sample."""

    def __init__(self, samples: Iterable[Sample], old: Old, sizes: Mapping[str, int]) -> None:
        super().__init__(RATIONALS, old.values, sizes)
        self.sizes = sizes
        self.each = [
            (Evaluator(RATIONALS, {**old.values, **sample.values}, sizes), sample.truth)
            for sample in samples
        ]

    def at(self, expr: Expr, index: Mapping[Axis, int]) -> Scalar:
        return (
            self._remembered(expr, index) if isinstance(expr, Expected) else super().at(expr, index)
        )

    def _compute(self, expr: Expr, index: Mapping[Axis, int]) -> Scalar:
        if not isinstance(expr, Expected):
            return super()._compute(expr, index)
        return sum(sample.at(expr.args[0], index) for sample, _ in self.each) / len(self.each)


def _every_sample(
    m: int, batches: int, values: int, take: Callable[[Draws, int, Old], Sample], rng: Random
) -> EverySample:
    """Every sample of some mini-batches, each channel from a population of its own."""
    units = [Fraction(1, rng.randint(1, 30)) for _ in CHANNELS]
    populations = [[unit * k for k in rng.sample(range(-30, 31), values)] for unit in units]
    old = Old(
        [_average(population) for population in populations],
        [_squares(population) / values for population in populations],
        Fraction(rng.randint(1, 30), 31),
    )
    samples = (
        take([[population[k] for k in drawn] for population in populations], m, old)
        for drawn in product(range(values), repeat=m * batches)
    )
    return EverySample(samples, old, {"m": m, "C": len(CHANNELS), "batches": batches})


# --- Comparing ------------------------------------------------------------------------------------

Compared: TypeAlias = tuple[Mapping[Axis, int], Scalar, Scalar]  # where, what is got, what is due


def _in_each(every: EverySample, definition: Definition) -> Outcome:
    """The right-hand side in each sample, compared with what it has to be there."""
    label = definition.var.label
    if any(label not in truth for _, truth in every.each):
        why = f"it is not written down what {label} has to be"
        return Outcome(label, RATIONALS.name, 0, 0, None, why)
    return _outcome(every, label, _values(every, definition))


def _values(every: EverySample, definition: Definition) -> Iterator[Compared]:
    expr, of = definition.expr, definition.var
    for sample, truth in every.each:
        for index in _indices(every, of, expr):
            due = truth[of.label][tuple(index[axis] for axis in of.axes)]
            yield index, _value(sample, expr, index), due


def _equal(every: EverySample, name: str, pairs: Iterable[tuple[Expr, Expr]]) -> Outcome:
    """Both sides of each pair, in terms of expectations."""
    sides = (
        (index, _value(every, right, index), _value(every, left, index))
        for left, right in pairs
        for index in _indices(every, left, right)
    )
    return _outcome(every, name, sides)


def _indices(every: EverySample, *sides: Expr | Var) -> list[dict[Axis, int]]:
    axes = sorted_axes(frozenset().union(*(free_axes(side) for side in sides)))
    ranges = (range(every.sizes[axis.size.name]) for axis in axes)
    return [dict(zip(axes, at, strict=True)) for at in product(*ranges)]


def _value(evaluator: Evaluator, expr: Expr, index: Mapping[Axis, int]) -> Scalar:
    """None where it has no value."""
    try:
        return evaluator.at(expr, index)
    except ZeroDivisionError:
        return None


def _outcome(every: EverySample, name: str, compared: Iterable[Compared]) -> Outcome:
    cases, missed = 0, []
    for index, got, due in compared:
        cases += 1
        if got is None or got != due:
            where = tuple((axis.name, at) for axis, at in index.items())
            sizes = tuple(sorted(every.sizes.items()))
            missed.append(Counterexample(sizes, where, str(due), str(got)))
    return Outcome(name, RATIONALS.name, cases, len(missed), missed[0] if missed else None)

"""The studies' oracles: they confirm what is derived, and every damage to it is caught."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from functools import cache

import pytest
from sympy import Add, Expr, Integer, Mul

from derive.errors import InputError
from derive.expectation import Expected
from derive.expr import Definition, Delta, SumOver, Var, add, canonical, mul, rebuild
from derive.layers.batch_norm import beta, eps, gamma, n, var
from derive.layers.batch_norm_inference import mean, variance
from derive.studies import STUDIES
from derive.study import Entry, Section, Study
from derive.trace import Fact, Reason, Result
from verify.exact import Outcome, confirmed
from verify.exact_studies import check

m = n.size
SECTIONS = {name: study.develop() for name, study in STUDIES.items()}
LEAST = {
    "training_and_test": 450,
    "running_statistics": 9000,
    "folding": 900,
    "higher_orders": 3500,
}


def _failed(study: Study) -> set[str]:
    outcomes = check(study, sizes=[3])
    assert not any(outcome.skipped for outcome in outcomes)
    return {outcome.claim for outcome in outcomes if outcome.failures}


@cache
def _outcomes(name: str) -> list[Outcome]:
    return check(STUDIES[name])


# --- What is right is confirmed ------------------------------------------------------------------


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_is_confirmed(name: str) -> None:
    outcomes = _outcomes(name)
    assert confirmed(outcomes)
    assert not any(outcome.skipped for outcome in outcomes)
    assert sum(outcome.cases for outcome in outcomes) >= LEAST[name]


def test_every_sample_is_written_down() -> None:
    """3^m samples of m = 2 to 5 draws, in two channels; 2^(2m) of two mini-batches."""
    counts: dict[str, int] = {}
    for outcome in _outcomes("running_statistics"):
        counts[outcome.claim] = counts.get(outcome.claim, 0) + outcome.cases
    assert counts["running_mean"] == 2 * (3**2 + 3**3 + 3**4 + 3**5)
    assert counts["population_var"] == 2 * (4**2 + 4**3 + 4**4 + 4**5)
    assert counts["correction"] == 2 * 4


def test_both_fields_are_used() -> None:
    for name in ("folding", "training_and_test", "higher_orders"):
        assert {o.field for o in _outcomes(name) if o.cases} == {"rational", "field 2^61-1"}


def _study(name: str, sections: Iterable[Section]) -> Study:
    made = tuple(sections)
    return replace(STUDIES[name], develop=lambda: made)


# --- Damages -------------------------------------------------------------------------------------


def _altered(study: str, section: int, label: str, expr: Expr) -> Study:
    """The study with one of its conclusions changed, wherever the section states it."""
    sections = list(SECTIONS[study])
    before = sections[section]
    conclusions = tuple(
        replace(d, expr=expr) if d.var.label == label else d for d in before.conclusions
    )
    entries = tuple(_stating(e, label, expr) for e in before.entries)
    assert entries != before.entries
    sections[section] = replace(before, entries=entries, conclusions=conclusions)
    return _study(study, sections)


def _stating(entry: Entry, label: str, expr: Expr) -> Entry:
    if isinstance(entry, Definition) and entry.var.label == label:
        return replace(entry, expr=expr)
    if isinstance(entry, Result) and entry.var.label == label:
        return _concluding(entry, expr)
    return entry


def _concluding(result: Result, expr: Expr) -> Result:
    *steps, last = result.closing
    return replace(result, closing=(*steps, replace(last, after=expr)))


std = (variance + eps) ** (mul(1) / 2)
momentum = Var("momentum")


@pytest.mark.parametrize(
    ("study", "section", "label", "expr", "seen"),
    [
        # the mean forgotten, its sign, and γ forgotten
        ("folding", 0, "shift", beta, "The layer alone: folded"),
        ("folding", 0, "shift", beta + gamma * mean / std, "The layer alone: folded"),
        ("folding", 0, "scale", 1 / std, "The layer alone: folded"),
        # the bias left out of what is normalised
        (
            "folding",
            1,
            "folded_bias",
            beta - gamma * mean / std + Var("b", *beta.axes),
            "After a linear layer: folded",
        ),
        # m for m − 1, the factor upside down, no factor
        ("running_statistics", 0, "correction", Integer(1), "correction"),
        ("running_statistics", 0, "correction", (m - 1) / m, "correction"),
        ("running_statistics", 0, "correction", (m + 1) / m, "correction"),
        (
            "running_statistics",
            1,
            "running_var_unbiased",
            (1 - momentum) * variance + momentum * var,
            "running_var_unbiased",
        ),
        # the old value weighed like the new one
        (
            "running_statistics",
            1,
            "running_var_biased",
            momentum * variance + (1 - momentum) * var,
            "running_var_biased",
        ),
    ],
)
def test_a_wrong_conclusion_is_caught(
    study: str, section: int, label: str, expr: Expr, seen: str
) -> None:
    assert seen in _failed(_altered(study, section, label, expr))


def test_the_population_estimates_without_a_correction() -> None:
    population = SECTIONS["running_statistics"][2].conclusions[1]
    uncorrected = mul(population.expr, m - 1, m**-1)
    damaged = _altered("running_statistics", 2, population.var.label, uncorrected)
    assert _failed(damaged) == {"population_var", "Population statistics"}


def _damages(expr: Expr) -> Iterator[Expr]:
    """A sign flipped, a term or a factor dropped, m ± 1 for m: at one place each."""
    yield mul(-1, expr) if expr != 0 else Integer(1)
    yield from (damaged for damaged in _inner(expr) if canonical(damaged) != canonical(expr))


def _inner(expr: Expr) -> Iterator[Expr]:
    if expr == m:
        yield from (m - 1, m + 1)
    if isinstance(expr, Var | Delta) or not expr.args:
        return
    arguments = list(expr.args[:1] if isinstance(expr, SumOver) else expr.args)
    for k, argument in enumerate(arguments):
        rest = [*expr.args[:k], *expr.args[k + 1 :]]
        if isinstance(expr, Add):
            yield add(*rest)
            yield add(*rest, mul(-1, argument))
        if isinstance(expr, Mul):
            yield mul(*rest)
        for damaged in _inner(argument):
            yield rebuild(expr, [*expr.args[:k], damaged, *expr.args[k + 1 :]])


def _mutants(name: str) -> Iterator[tuple[str, Study]]:
    for k, section in enumerate(SECTIONS[name]):
        for entry in section.entries:
            for what, damaged in _entry_damages(entry):
                sections = list(SECTIONS[name])
                sections[k] = _with(section, entry, damaged)
                yield what, _study(name, sections)


def _entry_damages(entry: Entry) -> Iterator[tuple[str, Entry]]:
    if isinstance(entry, Definition):
        for expr in _damages(entry.expr):
            yield f"{entry.var} := {expr}", replace(entry, expr=expr)
    elif isinstance(entry, Fact):
        for expr in _damages(entry.rhs):
            yield f"{entry.lhs} = {expr}", replace(entry, rhs=expr)
    elif entry.closing:
        for expr in _damages(entry.closed):
            yield f"{entry.lhs} = {expr}", _concluding(entry, expr)


def _with(section: Section, entry: Entry, damaged: Entry) -> Section:
    entries = tuple(damaged if e is entry else e for e in section.entries)
    conclusions = section.conclusions
    if isinstance(damaged, Definition):
        conclusions = tuple(damaged if d.var == damaged.var else d for d in conclusions)
    elif isinstance(damaged, Result):
        made = damaged.definition
        conclusions = tuple(made if d.var == made.var else d for d in conclusions)
    return replace(section, entries=entries, conclusions=conclusions)


EVERY = 5  # all of them are caught; a fifth of them is tried each time
LONG = {"higher_orders": 29}  # and fewer of a study that takes long


@pytest.mark.parametrize("name", STUDIES)
def test_every_damage_is_caught(name: str) -> None:
    mutants = list(_mutants(name))
    assert len(mutants) >= 100
    assert _failed(STUDIES[name]) == set()
    assert [what for what, mutant in mutants[:: LONG.get(name, EVERY)] if not _failed(mutant)] == []


# --- What there is no oracle for -----------------------------------------------------------------


def test_a_study_without_an_oracle_is_refused() -> None:
    stray = replace(STUDIES["folding"], name="unfolding")
    with pytest.raises(InputError, match=r"^no oracle is written for unfolding; there are folding"):
        check(stray)


def test_a_conclusion_without_an_oracle_is_no_pass() -> None:
    """What the enumeration does not know is skipped, and a skipped claim is not confirmed."""
    running = SECTIONS["running_statistics"][1]
    stray = Definition(Var("running_max", *mean.axes), mean)
    sections = list(SECTIONS["running_statistics"])
    sections[1] = replace(running, conclusions=(*running.conclusions, stray))
    outcomes = check(_study("running_statistics", sections), sizes=[2])
    (skipped,) = [outcome for outcome in outcomes if outcome.skipped]
    assert skipped.skipped == "it is not written down what running_max has to be"
    assert not confirmed(outcomes)


def test_a_division_by_zero_is_a_failure() -> None:
    (factor,) = SECTIONS["running_statistics"][0].conclusions
    damaged = _altered("running_statistics", 0, factor.var.label, m / (m - 3))
    example = next(o.counterexample for o in check(damaged, sizes=[3]) if o.failures)
    assert example is not None
    assert example.got == "None"
    nothing = Fact(1 / (m - 3), 1 / (m - 3), Reason("on both sides"))
    sections = list(SECTIONS["running_statistics"])
    sections[1] = replace(sections[1], entries=(nothing,))
    assert _failed(_study("running_statistics", sections)) == {sections[1].title}


def test_an_expectation_is_taken_over_samples_not_over_the_batch() -> None:
    """E[σ²_B] is not Var[x]: the fact that the whole study is about."""
    first = SECTIONS["running_statistics"][0]
    fact = Fact(Expected(var), variance, Reason("wrong"))
    sections = (replace(first, entries=(fact,)), *SECTIONS["running_statistics"][1:])
    assert _failed(_study("running_statistics", sections)) == {first.title}

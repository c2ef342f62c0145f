"""Is a formula right?  A verdict, with its evidence.

* **equal**: both sides have the same normal form, for every m, by the definitions alone.
* **equal through an identity**: only if the identities that follow from a definition of a statistic
  are used; the fewest that do are named, with what the formula leaves out.
* **equal under a condition**: once a symbol is read in another way, or a constant has a value, as
  :mod:`verify.audit.conditions` says.
* **not equal**: under no condition, or for one element, m = 1, alone; the difference in closed
  form, the smallest numbers for which an independent evaluation gives two values, and what the
  derivation gives instead.
* **cannot be proved**: none of these.

Equality is *proved*; whatever is found equal is also held to the *exact* oracle
(:mod:`verify.audit.formula_exact`), and a disagreement is an error of this program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

from sympy import Expr

from derive.chart import Chart, Identity, NotNormalError
from derive.closed_form import factored
from derive.expr import Definition
from derive.normal_form import NormalForm
from derive.trace import CertificationError, JacobianEntry
from verify.audit import formula_exact
from verify.audit.conditions import (
    INDICES,
    PARTIAL,
    SINGLE,
    VALUES,
    Condition,
    conventions,
)
from verify.audit.formula_exact import Example
from verify.audit.nearest import nearest
from verify.audit.questions import Question
from verify.audit.reading import Reading, read
from verify.audit.subjects import Subject, restricted

Verdict = Literal[
    "equal",
    "equal through an identity",
    "equal under a condition",
    "not equal",
    "cannot be proved",
]
CONDITIONAL: Verdict = "equal under a condition"
HOLDS: tuple[Verdict, ...] = ("equal", "equal through an identity")


@dataclass(frozen=True)
class Judgement:
    """A verdict and its evidence.

    ``difference`` is the right side less the true one: what an identity makes 0, or what is wrong.
    ``cases`` counts exact comparisons; ``right`` is the nearest formula that holds.
    """

    verdict: Verdict
    subject: Subject
    identities: tuple[Identity, ...] = ()
    condition: Condition | None = None
    difference: Expr | None = None
    example: Example | None = None
    cases: int = 0
    right: tuple[Expr | JacobianEntry, Expr] | None = None

    @property
    def holds(self) -> bool:
        """Whether it is equal for every m, without a condition."""
        return self.verdict in HOLDS


def judge(
    question: Question,
    about: Subject,
    own: Mapping[str, Definition] | None = None,
    declared: str = "",
) -> Judgement:
    """The verdict on one formula about a layer.

    ``own`` are further quantities that the formula may mention, and ``declared`` is the name of a
    convention that the text has stated before.  Raises CertificationError if the oracle contradicts
    a proof.
    """
    reading = read(question, about, own or {})
    if (found := _proved(reading)) is not None:
        return found
    if reading.wrt is not None and not question.held:
        found = _proved(replace(reading, partial=True))
        if found is not None:  # ∂ says as much, but a Jacobian is printed with it too
            verdict = found.verdict if reading.entry is None else CONDITIONAL
            return replace(found, verdict=verdict, condition=PARTIAL)
    for convention in filter(reading.mentions, conventions(about)):
        if (found := _proved(reading.under(convention))) is not None:
            return replace(found, verdict=CONDITIONAL, condition=convention)
    wrong = _disproved(reading, declared)
    for condition, there in _restrictions(reading):
        found = _proved(there)
        if found is not None and found.cases:
            return replace(wrong, verdict=CONDITIONAL, condition=condition, cases=found.cases)
    if wrong.verdict == "not equal" and wrong.condition is None and _holds_for_one(reading):
        return replace(wrong, condition=SINGLE)
    return wrong


# --- Conditions -----------------------------------------------------------------------------------


def _restrictions(reading: Reading) -> Iterator[tuple[Condition, Reading]]:
    """Fewer cases than the formula is about, in which it may be right."""
    if reading.subject.study:
        return
    for condition in INDICES:
        there = reading.where(condition)
        if there is not None:
            yield condition, there
    for condition in VALUES:
        if reading.can_have(condition):
            try:
                about = restricted(reading.subject, condition.values)
            except NotNormalError:
                continue
            yield condition, reading.with_values(condition, about)


# --- Verdicts -------------------------------------------------------------------------------------


def _proved(reading: Reading) -> Judgement | None:
    """Equality by normal form, with as few identities as will do."""
    every = reading.subject.chart.identities
    if (known := _equal(reading, every)) is None:
        return None
    for identities in dict.fromkeys(((), *((identity,) for identity in every))):
        if (fewer := _equal(reading, identities)) is not None:
            return _judged(reading, identities, fewer)
    return _judged(reading, every, known)


def _equal(reading: Reading, identities: tuple[Identity, ...]) -> Mapping[str, Definition] | None:
    """The definitions by which both sides have one normal form; None if there are none."""
    chart = replace(reading.subject.chart, identities=identities)
    for known in ({**reading.tangents, **reading.staged}, _all(reading)):
        try:
            if not reading.remainder(NormalForm(chart, known)):
                return known
        except NotNormalError:
            continue
    return None


def _holds_for_one(reading: Reading) -> bool:
    """Equality where there is one element, and every sum is its only term."""
    if reading.subject.study or not reading.is_single():
        return False
    return bool(_judged(replace(reading, sizes=(1,)), (), {}).cases)


def _all(reading: Reading) -> dict[str, Definition]:
    return {**reading.adjoints, **reading.tangents, **reading.staged}


def _judged(
    reading: Reading, identities: tuple[Identity, ...], known: Mapping[str, Definition]
) -> Judgement:
    outcome = formula_exact.confirm(reading)
    if outcome.example is not None:
        raise CertificationError(
            f"{reading.question.reads!r} was proved, but the oracle finds {outcome.example}"
        )
    if not identities:
        return Judgement("equal", reading.subject, cases=outcome.cases)
    difference = _closed(reading, replace(reading.subject.chart, identities=()), known)
    return Judgement(
        "equal through an identity",
        reading.subject,
        identities,
        difference=difference,
        cases=outcome.cases,
    )


def _disproved(reading: Reading, declared: str) -> Judgement:
    """Not equal, if an example says so under every convention; else nothing can be said."""
    mentioned = [*filter(reading.mentions, conventions(reading.subject))]
    outcomes = [formula_exact.confirm(reading.under(c)) for c in (None, *mentioned)]
    stated = [convention for convention in mentioned if convention.name == declared]
    reading = reading.under(stated[0] if stated else None)
    example = formula_exact.smallest(reading)
    if example is None or any(o.cases and o.example is None for o in outcomes):
        return Judgement("cannot be proved", reading.subject)
    return Judgement(
        "not equal",
        reading.subject,
        condition=reading.convention,
        difference=_closed(reading, reading.subject.chart, _all(reading)),
        example=example,
        right=None if reading.subject.study else nearest(reading),
    )


def _closed(reading: Reading, chart: Chart, known: Mapping[str, Definition]) -> Expr | None:
    """The difference in closed form; None where it has no normal form."""
    normal_form = NormalForm(chart, known)
    try:
        return factored(reading.remainder(normal_form), normal_form).expr
    except NotNormalError:
        return None

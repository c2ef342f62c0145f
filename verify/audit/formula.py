"""Is a published formula right?  One verdict for each, with its evidence.

* **equal**: both sides have the same normal form, for every m, by the definitions alone.
* **equal through an identity**: only if the identities that follow from a definition of a statistic
  are used; the fewest that do are named, with what the formula leaves out.
* **convention**: equal once a symbol is read as :data:`CONVENTIONS` says.
* **wrong**: under no convention; the difference in closed form, and the smallest numbers for which
  an independent evaluation gives two values.
* **cannot be proved**: none of these.

The verdict is *proved*; whatever is found equal is also held to the *exact* oracle
(:mod:`verify.audit.formula_exact`), and a disagreement is an error of this program.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal, cast

from sympy import Expr

from derive.chart import Chart, Identity, NotNormalError
from derive.closed_form import factored
from derive.expr import (
    Axis,
    Definition,
    Delta,
    Var,
    add,
    mul,
    rename,
    substitute,
    tangent,
    variables,
)
from derive.grammar import parse_formula
from derive.layers.batch_norm import eps, n, var
from derive.normal_form import NormalForm
from derive.polynomial import Poly
from derive.studies.running_statistics import momentum
from derive.trace import CertificationError, JacobianEntry
from verify.audit import formula_exact
from verify.audit.formula_exact import Example
from verify.audit.subjects import ITEMS, Subject, subject, taken_at, unfolded
from verify.audit.transcriptions import Document, Statement

Verdict = Literal["equal", "equal through an identity", "convention", "wrong", "cannot be proved"]


@dataclass(frozen=True)
class Convention:
    """Another reading of one symbol: where the document writes it, our ``meaning`` is meant."""

    name: str
    says: str
    meaning: Definition


CONVENTIONS = (
    Convention(
        "n = k",
        "n, which divides, is the number of elements, k",
        Definition(ITEMS, n.size),
    ),
    Convention(
        "sigma^2 contains epsilon",
        "sigma^2 is the name of what others write as sigma^2 + epsilon",
        Definition(var, add(var, eps)),
    ),
    Convention(
        "momentum of the old value",
        "the momentum weighs the old value, not the new one",
        Definition(momentum, add(1, mul(-1, momentum))),
    ),
)


@dataclass(frozen=True)
class Judgement:
    """A verdict and its evidence.

    ``difference`` is the right side less the true one: what an identity makes 0, or what is wrong.
    ``cases`` counts exact comparisons; ``corrected`` judges what was meant by a wrong formula.
    """

    verdict: Verdict
    subject: Subject
    identities: tuple[Identity, ...] = ()
    convention: Convention | None = None
    difference: Expr | None = None
    example: Example | None = None
    cases: int = 0
    corrected: Judgement | None = None


def judge(
    statement: Statement,
    names: Mapping[str, Mapping[str, str]] | None = None,
    about: Subject | None = None,
) -> Judgement:
    """The verdict on one formula.

    ``names`` are the document's own, by layer; ``about`` stands in for the subject that the
    statement names.  Raises SourceError if the formula cannot be read, and CertificationError if
    the oracle contradicts a proof.
    """
    about = about or subject(statement.layer)
    reading = read(statement, (names or {}).get(statement.layer, {}), about)
    for convention in (None, *filter(reading.mentions, CONVENTIONS)):
        if (found := _proved(reading.under(convention))) is not None:
            return found
    return _disproved(statement, reading, names)


def judge_all(document: Document) -> Iterator[tuple[Statement, Judgement]]:
    """Every formula of a document with its verdict."""
    for statement in document.formula:
        yield statement, judge(statement, document.names)


# --- Reading --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Reading:
    """A formula in the engine's terms; derivatives are taken at an index of their own.

    ``lhs`` is a quantity, an adjoint, or the tangent that an entry of a Jacobian, ``entry``, is.
    """

    statement: Statement
    subject: Subject
    lhs: Var
    entry: JacobianEntry | None
    rhs: Expr
    wrt: Var | None
    own: Mapping[str, Definition]
    convention: Convention | None = None

    def mentions(self, convention: Convention) -> bool:
        """Whether the convention is about a symbol of this formula, and can be put in its terms."""
        label, needed = convention.meaning.var.label, variables(convention.meaning.expr)
        if any(var.label not in self.subject.names for var in needed):
            return False
        sides = [self.rhs, *(d.expr for d in self.own.values())]
        return self.lhs.label == label or any(
            var.label == label for side in sides for var in side.atoms(Var)
        )

    def under(self, convention: Convention | None) -> Reading:
        return replace(self, convention=convention)

    def read(self, expr: Expr) -> Expr:
        """An expression of the document, in our meaning of its symbols."""
        if self.convention is None:
            return expr
        meaning = self.convention.meaning
        return substitute(expr, {meaning.var.label: meaning})

    @cached_property
    def staged(self) -> dict[str, Definition]:
        """Names for formulas: the document's, and the derived parts."""
        own = {label: replace(d, expr=self.read(d.expr)) for label, d in self.own.items()}
        return {**self.subject.known, **self.subject.parts, **own}

    @cached_property
    def tangents(self) -> dict[str, Definition]:
        return self.subject.tangents(self.wrt, self.statement.held)

    @cached_property
    def adjoints(self) -> dict[str, Definition]:
        return self.subject.adjoints(self.statement.held)

    @cached_property
    def truth(self) -> Expr:
        """What the left side is, by the definitions."""
        if self.lhs.role == "tangent":
            return self.tangents[self.lhs.label].at(*self.lhs.axes)
        if self.lhs.role == "adjoint":
            known = self.adjoints.get(self.lhs.label)
            return self.lhs if known is None else known.at(*self.lhs.axes)
        known = self.own.get(self.lhs.label) or self.subject.defined(self.lhs.label)
        if known is None:
            return self.lhs
        return substitute(self.read(self.lhs), {self.lhs.label: known})

    @cached_property
    def claimed(self) -> Expr:
        return self.read(self.rhs)

    @cached_property
    def difference(self) -> Expr:
        return self.subject.averaged(add(self.claimed, mul(-1, self.truth)))

    @property
    def plain(self) -> Expr:
        """The right side in terms of values and adjoints alone, for the oracle."""
        return unfolded(self.claimed, {**self.tangents, **self.staged})

    def remainder(self, normal_form: NormalForm) -> Poly:
        """The normal form of the difference, where two indices are different if they must be."""
        poly = normal_form.poly(self.difference)
        if not self.statement.apart:
            return poly
        return {
            powers: coefficient
            for powers, coefficient in poly.items()
            if not any(isinstance(generator, Delta) for generator, _ in powers)
        }


def read(statement: Statement, own: Mapping[str, str], about: Subject) -> Reading:
    """The formula of a statement.  Raises SourceError with the place of the first mistake."""
    named = about.named(own)
    names = {**about.names, **{label: d.var for label, d in named.items()}}
    formula = parse_formula(statement.reads, names, about.letters, source=statement.place)
    entry = cast(JacobianEntry, formula.lhs) if isinstance(formula.lhs, JacobianEntry) else None
    lhs = cast(Var, formula.lhs) if entry is None else tangent(entry.of)
    wrt = formula.wrt if entry is None else entry.wrt
    if wrt is None:
        return Reading(statement, about, lhs, entry, formula.rhs, wrt, named)
    there = taken_at(wrt, about.shown)
    lhs, wrt = _moved(lhs, there), _moved(wrt, there)
    if entry is not None:
        entry = JacobianEntry(_moved(entry.of, there), wrt)
    return Reading(statement, about, lhs, entry, rename(formula.rhs, there), wrt, named)


def _moved(var: Var, there: Mapping[Axis, Axis]) -> Var:
    return var.at(*(there.get(axis, axis) for axis in var.axes))


# --- Verdicts -------------------------------------------------------------------------------------


def _proved(reading: Reading) -> Judgement | None:
    """Equality by normal form, with as few identities as will do."""
    chart = reading.subject.chart
    each = [(identity,) for identity in chart.identities]
    for identities in dict.fromkeys(((), *each, chart.identities)):
        for known in ({**reading.tangents, **reading.staged}, _all(reading)):
            normal_form = NormalForm(replace(chart, identities=identities), known)
            try:
                equal = not reading.remainder(normal_form)
            except NotNormalError:
                continue
            if equal:
                return _judged(reading, identities, known)
    return None


def _all(reading: Reading) -> dict[str, Definition]:
    return {**reading.adjoints, **reading.tangents, **reading.staged}


def _judged(
    reading: Reading, identities: tuple[Identity, ...], known: Mapping[str, Definition]
) -> Judgement:
    outcome = formula_exact.confirm(reading)
    if outcome.example is not None:
        raise CertificationError(
            f"{reading.statement.reads!r} was proved, but the oracle finds {outcome.example}"
        )
    verdict: Verdict = "equal"
    difference = None
    if reading.convention is not None:
        verdict = "convention"
    elif identities:
        verdict = "equal through an identity"
        difference = _closed(reading, replace(reading.subject.chart, identities=()), known)
    return Judgement(
        verdict,
        reading.subject,
        identities,
        reading.convention,
        difference,
        cases=outcome.cases,
    )


def _disproved(
    statement: Statement, reading: Reading, names: Mapping[str, Mapping[str, str]] | None
) -> Judgement:
    """Wrong, if an example says so under every convention; else nothing can be said."""
    mentioned = [*filter(reading.mentions, CONVENTIONS)]
    outcomes = [formula_exact.confirm(reading.under(c)) for c in (None, *mentioned)]
    declared = [convention for convention in mentioned if convention.name == statement.under]
    reading = reading.under(declared[0] if declared else None)
    example = formula_exact.smallest(reading)
    if example is None or any(o.cases and o.example is None for o in outcomes):
        return Judgement("cannot be proved", reading.subject)
    corrected = None
    if statement.corrected:
        meant = replace(statement, reads=statement.corrected, corrected="")
        corrected = judge(meant, names, reading.subject)
    return Judgement(
        "wrong",
        reading.subject,
        convention=reading.convention,
        difference=_closed(reading, reading.subject.chart, _all(reading)),
        example=example,
        corrected=corrected,
    )


def _closed(reading: Reading, chart: Chart, known: Mapping[str, Definition]) -> Expr | None:
    """The difference in closed form; None where it has no normal form."""
    normal_form = NormalForm(chart, known)
    try:
        return factored(reading.remainder(normal_form), normal_form).expr
    except NotNormalError:
        return None

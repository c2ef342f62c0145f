"""A study as a document, of the same blocks as a derivation's (:mod:`derive.render.document`)."""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Expr

from derive.expr import Definition
from derive.render.blocks import Block, Equation, Heading, Words, name_of
from derive.render.layout import equation, formula
from derive.render.notation import Notation
from derive.render.notation_file import PAPER
from derive.render.notation_fit import fitted
from derive.study import Entry, Study
from derive.trace import Fact, JacobianEntry, Reason, Result, in_words


def study_document(
    study: Study, *, steps: bool = True, notation: Notation = PAPER
) -> tuple[Block, ...]:
    """The blocks of every section; without ``steps`` only what they lead to.

    Raises InputError where the notation cannot tell two names of the study's layer apart.
    """
    return tuple(_Writer(study, steps, fitted(notation, study.layer)).blocks())


class _Writer:
    def __init__(self, study: Study, steps: bool, notation: Notation) -> None:
        self.study, self.steps, self.notation = study, steps, notation

    def blocks(self) -> Iterator[Block]:
        yield Heading(self.study.title, self.study.source)
        for section in self.study.develop():
            yield Heading(section.title, section.about)
            for entry in section.entries:
                yield from self._entry(entry)

    def _entry(self, entry: Entry) -> Iterator[Block]:
        if isinstance(entry, Definition):
            yield self._equation(entry.var, entry.expr, in_words(entry.note))
        elif isinstance(entry, Fact):
            yield self._equation(entry.lhs, entry.rhs, entry.says)
        else:
            yield from self._result(entry)

    def _result(self, result: Result) -> Iterator[Block]:
        if not self.steps:
            yield self._equation(result.lhs, result.closed, result.reason)
            return
        yield self._equation(result.lhs, result.start, result.reason)
        for step in result.steps:
            yield self._equation(result.lhs, step.after, step.reason, step.rule)

    def _equation(
        self, lhs: Expr | JacobianEntry, rhs: Expr, reason: Reason, rule: str = ""
    ) -> Equation:
        shown = self.study.shown
        entry = lhs if isinstance(lhs, JacobianEntry) else None
        trees = (formula(expr, self.notation, shown, entry) for expr in reason.formulas)
        words = Words(reason.template, tuple(trees)) if reason.template else None
        left = formula(lhs, self.notation, shown)
        typeset = equation(lhs, rhs, self.notation, shown)
        return Equation(left, typeset, words, bool(rule), rule, name_of(lhs))

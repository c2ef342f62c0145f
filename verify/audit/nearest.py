"""What should stand in the place of a wrong formula: the derivation's own, in the nearest form.

Each result of a derivation has several forms, from the chain rule to the closed one, and each form
can have its quantities written out.  The nearest is the one that speaks of the same quantities.
"""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Expr

from derive.expr import SumOver, substitute, variables
from derive.trace import JacobianEntry
from verify.audit.reading import Reading

Form = tuple[Expr | JacobianEntry, Expr]


def nearest(reading: Reading) -> Form | None:
    """A formula for the same left side; None where nothing was derived about it."""
    if reading.question.held:
        return None
    wanted = {var.label for var in variables(reading.rhs)}
    forms = list(_forms(reading))
    if not forms:
        return None
    return min(forms, key=lambda form: len(wanted ^ {var.label for var in variables(form[1])}))


def _forms(reading: Reading) -> Iterator[Form]:
    about = reading.subject
    for result in about.results:
        entry = result.entry
        if entry is not None:
            theirs = reading.entry
            if theirs is not None and (entry.of.label, entry.wrt.label) == (
                theirs.of.label,
                theirs.wrt.label,
            ):
                yield entry, result.closed
        elif result.var.label == reading.lhs.label:
            for form in (result.closed, result.staged, result.start):
                yield from _written_out(reading, result.var, form)
    defined = about.defined(reading.lhs.label)
    if defined is not None and reading.entry is None:
        yield from _written_out(reading, defined.var, defined.expr)


def _written_out(reading: Reading, var: Expr, form: Expr) -> Iterator[Form]:
    """The form, and with its elementwise quantities by their definitions, one after the other."""
    yield var, form
    for definition in reversed(reading.subject.layer.definitions):
        elementwise = not definition.expr.has(SumOver)
        if elementwise and definition.var.label in {v.label for v in variables(form)}:
            form = substitute(form, {definition.var.label: definition})
            yield var, form

"""Whatever the project prints in LaTeX is read back as what it is: two programs, one meaning."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from sympy import Expr

from derive.expr import Axis, Var, rename
from derive.layers import LAYERS
from derive.normal_form import NormalForm
from derive.render.latex import to_latex
from derive.render.layout import equation
from derive.render.notation_file import notation
from derive.render.notation_fit import fitted
from derive.trace import JacobianEntry
from verify.audit.questions import questions
from verify.audit.subjects import Subject, subject

LEFT_OUT = {"block", "block_behind"}  # g', the slope of any function, is not read
CASES = [
    *(("paper", name) for name in LAYERS if name not in LEFT_OUT),
    *((name, "batch_norm") for name in ("lamp", "layer", "plain")),
    ("lamp", "layer_norm"),
    ("layer", "softmax"),
]


def printed(about: Subject) -> Iterator[tuple[Expr | JacobianEntry, Expr]]:
    """The definitions, and each result from the chain rule to its closed form."""
    for definition in about.layer:
        yield definition.var, definition.expr
    for result in about.results:
        yield result.lhs, result.start
        for step in result.steps:
            yield result.lhs, step.after


def settled(lhs: Expr | JacobianEntry, rhs: Expr) -> tuple[Expr | JacobianEntry, Expr]:
    """With the indices on the left numbered as they come, as a reader does."""
    parts = (lhs.of, lhs.wrt) if isinstance(lhs, JacobianEntry) else (lhs,)
    numbers: dict[str, int] = {}
    moved: dict[Axis, Axis] = {}
    for axis in dict.fromkeys(axis for part in parts for axis in part.axes):
        number = numbers.setdefault(axis.base, 0)
        numbers[axis.base] += 1
        moved[axis] = Axis(axis.base, axis.size.name, number)
    sides: list[Var] = [part.at(*(moved[axis] for axis in part.axes)) for part in parts]
    left = JacobianEntry(*sides) if isinstance(lhs, JacobianEntry) else sides[0]
    return left, rename(rhs, {a: b for a, b in moved.items() if a != b})


@pytest.mark.parametrize(("names", "layer"), CASES)
def test_what_is_printed_is_read_as_it_is(names: str, layer: str) -> None:
    about, table = subject(layer), notation(names)
    normal_form = NormalForm(about.chart)
    for lhs, rhs in printed(about):
        tree = equation(lhs, rhs, fitted(table, about.layer), about.printed(rhs))
        (read,) = questions(to_latex(tree), about, written=table, syntax="latex")
        left, right = settled(lhs, rhs)
        assert read.formula.lhs == left, to_latex(tree)
        assert normal_form.zero(read.formula.rhs - right), to_latex(tree)

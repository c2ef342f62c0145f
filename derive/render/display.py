"""How a derivation and a step show themselves in a notebook."""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Expr

from derive.derivation import Derivation
from derive.expr import Axis, Delta, SumOver, free_axes
from derive.render.blocks import Equation, Words
from derive.render.document import Form, document
from derive.render.latex import to_latex
from derive.render.latex_rows import latex_words
from derive.render.layout import formula
from derive.render.markdown import JUPYTER, paragraphs
from derive.render.notation_file import notation
from derive.render.publication import publication_of
from derive.trace import Step


def derivation_markdown(derivation: Derivation) -> str:
    """The whole derivation."""
    return "\n\n".join(paragraphs(publication_of(derivation), JUPYTER))


def derivation_latex(derivation: Derivation) -> str:
    """The closed forms, one below the other; staged ones where there are no others."""
    form: Form = "staged" if derivation.unproved else "summary"
    wanted = {f"d{var.label}" for var in derivation.layer.inputs}
    rows = [
        to_latex(block.tree.left) + " &= " + to_latex(block.tree.right)
        for block in document(derivation, form=form, steps=False)
        if isinstance(block, Equation) and block.name in wanted
    ]
    return "$$\\begin{aligned}\n" + " \\\\\n".join(rows) + "\n\\end{aligned}$$"


def step_latex(step: Step) -> str:
    """Both sides, and why they are equal; an index is shown where something depends on it."""
    names = notation("plain")
    told = (step.before, step.after, *step.reason.formulas)
    shown = sorted({axis.base for expr in told for axis in _counted(expr)})[: len(names.alphabets)]
    before, after, *others = (formula(expr, names, shown) for expr in told)
    reason = latex_words(Words(step.reason.template, tuple(others)))
    return rf"$\displaystyle {to_latex(before)} = {to_latex(after)} \qquad \text{{{reason}}}$"


def _counted(expr: Expr) -> Iterator[Axis]:
    """The axes that are summed over, compared, or there twice."""
    for total in expr.atoms(SumOver):
        yield from total.axes
    for delta in expr.atoms(Delta):
        yield from delta.indices
    yield from (axis for axis in free_axes(expr) if axis.level)

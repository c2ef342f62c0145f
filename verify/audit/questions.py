"""From a text to the questions that it asks: formulas about a layer, each to be judged.

A text is in LaTeX if it contains what Python does not: a backslash, a brace, x_i.  Else it is
Python.  Both end in one syntax tree, whose names mean the layer's quantities.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from sympy import Expr

from derive.errors import InputError
from derive.expr import Var, adjoint
from derive.functions import Activation
from derive.grammar.equation import Equation, to_text
from derive.grammar.formulas import Formula, formula_of
from derive.grammar.indices import indices_of
from derive.grammar.latex_rows import latex_equations
from derive.grammar.latex_vocabulary import LOSS, Vocabulary
from derive.grammar.python_syntax import python_equations
from derive.grammar.source import Source, suggestion
from derive.render.notation import Notation
from derive.render.notation_file import notation
from derive.render.notation_fit import fitted
from derive.render.roots import named_roots
from verify.audit.subjects import ITEMS, Subject

Syntax = Literal["latex", "python"]
_LATEX = re.compile(r"[\\{$'|]|\b[A-Za-z]_[A-Za-z0-9]\b")
_WORD = re.compile(r"[A-Za-z]{2}")


@dataclass(frozen=True)
class Question:
    """Does ``formula`` hold?  ``reads`` is how it was read, in the syntax of derive.grammar, and
    ``where`` says of each letter that is no index of the axis that the layer reduces what it is.

    ``apart`` says that it is about two different indices; ``held`` lists quantities that its
    derivatives take as constants.
    """

    formula: Formula
    reads: str
    where: str = ""
    apart: bool = False
    held: tuple[str, ...] = ()


def syntax_of(text: str) -> Syntax:
    """In which of the two syntaxes a text is."""
    latex = _LATEX.search(text) or ("^" in text and not _WORD.search(text))
    return "latex" if latex else "python"


def questions(
    text: str,
    about: Subject,
    *,
    written: Notation | None = None,
    others: Mapping[str, str] | None = None,
    own: Mapping[str, Var] | None = None,
    syntax: Syntax | None = None,
    name: str = "formula",
) -> list[Question]:
    """The formulas of a text.

    ``written`` is the notation of formulas in LaTeX, the paper's if there is none.  ``others`` maps
    further names to what they stand for: a quantity, a size, an adjoint (dl/dy) or the loss.
    ``own`` are quantities that the layer does not have.  Raises SourceError with the place of the
    first thing that cannot be read for certain, and InputError for names that cannot be given.
    """
    source = Source(name, text)
    others = dict(others or {})
    names: dict[str, Expr] = {**about.names, **(own or {})}
    if ITEMS.label not in others.values():  # a number that one document has
        names.pop(ITEMS.label, None)
    if (syntax or syntax_of(text)) == "latex":
        equations = latex_equations(source, _vocabulary(about, names, written, others))
    else:
        names = _identifiers(about, names, others)
        equations = python_equations(source, names, about.layer.data.axes)
    return [_question(equation, names, about) for equation in equations]


def _question(equation: Equation, names: Mapping[str, Expr], about: Subject) -> Question:
    where = ""
    if equation.arrays:
        letters = {axis.base: axis for axis in about.layer.axes}
    else:
        indices = indices_of(equation, names, about.shown)
        letters, names = dict(indices.letters), {**names, **indices.sizes}
        others = [(k, axis) for k, axis in letters.items() if axis.base != about.shown[0]]
        where = ", ".join(f"{k} runs along {axis.base} ({axis.size})" for k, axis in others)
    formula = formula_of(equation, names, letters)
    condition = equation.condition
    apart = condition is not None and not condition.same
    return Question(formula, to_text(equation), where, apart)


def _vocabulary(
    about: Subject, names: Mapping[str, Expr], written: Notation | None, others: Mapping[str, str]
) -> Vocabulary:
    table = fitted(written or notation("paper"), about.layer)
    _check(others, names)
    applied = any(definition.expr.has(Activation) for definition in about.layer)
    batch = about.rows.size.name if any(s.subscript for s in table.symbols.values()) else ""
    return Vocabulary(names, table, others, frozenset("g" if applied else ""), batch)


def _check(others: Mapping[str, str], names: Mapping[str, Expr]) -> None:
    for written, label in others.items():
        if label not in (*names, LOSS):
            near = suggestion(label, [*names, LOSS])
            raise InputError(f"{written} cannot stand for {label}, which is no quantity{near}")


def _identifiers(
    about: Subject, names: Mapping[str, Expr], others: Mapping[str, str]
) -> dict[str, Expr]:
    """The names of array code: quantities, dx for ∂ℓ/∂x, roots (inv_std) and others."""
    found = dict(names)
    for label, value in names.items():
        if isinstance(value, Var) and value.role == "value":
            found.setdefault(f"d{label}", adjoint(value))
    code = fitted(notation("code"), about.layer)
    for root in named_roots(about.chart, code):
        found.setdefault(code.symbol(root.var.label).ascii, about.chart.display(root.var))
    given = {written: label.replace("dl/d", "d") for written, label in others.items()}
    _check({k: v for k, v in given.items() if v != LOSS}, found)
    return {**found, **{k: found[v] for k, v in given.items() if v != LOSS}}

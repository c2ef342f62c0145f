"""Verdicts on formulas as plain data, for other tools."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from sympy import Expr

from derive.errors import SourceError
from derive.render.latex import to_latex
from derive.render.layout import equation, formula
from derive.render.notation import Notation
from derive.render.notation_fit import fitted
from derive.render.text import to_line
from derive.render.tree import Node
from derive.trace import JacobianEntry
from verify.audit.formula import Judgement
from verify.audit.questions import Question

SCHEMA = 1  # raised when a field changes its meaning

Answer = tuple[str, Question, Judgement] | tuple[str, SourceError]


def json_object(layer: str, answers: Sequence[Answer], notation: Notation) -> dict[str, Any]:
    """``formulas`` lists each formula's text with its verdict; null is what a verdict has not.

    A refused one has "refused" (why), "line" and "caret".  Else "read_as" is how it was read;
    "identities", "condition" and "exact_cases" are what an equality rests on, "difference",
    "counterexample" and "right" what a difference does.
    """
    found = [
        _refusal(*answer) if len(answer) == 2 else _verdict(*answer, notation) for answer in answers
    ]
    return {"schema": SCHEMA, "layer": layer, "notation": notation.name, "formulas": found}


def _refusal(text: str, error: SourceError) -> dict[str, Any]:
    said = {"refused": str(error), "line": error.line, "caret": error.caret}
    return {"formula": text, "verdict": "refused", **said}


def _verdict(
    text: str, question: Question, judgement: Judgement, notation: Notation
) -> dict[str, Any]:
    about = judgement.subject
    table = fitted(notation, about.layer)

    def printed(expr: Expr) -> dict[str, str]:
        return _forms(formula(expr, table, about.printed(expr)))

    def stated(lhs: Expr | JacobianEntry, rhs: Expr) -> dict[str, str]:
        return _forms(equation(lhs, rhs, table, about.printed(rhs)))

    example, condition = judgement.example, judgement.condition
    return {
        "formula": text,
        "read_as": question.reads,
        "where": question.where,
        "verdict": judgement.verdict,
        "identities": [
            stated(about.chart.display(identity.total), about.chart.display(identity.value))
            for identity in judgement.identities
        ],
        "condition": None if condition is None else condition.says,
        "exact_cases": judgement.cases,
        "difference": None if judgement.difference is None else printed(judgement.difference),
        "counterexample": None
        if example is None
        else {
            "sizes": dict(example.sizes),
            "given": {label: list(values) for label, values in example.given},
            "index": dict(example.index),
            "left": example.expected,
            "right": example.got,
        },
        "right": None if judgement.right is None else stated(*judgement.right),
    }


def _forms(tree: Node) -> dict[str, str]:
    return {"text": to_line(tree), "ascii": to_line(tree, ascii=True), "latex": to_latex(tree)}

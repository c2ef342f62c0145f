"""The report on a kernel in words and formulas, and as plain data."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from sympy import Expr, Pow

from derive.expr import HALF, SumOver, Var, add, rebuild
from derive.layer import Layer
from derive.layers import LAYERS
from derive.render.layout import equation, formula
from derive.render.notation_file import PAPER
from derive.render.notation_fit import fitted
from derive.render.text import to_line, to_text
from derive.render.tree import Node
from verify.audit.diagnosis import Diagnosis
from verify.audit.forms import Form
from verify.audit.hypotheses import INVERSE_ROOT, Hypothesis
from verify.audit.kernel_report import IMAGES, Report
from verify.audit.symptoms import Gradient, where

# What each mistake comes to; {} is what it is about.
WORDS: Mapping[str, str] = {
    "term dropped": "the term {} is missing",
    "term doubled": "the term {} is doubled",
    "term halved": "the term {} is halved",
    "sign flipped": "{} has the wrong sign",
    "eps missing": "{} is missing",
    "eps twice": "{} is added twice",
    "eps squared": "{} is squared",
    "larger for sum": "the larger one stands in the place of the sum {}",
    "eps outside the root": "in {} epsilon is added to the root, not under it",
    "variance for deviation": "the variance stands in the place of the deviation, in {}",
    "deviation for variance": "the deviation stands in the place of the variance, {}",
    "inverse deviation for variance": "the inverse deviation stands in the place of {}",
    "wrong power": "{} has another power",
    "m-1 for m": "one less than {} is counted",
    "1/m missing": "{} is missing",
    "m missing": "{} is missing",
    "1/m twice": "{} is there twice",
    "m twice": "{} is there twice",
    "wrong count": "in the place of {} something else is counted",
    "factor missing": "the factor {} is missing",
    "gamma missing": "{} is missing",
    "gamma outside the sum": "{} stands in front of the sums, as if it did not vary in them",
    "beta outside the sum": "{} stands in front of the sums, as if it did not vary in them",
    "factor twice": "the factor {} is there twice",
    "gamma twice": "{} is there twice",
    "number inverted": "the number {} is inverted",
    "1/m too many": "the sum {} is divided by its number of terms",
    "wrong axis": "the sum {} is taken over other axes",
    "product of sums": "the sum {} is taken as a product of sums",
    "sum missing": "{} is not summed",
    "another quantity": "another quantity stands in the place of {}",
    "zero": "there is 0",
    "doubled": "it is doubled as a whole",
    "halved": "it is halved as a whole",
    "averaged": "it is divided by a count as a whole",
    "multiplied by a count": "it is multiplied by a count as a whole",
    "cotangent": "the gradient that comes in has another factor",
    "exchanged": "it is in the place of {}",
}
HELD, REDEFINED, SCALED = " held constant", "another definition: ", "times "


class Words:
    """Says what a report says about one layer, in a terminal's characters."""

    def __init__(self, layer: Layer, *, ascii: bool, width: int) -> None:
        self.layer, self.ascii, self.width = layer, ascii, width
        self.notation = fitted(PAPER, layer)

    def heading(self, diagnosis: Diagnosis) -> str:
        """What is wrong, in a sentence or two."""
        hypothesis = diagnosis.hypothesis
        return f"{', '.join(diagnosis.outputs)}: {hypothesis.kind}. {self.sentence(hypothesis)}"

    def same(self, diagnosis: Diagnosis) -> Iterator[str]:
        """Other mistakes that come to the same."""
        for other in diagnosis.same:
            yield f"It comes to the same as: {other.kind}. {self.sentence(other)}"

    def sentence(self, hypothesis: Hypothesis) -> str:
        """The mistake in words, and the line that it is in."""
        line = self.inline(_spelt(hypothesis.line.var, self.layer))
        kind, part = hypothesis.mistakes[0]
        if kind.endswith(HELD):
            labels = kind.removesuffix(HELD).split(", ")
            names = " and ".join(self.inline(self.layer[label].var) for label in labels)
            return f"In {line} nothing flows through {names}, as if constant."
        if kind.startswith(REDEFINED):
            told = self._told(kind.removeprefix(REDEFINED), part)
            return f"The gradients are those of another definition of {line}: {told}."
        return f"In {line} {', and '.join(self._told(*made) for made in hypothesis.mistakes)}."

    def _told(self, kind: str, part: Expr) -> str:
        if kind.startswith(SCALED):
            return f"the term {self.inline(part)} stands there {kind}"
        return WORDS[kind].format(self.inline(_spelt(part, self.layer)))

    def sides(self, diagnosis: Diagnosis) -> Iterator[str]:
        """The broken line of the derivation, and what the kernel has in its place."""
        hypothesis = diagnosis.hypothesis
        for says, rhs in (("derivation", hypothesis.line.expr), ("kernel", hypothesis.wrong)):
            yield ""
            yield f"  the {says}:"
            rows = to_text(self._tree(hypothesis, rhs), self.ascii, self.width - 4)
            yield from (f"    {row}" for row in rows)
        yield ""

    def side(self, hypothesis: Hypothesis, rhs: Expr) -> str:
        """The broken line in one line of text, with this right side."""
        return to_line(self._tree(hypothesis, rhs), ascii=self.ascii)

    def _tree(self, hypothesis: Hypothesis, rhs: Expr) -> Node:
        """lhs = rhs; the right side alone where the left has no name."""
        lhs = hypothesis.line.var
        shown = _shown(self.layer, hypothesis.line.expr, hypothesis.wrong)
        right = _spelt(rhs, self.layer)
        if lhs.label == INVERSE_ROOT:
            return formula(right, self.notation, shown)
        return equation(lhs, right, self.notation, shown)

    def form(self, form: Form) -> str:
        """The vanishing term that a right kernel computes."""
        reason = form.step.reason
        source = reason.template.format(*(self.inline(part) for part in reason.formulas))
        return (
            f"It computes the term {self.inline(form.term)} of {self.inline(form.line.var)}, which "
            f"other formulas leave out. Both are right: {source}."
        )

    def inline(self, expr: Expr) -> str:
        """A formula in one line."""
        tree = formula(expr, self.notation, _shown(self.layer, expr))
        return to_line(tree, ascii=self.ascii)


def _shown(layer: Layer, *exprs: Expr) -> tuple[str, ...]:
    """The bases of the axes that are reduced, and of those that a mistake sums over."""
    summed = {axis for expr in exprs for total in expr.atoms(SumOver) for axis in total.axes}
    more = (axis for axis in layer.axes if axis in summed - set(layer.reduced_axes))
    return tuple(axis.base for axis in (*layer.reduced_axes, *more))


def layer_of(report: Report, diagnosis: Diagnosis | None = None) -> Layer:
    """The layer that formulas are printed of: that of images for a mistake about positions."""
    own, images = LAYERS[report.request.layer], LAYERS[IMAGES]
    if diagnosis is None:
        return own
    axes = {axis for line in diagnosis.hypothesis.program for axis in line.var.axes}
    return own if axes <= set(own.axes) else images


def _spelt(expr: Expr, layer: Layer) -> Expr:
    """With 1/√(σ²+ε) written out, which has no name in the paper."""
    if isinstance(expr, Var) and expr.label == INVERSE_ROOT:
        statistic = next(d.var for d in layer if d.var.is_nonnegative)
        eps = next(var for var in layer.parameters if not var.axes)
        return Pow(add(statistic, eps), -HALF)
    if not expr.args:
        return expr
    return rebuild(expr, (_spelt(arg, layer) for arg in expr.args))


def plain(report: Report) -> dict[str, Any]:
    """The report as plain data; JSON has no infinity, so it is a text."""
    return {
        "verdict": "right" if report.right else "wrong",
        "called": report.shape,
        "exact": report.exact,
        "eps": report.eps,
        "gradients": [_gradient(gradient) for gradient in report.gradients],
        "diagnoses": [_plain_diagnosis(report, d) for d in report.diagnoses],
        "right_for": list(report.layers),
        "unexplained": list(report.unexplained),
        "form": None if report.form is None else _words(report).form(report.form),
        "warnings": list(report.warnings),
        "speed": report.speed,
    }


def _gradient(gradient: Gradient) -> dict[str, Any]:
    errors = {name: e if math.isfinite(e) else str(e) for name, e in gradient.errors.items()}
    return {
        "name": gradient.name,
        "right": gradient.right,
        "limit": gradient.limit,
        "errors": errors,
        "where": "" if gradient.right else where(gradient),
    }


def _plain_diagnosis(report: Report, diagnosis: Diagnosis) -> dict[str, Any]:
    words, hypothesis = _words(report, diagnosis), diagnosis.hypothesis
    return {
        "gradients": list(diagnosis.outputs),
        "mistake": hypothesis.kind,
        "line": hypothesis.line.var.label,
        "says": words.sentence(hypothesis),
        "derivation": words.side(hypothesis, hypothesis.line.expr),
        "kernel": words.side(hypothesis, hypothesis.wrong),
        "same": [{"mistake": h.kind, "line": h.line.var.label} for h in diagnosis.same],
    }


def _words(report: Report, diagnosis: Diagnosis | None = None) -> Words:
    return Words(layer_of(report, diagnosis), ascii=False, width=80)

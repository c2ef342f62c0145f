"""A verdict in words and formulas: what it rests on."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from sympy import Expr, Mul

from derive.chart import Identity
from derive.closed_form import closed_form
from derive.expr import SumOver, Var, free_axes, mul, substitute
from derive.layer import Layer
from derive.normal_form import NormalForm
from derive.render.layout import equation, formula
from derive.render.notation import Notation
from derive.render.notation_file import PAPER
from derive.render.notation_fit import fitted
from derive.render.text import to_line
from derive.render.tree import Node
from verify.audit.conditions import SINGLE
from verify.audit.formula import Judgement
from verify.audit.formula_exact import Example

Printed = Callable[[Node], str]


def as_line(ascii: bool) -> Printed:
    """Formulas in one line of a terminal."""
    return lambda tree: to_line(tree, ascii=ascii)


def evidence(judgement: Judgement, printed: Printed, notation: Notation = PAPER) -> list[str]:
    """What the verdict rests on, a sentence each."""
    return list(_Words(judgement, printed, fitted(notation, judgement.subject.layer)).sentences())


def headline(judgement: Judgement) -> str:
    """The verdict as a heading."""
    match judgement.verdict:
        case "equal":
            return "equal for every size: proved"
        case "equal through an identity":
            return "equal for every size: proved, through an identity"
        case "equal under a condition":
            assert judgement.condition is not None
            return f"equal under a condition: {judgement.condition.name}"
        case _:
            return judgement.verdict


class _Words:
    def __init__(self, judgement: Judgement, printed: Printed, notation: Notation) -> None:
        self.judgement, self.about = judgement, judgement.subject
        self._printed, self._notation = printed, notation

    def sentences(self) -> Iterator[str]:
        judgement = self.judgement
        if judgement.verdict == "cannot be proved":
            yield "No proof was found, and no numbers that refute it."
            return
        if judgement.verdict == "not equal":
            yield from self._refutation()
            return
        for identity in judgement.identities:
            source = self._expr(identity.source)
            yield f"It takes {self._identity(identity)}, by the definition of {source}."
            if judgement.difference is not None and judgement.example is None:
                off = self._expr(judgement.difference)
                yield f"Without it the right side would be off by {off}."
        if judgement.condition is not None:
            yield f"It holds if {judgement.condition.says}."
        if judgement.cases:
            yield f"{judgement.cases} exact comparisons agree."
        else:
            yield "No oracle is written for this one."
        if judgement.example is not None:
            yield "Otherwise it does not:"
            yield from self._refutation()

    def _refutation(self) -> Iterator[str]:
        judgement = self.judgement
        if judgement.condition is SINGLE:
            yield f"It holds where {SINGLE.says}, and not for more."
        elif judgement.condition is not None and judgement.verdict == "not equal":
            yield f"It is so even if {judgement.condition.says}."
        if judgement.difference is not None:
            yield f"The right side is off by {self._expr(judgement.difference)}."
        if judgement.example is not None:
            yield example_words(judgement.example)
        if judgement.right is not None:
            lhs, rhs = judgement.right
            right = self._printed(equation(lhs, rhs, self._notation, self.about.printed(rhs)))
            yield f"The derivation gives {right}."

    def _expr(self, expr: Expr | Var) -> str:
        return self._printed(formula(expr, self._notation, self.about.printed(expr)))

    def _identity(self, identity: Identity) -> str:
        chart = self.about.chart
        value = closed_form(identity.value, NormalForm(chart))
        sums = [chart.display(identity.total)]
        if value == 0 and chart.normalised is not None:
            sums.append(_written_out(identity.total, chart.normalised, self.about.layer))
        sides = (
            equation(total, value, self._notation, self.about.printed(total)) for total in sums
        )
        return ", or ".join(map(self._printed, sides))


def _written_out(total: SumOver, normalised: Var, layer: Layer) -> Expr:
    """The sum with the definition of x̂ in it, less the factors that are the same in each term."""
    body = substitute(total.body, {normalised.label: layer[normalised.label]})
    varying = (f for f in Mul.make_args(body) if free_axes(f) & set(total.axes))
    written: Expr = SumOver(mul(*varying), *total.axes)
    return written


def example_words(example: Example) -> str:
    """The numbers of a counterexample and both values, in a sentence."""
    given = [f"{label} = {_values(values)}" for label, values in example.given]
    sizes = [f"{name} = {size}" for name, size in example.sizes]
    where = [f"{name} = {at}" for name, at in example.index]
    place = ", ".join([*sizes, *given, *where])
    return f"At {place} the right side gives {example.got}, and right is {example.expected}."


def _values(values: Sequence[str]) -> str:
    return values[0] if len(values) == 1 else f"({', '.join(values)})"

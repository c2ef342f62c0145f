"""What the definitions say in the chart's coordinates, as facts with the steps that lead there.

The chart *finds* an identity, such as Σx̂ᵢ² = mσ²/(σ² + ε), by changing coordinates in the
definition of a statistic.  A reader goes the other way: insert the definition of x̂, take what is
constant out of the sum, and the definition of the statistic says the rest.
"""

from __future__ import annotations

from dataclasses import replace

from sympy import Expr

from derive.closed_form import closed_form
from derive.expr import SumOver, canonical, substitute, variables
from derive.layer import Layer
from derive.normal_form import NormalForm
from derive.rules import LEMMA, Context, rewrite
from derive.trace import Fact, Reason, Step, certify


def identities(layer: Layer, normal_form: NormalForm) -> tuple[Fact, ...]:
    """The identities of the layer's chart."""
    chart, facts = normal_form.chart, []
    for identity in chart.identities:
        total, value = chart.display(identity.total), closed_form(identity.value, normal_form)
        certify(identity.total, value, normal_form, "identity")
        reason = Reason("by the definition of {}", (identity.source,))
        steps = _steps(total, value, layer, normal_form)
        facts.append(Fact(total, value, reason, steps))
    return tuple(facts)


def _steps(total: Expr, value: Expr, layer: Layer, normal_form: NormalForm) -> tuple[Step, ...]:
    """None where the sum is what the definition itself speaks of."""
    known = {d.var.label: d for d in layer if not d.expr.has(SumOver)}
    used = [var for var in variables(total) if var.label in known]
    if not used:
        return ()
    words = "insert " + ", ".join("{}" for _ in used)
    inserted = substitute(total, known)
    certify(total, inserted, normal_form, "insert")
    first = Step("insert", total, inserted, Reason(words, tuple(used)))
    *others, last = (first, *rewrite(inserted, LEMMA, Context(normal_form)))
    if canonical(last.after) != canonical(value):
        return ()
    return (*others, replace(last, after=value))

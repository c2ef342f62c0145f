"""Why the gradient in training is not that in test mode: the statistics depend on the data.

Test mode (Ioffe & Szegedy 2015, Algorithm 2) is compared with training (Algorithm 1) at the same
statistics: what differs is what flows through μ and σ².
"""

from __future__ import annotations

from sympy import Expr

from derive.closed_form import closed_form
from derive.derivation import derive
from derive.expr import Definition, SumOver, Var, add, adjoint, mul, substitute
from derive.layers.batch_norm import BATCH_NORM, eps, mu, n, var
from derive.layers.batch_norm_inference import BATCH_NORM_INFERENCE, mean, variance
from derive.normal_form import NormalForm
from derive.rules import COLLECT, INSERT, Context, rewrite
from derive.study import Section, Study
from derive.trace import Fact, Reason, Result, stated


def _develop() -> tuple[Section, ...]:
    training, test = derive(BATCH_NORM), derive(BATCH_NORM_INFERENCE)
    at_the_same = {mean.label: Definition(mean, mu), variance.label: Definition(variance, var)}
    dx = adjoint(BATCH_NORM.data)
    frozen = Var("dx_frozen", *dx.axes)
    gradient = Definition(frozen, substitute(test["dx"].closed, at_the_same), "test mode")
    known = {dx.label: Definition(dx, training["dx"].closed), frozen.label: gradient}
    normal_form = NormalForm(training.chart)
    context = Context(normal_form.knowing(known))
    start = add(dx, mul(-1, frozen))
    steps = rewrite(start, (INSERT, COLLECT), context)
    through = Var("dx_statistics", *dx.axes)
    reason = Reason("training less test mode: what flows through {} and {}", (mu, var))
    difference = Result(through, through, start, reason, (), steps)
    x_hat = training.chart.normalised
    sums = [
        _fact(SumOver(dx, n), "a shift of the whole batch changes nothing in training", context),
        _fact(SumOver(frozen, n), "in test mode it does", context),
        _fact(SumOver(mul(dx, x_hat), n), "nor does a stretch, but for {}", context, eps),
        _fact(SumOver(mul(frozen, x_hat), n), "in test mode it does", context),
    ]

    def proves(before: Expr, after: Expr) -> bool:
        return context.normal_form.zero(before - after)

    return (
        Section(
            "Test mode",
            "the statistics are constants",
            (*BATCH_NORM_INFERENCE.definitions, gradient),
            (),
            proves,
        ),
        Section(
            "Training",
            "the statistics depend on every element of the batch",
            (Definition(dx, training["dx"].closed, "training"), difference),
            (),
            proves,
        ),
        Section("What that means", "each proved for every size", tuple(sums), (), proves),
    )


def _fact(lhs: Expr, says: str, context: Context, *formulas: Expr) -> Fact:
    return stated(lhs, closed_form(lhs, context.normal_form), context.normal_form, says, *formulas)


STUDY = Study(
    name="training_and_test",
    title="Training against test mode",
    source="Ioffe & Szegedy 2015, Algorithms 1 and 2",
    layer=BATCH_NORM,
    shown=("n",),
    develop=_develop,
)

"""Statistics for test mode: what a mini-batch's statistics are on average, and how to keep them.

Ioffe & Szegedy 2015, Algorithm 2: E[x] ← E_B[μ_B] and Var[x] ← m/(m−1) E_B[σ²_B].  The factor is
derived here.  Frameworks keep exponential averages of the same statistics.
"""

from __future__ import annotations

from sympy import Expr, Pow

from derive.chart import Chart
from derive.closed_form import closed_form
from derive.expectation import Expected, Population, expected, linear
from derive.expr import Axis, Definition, Var, add, mean, mul
from derive.layers.batch_norm import BATCH_NORM, c, mu, n, var, x
from derive.layers.batch_norm_inference import mean as frozen_mean
from derive.layers.batch_norm_inference import variance as frozen_variance
from derive.normal_form import NormalForm
from derive.study import Section, Study
from derive.trace import CertificationError, Fact, Reason, Result, Step

m = n.size
batch = Axis("b", "batches")
momentum = Var("momentum")
correction = Var("correction")
means, variances = Var("mu", batch, c), Var("var", batch, c)

PLAIN = NormalForm(
    Chart(constants=(m, momentum, batch.size)),
    {d.var.label: d for d in (BATCH_NORM["mu"], BATCH_NORM["var"])},
)
POPULATION = Population(x, frozen_mean, frozen_variance)


def _develop() -> tuple[Section, ...]:
    of_mean, of_variance = _expectation(mu), _expectation(var)
    factor = _correction(of_variance)
    unbiased = Definition(correction, factor.closed)
    return (
        Section(
            "A mini-batch's statistics on average",
            "m independent draws from any distribution",
            (BATCH_NORM["mu"], BATCH_NORM["var"], of_mean, of_variance, factor),
            (unbiased,),
            _equal,
        ),
        _running(unbiased),
        _population(unbiased),
    )


def _expectation(statistic: Var) -> Result:
    """E[statistic] in terms of E[x] and Var[x], step by step."""
    whole = Expected(statistic)
    start = Expected(PLAIN.expr(PLAIN.poly(statistic)))
    steps: list[Step] = []
    _certified(whole, start, "insert")
    expr = _step(steps, start, linear(start, POPULATION, PLAIN), "linear", Reason("E is linear"))
    moments = Reason(
        "independent draws: {} = {}",
        (Expected(mul(x, x.at(n.prime(), c))), POPULATION.moment([x, x.at(n.prime(), c)])),
    )
    expr = _step(steps, expr, expected(expr, POPULATION, PLAIN), "moments", moments)
    _step(steps, expr, closed_form(expr, PLAIN), "collect", Reason("collect"))
    lhs = Var(f"E_{statistic.label}", c)
    reason = Reason("insert the definitions, multiply out")
    return Result(lhs, whole, start, reason, (), tuple(steps))


def _correction(of_variance: Result) -> Result:
    """The factor that makes the batch's variance right on average."""
    start = mul(frozen_variance, Pow(Expected(var), -1))
    inserted = mul(frozen_variance, Pow(of_variance.closed, -1))
    steps: list[Step] = []
    expr = _step(steps, start, inserted, "insert", Reason("insert {}", (Expected(var),)))
    _step(steps, expr, closed_form(expr, PLAIN), "collect", Reason("collect"))
    reason = Reason("so that {} = {}", (Expected(mul(correction, var)), frozen_variance))
    return Result(correction, correction, start, reason, (), tuple(steps))


def _running(unbiased: Definition) -> Section:
    """Exponential averages in both conventions, and what they are on average."""
    old, new = add(1, mul(-1, momentum)), momentum
    corrected = mul(unbiased.expr, var)
    kinds = {
        "mean": (frozen_mean, mu, "of the mean"),
        "var_biased": (frozen_variance, var, "of the variance as it is (Caffe, ONNX, CS231n)"),
        "var_unbiased": (frozen_variance, corrected, "of the corrected variance (PyTorch)"),
    }
    updates = [
        Definition(Var(f"running_{name}", c), add(mul(old, kept), mul(new, seen)), note)
        for name, (kept, seen, note) in kinds.items()
    ]
    facts = []
    for update in updates:
        after = closed_form(expected(Expected(update.expr), POPULATION, PLAIN), PLAIN)
        reason = Reason("on average, if {} and {} were right", (frozen_mean, frozen_variance))
        facts.append(Fact(Expected(update.expr), after, reason))
    return Section(
        "Running averages",
        "momentum weighs the new value",
        (*updates, *facts),
        tuple(updates),
        _equal,
    )


def _population(unbiased: Definition) -> Section:
    """The 2015 paper's estimates from many mini-batches, each of size m."""
    estimates = (
        Definition(Var("population_mean", c), mean(means, batch), "over mini-batches"),
        Definition(
            Var("population_var", c),
            mul(unbiased.expr, mean(variances, batch)),
            "over mini-batches, corrected",
        ),
    )
    return Section("Population statistics", "Algorithm 2, line 10", estimates, estimates, _equal)


def _equal(before: Expr, after: Expr) -> bool:
    """Equality of expectations, for every m, E[x] and Var[x]."""
    both = (expected(side, POPULATION, PLAIN) for side in (before, after))
    return PLAIN.zero(add(next(both), mul(-1, next(both))))


def _certified(before: Expr, after: Expr, rule: str) -> None:
    if not _equal(before, after):
        raise CertificationError(f"rule {rule!r} changed the value: {before} is not {after}")


def _step(steps: list[Step], before: Expr, after: Expr, rule: str, reason: Reason) -> Expr:
    _certified(before, after, rule)
    if after != before:
        steps.append(Step(rule, before, after, reason))
    return after


STUDY = Study(
    name="running_statistics",
    title="Running and population statistics",
    source="Ioffe & Szegedy 2015, Algorithm 2",
    layer=BATCH_NORM,
    shown=("n", "b"),
    develop=_develop,
)

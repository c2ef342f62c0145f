"""The rewriting rules, as data: each a name, what it says, how it is applied, and an example.

A rule proposes; :func:`rewrite` certifies each proposal by normal form before it becomes a step.
``because`` may contain formulas, so that the reason beside a step names the very identity used.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache

from sympy import Add, Expr, Mul, Pow

from derive.closed_form import factored
from derive.expr import (
    Axis,
    Definition,
    Delta,
    SumOver,
    Var,
    add,
    adjoint,
    canonical,
    free_axes,
    has_sum,
    mean,
    mul,
    rebuild,
    rename,
    sorted_axes,
    substitute,
    variables,
)
from derive.layer import Layer
from derive.normal_form import NormalForm
from derive.trace import Reason, Step, certify


@dataclass(frozen=True)
class Context:
    """What a rule may use: the normal form, which knows the results that came before.

    ``prover`` knows more where results are to keep their names; proofs are made with it.
    """

    normal_form: NormalForm
    more: NormalForm | None = None

    @property
    def known(self) -> Mapping[str, Definition]:
        return self.normal_form.known

    @property
    def prover(self) -> NormalForm:
        return self.more or self.normal_form


Proposal = tuple[Expr, Reason]


@dataclass(frozen=True)
class Example:
    """``before`` becomes ``after``, over :data:`CENTRING`, where ``known`` was derived before."""

    before: Expr
    after: Expr
    known: tuple[Definition, ...] = ()


@dataclass(frozen=True)
class Rule:
    """``apply`` returns the rewritten expression with the reason, or None where it has no use.

    ``latex`` states the rule in general, ``example`` shows it at work.
    """

    name: str
    latex: str
    apply: Callable[[Expr, Context], Proposal | None]
    example: Example


def rewrite(expr: Expr, rules: Sequence[Rule], context: Context) -> tuple[Step, ...]:
    """Each rule once, in order; every step certified."""
    steps: list[Step] = []
    for rule in rules:
        proposal = rule.apply(expr, context)
        if proposal is None or proposal[0] == expr:
            continue
        after, reason = proposal
        certify(expr, after, context.prover, rule.name)
        if canonical(after) != canonical(expr):
            steps.append(Step(rule.name, expr, after, reason))
        elif steps:  # only the order is another: the step before gets it
            steps[-1] = replace(steps[-1], after=after)
        else:
            continue
        expr = after
    return tuple(steps)


def _map_sums(expr: Expr, visit: Callable[[SumOver], Expr]) -> Expr:
    """Each sum replaced by ``visit`` of it, innermost first."""
    if not has_sum(expr):
        return expr
    if isinstance(expr, SumOver):
        total = SumOver(_map_sums(expr.body, visit), *expr.axes)
        return visit(total) if isinstance(total, SumOver) else total
    return rebuild(expr, (_map_sums(arg, visit) for arg in expr.args))


def _parted(total: SumOver) -> tuple[Expr, Expr]:
    """The factors of a summand that are constant along the sum, and the others."""
    bound = set(total.axes)
    parts = Mul.make_args(total.body)
    outside = mul(*(part for part in parts if not free_axes(part) & bound))
    return outside, mul(*(part for part in parts if free_axes(part) & bound))


def _vanish(expr: Expr, context: Context) -> Proposal | None:
    found: list[Expr] = []

    def visit(total: SumOver) -> Expr:
        poly, cited = context.prover.citing(total)
        if poly or not cited:
            return total
        if not found:
            _, core = _parted(total)
            found.extend((SumOver(core, *total.axes), cited[0].source))
        return mul(0)

    after = _map_sums(expr, visit)
    return (after, Reason("{} = 0, by the definition of {}", tuple(found))) if found else None


def _known_sum(expr: Expr, context: Context) -> Proposal | None:
    found: list[Expr] = []

    def visit(total: SumOver) -> Expr:
        poly, cited = context.prover.citing(total)
        if not cited:
            return total
        value = factored(poly, context.prover).expr
        if not found:
            found.extend((total, value, cited[0].source))
        return value

    after = _map_sums(expr, visit)
    return (after, Reason("{} = {}, by the definition of {}", tuple(found))) if found else None


def _insert(expr: Expr, context: Context) -> Proposal | None:
    used = [var for var in variables(expr) if var.label in context.known]
    order = list(context.known)
    used.sort(key=lambda var: order.index(var.label))
    if not used:
        return None
    words = "insert " + ", ".join("{}" for _ in used)
    return substitute(expr, context.known), Reason(words, tuple(used))


def _contract(expr: Expr, _: Context) -> Proposal | None:
    found: list[Expr] = []

    def visit(total: SumOver) -> Expr:
        before = len(found)
        terms = [_contracted(term, total, found) for term in Add.make_args(_expanded(total.body))]
        return add(*terms) if len(found) > before else total

    after = _map_sums(expr, visit)
    return (after, Reason("{} leaves one term of the sum", (found[0],))) if found else None


def _expanded(body: Expr) -> Expr:
    """A product with a sum of terms, one of them with a δ, multiplied out."""
    parts = Mul.make_args(body)
    sums = [part for part in parts if isinstance(part, Add) and part.has(Delta)]
    if not sums:
        return body
    rest = [part for part in parts if part is not sums[0]]
    return add(*(mul(*rest, term) for term in sums[0].args))


def _contracted(term: Expr, total: SumOver, found: list[Expr]) -> Expr:
    """Σ of a product, each δ in it used up."""
    axes = total.axes
    while True:
        deltas = [d for d in Mul.make_args(term) if isinstance(d, Delta)]
        delta = next((d for d in deltas if set(d.indices) & set(axes)), None)
        if delta is None:
            contracted: Expr = SumOver(term, *axes)
            return contracted
        gone, stays = delta.indices
        if gone not in axes:
            gone, stays = stays, gone
        found.append(delta)
        axes = tuple(axis for axis in axes if axis != gone)
        term = rename(mul(*(part for part in Mul.make_args(term) if part != delta)), {gone: stays})


def _constants(expr: Expr, _: Context) -> Proposal | None:
    def visit(total: SumOver) -> Expr:
        outside, inside = _parted(total)
        bound = sorted_axes(set(total.axes) & free_axes(inside))
        lost = [axis.size for axis in total.axes if axis not in bound]
        return mul(outside, *lost, SumOver(inside, *bound))

    return _map_sums(expr, visit), Reason("constants leave the sum")


def _normalise(expr: Expr, context: Context) -> Proposal | None:
    chart = context.normal_form.chart
    solved = chart.solved
    if solved is None or solved.var.label not in {var.label for var in variables(expr)}:
        return None
    written = Definition(solved.var, chart.display(solved.expr))
    after = substitute(expr, {solved.var.label: written})
    terms = Add.make_args(written.expr)
    moved = [term for term in terms if chart.normalised not in term.free_symbols]
    left = add(solved.var, *(mul(-1, term) for term in moved))
    right = add(*(term for term in terms if term not in moved))
    return after, Reason("{} = {}", (left, right))


def _collect(expr: Expr, context: Context) -> Proposal | None:
    result = factored(context.normal_form.poly(expr), context.normal_form)
    if isinstance(result.primitive, Add) and result.content not in (1, -1):
        return result.expr, Reason("collect, factor out {}", (result.content,))
    return result.expr, Reason("collect")


# --- The rules, each with an example --------------------------------------------------------------

_i = Axis("i", "m")
_j = _i.prime()
_x, _z, _y = Var("x", _i), Var("z", _i), Var("y", _i)
_mu, _a = Var("mu"), Var("a")
_dy, _dz = adjoint(_y), adjoint(_z)

CENTRING = Layer(
    name="centring",
    title="Centring and scaling",
    source="the smallest layer that every rule applies to",
    data=_x,
    learnt=(_a,),
    parameters=(),
    definitions=(
        Definition(_mu, mean(_x, _i), "mean"),
        Definition(_z, _x - _mu, "centre"),
        Definition(_y, _a * _z, "scale"),
    ),
)

VANISH = Rule(
    "vanishing sum",
    r"\sum_i f_i = 0 \text{ where a definition says so}",
    _vanish,
    Example(
        add(SumOver(_dy, _i), mul(_a, SumOver(add(_x, mul(-1, _mu)), _i))),
        SumOver(_dy, _i),
    ),
)
KNOWN_SUM = Rule(
    "known sum",
    r"\sum_i f_i = s \text{ where a definition says so}",
    _known_sum,
    Example(mul(_a, SumOver(_x, _i)), mul(_a, _i.size, _mu)),
)
INSERT = Rule(
    "insert",
    r"v = f \Rightarrow g(v) = g(f)",
    _insert,
    Example(
        SumOver(_dz, _i),
        SumOver(mul(_dy, _a), _i),
        known=(Definition(_dz, mul(_dy, _a)),),
    ),
)
CONTRACT = Rule(
    "contract",
    r"\sum_i \delta_{ij} f_i = f_j",
    _contract,
    Example(SumOver(mul(Delta(_i, _j), _a, _z), _i), mul(_a, _z.at(_j))),
)
NORMALISE = Rule(
    "normalise",
    r"x_i = \mu + \hat{x}_i \sqrt{\sigma^2 + \varepsilon}",
    _normalise,
    Example(mul(_a, SumOver(mul(_dy, _x), _i)), mul(_a, SumOver(mul(_dy, add(_z, _mu)), _i))),
)
CONSTANTS = Rule(
    "constants",
    r"\sum_i c f_i = c \sum_i f_i",
    _constants,
    Example(SumOver(mul(_a, _dy, _z), _i), mul(_a, SumOver(mul(_dy, _z), _i))),
)
COLLECT = Rule(
    "collect",
    r"a f + a g = a (f + g)",
    _collect,
    Example(
        add(mul(_a, _dy), mul(-1, _a, mean(_dy, _i))),
        mul(Pow(_i.size, -1), _a, add(mul(_i.size, _dy), mul(-1, SumOver(_dy, _i)))),
    ),
)

RULES: tuple[Rule, ...] = (*(VANISH, KNOWN_SUM, INSERT, CONTRACT, NORMALISE, CONSTANTS, COLLECT),)

STAGE: tuple[Rule, ...] = (VANISH,)
REDUCE: tuple[Rule, ...] = (INSERT, CONTRACT, VANISH)
CLOSE: tuple[Rule, ...] = (NORMALISE, CONSTANTS, COLLECT)
LEMMA: tuple[Rule, ...] = (CONSTANTS, KNOWN_SUM)


def close(expr: Expr, context: Context) -> tuple[Step, ...]:
    """Steps to the closed form; the last group is taken only where it makes things simpler.

    (dσ²/dxᵢ is 2(xᵢ − μ)/m, which x̂ᵢ would only complicate.)
    """
    reduced = rewrite(expr, REDUCE, context)
    if reduced:
        expr = reduced[-1].after
    closed = rewrite(expr, CLOSE, context)
    if (
        closed
        and _size(closed[-1].after) <= _size(expr)
        and canonical(closed[-1].after) != canonical(expr)
    ):
        return reduced + closed
    return reduced


@cache
def _size(expr: Expr) -> int:
    """How much there is to read: quantities, numbers and exponents."""
    if isinstance(expr, Var | Delta) or not expr.args:
        return 0 if expr in (1, -1) else 1
    args = (expr.body,) if isinstance(expr, SumOver) else expr.args
    return sum(_size(arg) for arg in args)

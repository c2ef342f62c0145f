"""Each rule's example is what the rule does and is certified; a wrong rule's step is refused."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
from hypothesis import given
from sympy import Add, Expr, Integer, Mul, Pow

from derive.coordinates import chart_of
from derive.derivation import derive
from derive.expr import Definition, Delta, SumOver, Var, add, adjoint, canonical, mul, rename
from derive.layers.batch_norm import c, gamma, mu, n, x, x_hat
from derive.normal_form import NormalForm
from derive.rules import (
    CENTRING,
    CLOSE,
    LEMMA,
    REDUCE,
    RULES,
    STAGE,
    Context,
    Rule,
    close,
    rewrite,
)
from derive.trace import CertificationError, Reason
from tests.derive.expressions import FEW, dy, n1, n2, normal_form_of, normalised, values
from tests.derive.statements import derivation_of

BY_NAME = {rule.name: rule for rule in RULES}
(i,) = CENTRING.axes
j = i.prime()


def context_of(rule: Rule) -> Context:
    known = {definition.var.label: definition for definition in rule.example.known}
    return Context(NormalForm(chart_of(CENTRING), known))


# --- Examples -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BY_NAME)
def test_the_example_is_what_the_rule_does(name: str) -> None:
    rule = BY_NAME[name]
    (step,) = rewrite(rule.example.before, (rule,), context_of(rule))
    assert (step.rule, step.before) == (name, rule.example.before)
    assert step.after == rule.example.after
    assert step.reason.template.count("{}") == len(step.reason.formulas)
    assert rule.latex


@pytest.mark.parametrize("name", BY_NAME)
def test_a_rule_has_nothing_to_do_twice(name: str) -> None:
    rule = BY_NAME[name]
    assert rewrite(rule.example.after, (rule,), context_of(rule)) == ()


def test_every_rule_is_used() -> None:
    assert list(BY_NAME) == [rule.name for rule in RULES]
    groups = (STAGE, REDUCE, CLOSE, LEMMA)
    assert {rule.name for group in groups for rule in group} == set(BY_NAME)
    used = {step.rule for step in derivation_of("batch_norm").steps()}
    assert used == set(BY_NAME)


def test_the_layer_of_the_examples_is_a_layer() -> None:
    derivation = derive(CENTRING)
    dy_, a = adjoint(CENTRING.output), CENTRING.learnt[0]
    expected = a * (i.size * dy_ - SumOver(dy_, i)) / i.size
    assert canonical(derivation["dx"].closed) == canonical(expected)


# --- Damages --------------------------------------------------------------------------------------


def _first(expr: Expr, kind: type[Expr], damage: Callable[[Expr], Expr]) -> Expr:
    """The first node of a kind, damaged; the expression itself if there is none."""
    if isinstance(expr, kind):
        return damage(expr)
    if isinstance(expr, Delta | SumOver):
        return SumOver(_first(expr.body, kind, damage), *expr.axes) if expr.has(SumOver) else expr
    args = list(expr.args)
    for at, arg in enumerate(args):
        changed = _first(arg, kind, damage)
        if changed != arg:
            return expr.func(*args[:at], changed, *args[at + 1 :])
    return expr


def _index_moved(expr: Expr) -> Expr:
    """Read at another index: a free one, or the summed one of the first sum."""
    moved = rename(expr, {i: j, j: i})
    return (
        moved if moved != expr else _first(expr, SumOver, lambda total: rename(total.body, {i: j}))
    )


DAMAGES: dict[str, Callable[[Expr], Expr]] = {
    "sign flipped": lambda e: mul(-1, e),
    "sign of a term flipped": lambda e: _first(
        e, Add, lambda s: add(*s.args[:-1], mul(-1, s.args[-1]))
    ),
    "doubled": lambda e: mul(2, e),
    "a factor dropped": lambda e: _first(e, Mul, lambda p: mul(*p.args[1:])),
    "the last factor dropped": lambda e: _first(e, Mul, lambda p: mul(*p.args[:-1])),
    "a term dropped": lambda e: _first(e, Add, lambda s: s.args[0]),
    "a term too many": lambda e: add(e, 1),
    "another index": _index_moved,
    "a sum dropped": lambda e: _first(e, SumOver, lambda s: s.body),
    "summed once more": lambda e: SumOver(e, i),
    "a size dropped": lambda e: e.xreplace({i.size: Integer(1)}),
    "a power": lambda e: Pow(e, 2),
    "nothing left": lambda e: Integer(0),
}


def damaged(rule: Rule, damage: Callable[[Expr], Expr]) -> Rule:
    """The same rule, with something done to what it proposes."""

    def apply(expr: Expr, context: Context) -> tuple[Expr, Reason] | None:
        proposal = rule.apply(expr, context)
        assert proposal is not None
        return damage(proposal[0]), proposal[1]

    return replace(rule, apply=apply)


@pytest.mark.parametrize("name", BY_NAME)
def test_a_damaged_rule_is_refused(name: str) -> None:
    rule = BY_NAME[name]
    context, before, after = context_of(rule), rule.example.before, rule.example.after
    refused = []
    for what, damage in DAMAGES.items():
        if damage(after) == after:
            continue  # there is nothing of that kind to damage
        with pytest.raises(CertificationError, match=f"rule '{name}' changed the value: .* is not"):
            rewrite(before, (damaged(rule, damage),), context)
        refused.append(what)
    assert len(refused) >= 8
    assert {"sign flipped", "a factor dropped", "another index"} & set(refused)


def test_every_damage_is_done_somewhere() -> None:
    for damage in DAMAGES.values():
        assert any(damage(rule.example.after) != rule.example.after for rule in RULES)


def test_a_rule_that_reads_a_wrong_result_is_refused() -> None:
    """The results before, inserted, are not what was proved of them."""
    rule = BY_NAME["insert"]
    context = context_of(rule)
    (dz,) = rule.example.known
    wrong = {dz.var.label: Definition(dz.var, mul(2, dz.expr))}
    with pytest.raises(CertificationError):
        rewrite(
            rule.example.before,
            (rule,),
            Context(NormalForm(chart_of(CENTRING), wrong), context.prover),
        )


# --- Rules on random expressions ------------------------------------------------------------------


@FEW
@given(normalised)
def test_rules_change_no_value(expr: Expr) -> None:
    normal_form = normal_form_of("batch_norm")
    for step in rewrite(expr, RULES, Context(normal_form)):
        assert values(step.after) == values(step.before)
    steps = close(expr, Context(normal_form))
    for before, after in pairwise(steps):
        assert before.after == after.before


BATCH = Context(normal_form_of("batch_norm"))
APPLIED: dict[str, tuple[str, Expr, Expr]] = {
    "vanish at another index": (
        "vanishing sum",
        add(gamma, SumOver(add(x.at(n1, c), mul(-1, mu)), n1)),
        gamma,
    ),
    "vanish within a product": (
        "vanishing sum",
        add(gamma, mul(gamma, SumOver(mul(2, x_hat), n))),
        gamma,
    ),
    "two deltas": (
        "contract",
        SumOver(mul(Delta(n, n1), Delta(n1, n2), x.at(n1, c)), n1),
        mul(Delta(n, n2), x),
    ),
    "a delta among terms": (
        "contract",
        SumOver(mul(dy, add(mul(2, Delta(n, n1)), -1)), n),
        add(mul(2, dy.at(n1, c)), SumOver(mul(-1, dy), n)),
    ),
    "a constant alone": ("constants", SumOver(mul(gamma, mu), n), mul(gamma, mu, n.size)),
    "a constant of one axis": (
        "constants",
        SumOver(mul(gamma, dy), n, c),
        SumOver(mul(gamma, dy), c, n),
    ),
}


@pytest.mark.parametrize("name", APPLIED)
def test_applied(name: str) -> None:
    rule, before, after = APPLIED[name]
    steps = rewrite(before, (BY_NAME[rule],), BATCH)
    assert canonical(steps[-1].after if steps else before) == canonical(after)


@pytest.mark.parametrize(
    ("rule", "expr"),
    [
        ("vanishing sum", SumOver(dy, n)),
        # 0 for no reason that a definition gives
        ("vanishing sum", SumOver(add(gamma * (x + mu), -gamma * x, -gamma * mu), n)),
        ("insert", dy),
        ("contract", SumOver(dy, n)),
        ("contract", mul(Delta(n, n1), dy)),
        ("contract", SumOver(mul(Delta(n, n1), gamma), c)),
        ("normalise", x_hat),
        ("constants", SumOver(mul(dy, x_hat), n)),
    ],
)
def test_a_rule_with_no_use_proposes_nothing(rule: str, expr: Expr) -> None:
    assert rewrite(expr, (BY_NAME[rule],), BATCH) == ()


def test_closing_is_left_out_where_it_would_make_things_longer() -> None:
    """dσ²/dxᵢ is 2(xᵢ − μ)/m, which x̂ᵢ would only complicate."""
    (entry,) = (r for r in derivation_of("batch_norm").entries() if str(r.lhs).count("var"))
    assert {v.label for v in entry.closed.atoms(Var)} == {"x", "mu"}

"""Nested dual numbers against the study of higher orders, and what they catch."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest
from sympy import Add, Expr

from derive.derivation import derive
from derive.differentiate import vjp
from derive.expr import Definition, SumOver, add, adjoint, mul, substitute
from derive.layers.batch_norm import BATCH_NORM, beta, gamma, mu, var, x, y
from derive.second_order import backward_program, cotangent, gradient
from derive.studies.higher_orders import STUDY
from derive.study import Section
from derive.trace import Result
from verify.exact_orders import check, directional, double_backward, point
from verify.fields import FIELDS, RATIONALS

SECTIONS = STUDY.develop()


def _failed(sections: list[Section]) -> set[str]:
    return {o.claim for o in check(sections, [2, 3], 0) if o.failures}


def _with_conclusion(section: int, label: str, expr: Expr) -> list[Section]:
    sections = list(SECTIONS)
    old = sections[section]
    conclusions = tuple(
        Definition(d.var, expr) if d.var.label == label else d for d in old.conclusions
    )
    sections[section] = replace(old, conclusions=conclusions)
    return sections


def _conclusions() -> list[tuple[int, str, Expr]]:
    return [(k, d.var.label, d.expr) for k, s in enumerate(SECTIONS) for d in s.conclusions]


def test_everything_is_confirmed() -> None:
    assert _failed(list(SECTIONS)) == set()


@pytest.mark.parametrize(("section", "label", "expr"), _conclusions())
def test_a_dropped_term_is_caught(section: int, label: str, expr: Expr) -> None:
    """Every term of every closed form, outermost and inside its brackets."""
    brackets = [node for node in expr.atoms(Add) if any(t.has(SumOver) for t in node.args)]
    for bracket in {*brackets, *([expr] if isinstance(expr, Add) else [])}:
        for term in bracket.args:
            rest = add(*(t for t in bracket.args if t is not term))
            damaged = expr.xreplace({bracket: rest})
            failed = _failed(_with_conclusion(section, label, damaged))
            assert f"{SECTIONS[section].title}: {label}" in failed


def test_statistics_held_constant_are_caught() -> None:
    """The double backward of a backward whose mu and variance were saved as constants."""
    derivation = derive(BATCH_NORM)
    seeds = {adjoint(v): cotangent(adjoint(v)) for v in (x, gamma, beta)}
    kept = [d for d in backward_program(derivation) if d.var not in (mu, var)]
    wrt = (adjoint(y), x, gamma)
    held = {d.var.label: d for d in vjp(kept, seeds, wrt, gradient)}
    inserted = {"g_x_hat": held["g_x_hat"]}
    for of in wrt:
        label = gradient(of).label
        expr = substitute(held[label].expr, inserted)
        failed = _failed(_with_conclusion(1, label, expr))
        assert failed == ({"Double backward: g_x"} if of == x else set())


def test_a_third_order_with_held_statistics_is_caught() -> None:
    """D2y differentiated along p while x_hat and the variance stay where they are is 0, and with
    x_hat alone moving it is not the third derivative."""
    (section,) = [s for s in SECTIONS if s.title == "Along one direction"]
    d2y = next(d.expr for d in section.conclusions if d.var.label == "D2y")
    place = SECTIONS.index(section)
    assert "Along one direction: D3y" in _failed(_with_conclusion(place, "D3y", mul(0)))
    scaled = mul(3, d2y)
    assert "Along one direction: D3y" in _failed(_with_conclusion(place, "D3y", scaled))


def test_a_wrong_stage_is_caught() -> None:
    sections = list(SECTIONS)
    results = [e for e in sections[1].entries if isinstance(e, Result)]
    for result in results[:3]:
        last = replace(result.steps[-1], after=mul(2, result.closed))
        wrong = replace(result, closing=(*result.closing[:-1], last))
        entries = tuple(wrong if e is result else e for e in sections[1].entries)
        damaged = [sections[0], replace(sections[1], entries=entries), *sections[2:]]
        assert f"Double backward: {result.var.label}" in _failed(damaged)


def test_the_two_oracles_of_the_double_backward_agree() -> None:
    """Nested duals of the definition, and the response of the backward written by hand."""
    for over in FIELDS:
        truth = point(over.name, 4).backward
        channels = {at[1] for at in truth["x"]}
        for c in channels:
            total = sum(value for (_, k), value in truth["g_x"].items() if k == c)
            assert total == 0
            pairs = sum(
                truth["v_dx"][at] * value for at, value in truth["dx"].items() if at[1] == c
            )
            assert pairs == truth["gamma"][c,] * truth["g_gamma"][c,]


def test_directions_of_nested_duals_commute() -> None:
    rng = Random(1)
    truth = point(RATIONALS.name, 3).backward
    given = {label: truth[label] for label in ("x", "gamma", "beta", "eps")}
    one, two = ({at: RATIONALS.random(rng) for at in truth["x"]} for _ in range(2))
    assert directional(RATIONALS, given, (one, two)) == directional(RATIONALS, given, (two, one))
    zero = {at: RATIONALS.number(0) for at in truth["x"]}
    assert set(directional(RATIONALS, given, (one, zero, two)).values()) == {0}
    v = {label: truth[label] for label in ("v_dx", "v_dgamma", "v_dbeta")}
    found = double_backward(RATIONALS, given, truth["dy"], v)
    assert found["g_x"] == truth["g_x"]

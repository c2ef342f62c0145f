"""Passes over memory: as few as can be, each from what is ready, no local value kept."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Expr, Pow

from codegen.ir import Assign, GroupPass, MapPass, Pass, Program, ReducePass, is_sum
from codegen.schedule import schedule
from derive.expr import SumOver, Var, add, free_axes, mul, variables
from derive.layers.batch_norm import c, gamma, n, x
from tests.codegen.machine import SQUARE, drawn, point, run, run_passes, stages
from tests.derive.statements import derivation_of
from verify.fields import Values

SCHEDULED = ("forward", "backward", "jvp")
dy = Var("dy", n, c)
GIVEN = (x, dy, gamma)
FULL = frozenset((n, c))


def readings(passes: tuple[Pass, ...]) -> int:
    return sum(not isinstance(step, GroupPass) for step in passes)


def kept(step: Pass) -> tuple[Assign, ...]:
    """What a pass leaves behind."""
    if isinstance(step, ReducePass):
        return step.sums
    return step.assigns if isinstance(step, GroupPass) else step.results


def fewest(program: Program) -> int:
    """The longest chain of sums that need each other, and a reading for what is then written."""
    depth = {var.label: 0 for var in program.given}
    for assign in program.assigns:
        before = max((depth[var.label] for var in variables(assign.expr)), default=0)
        depth[assign.target.label] = before + is_sum(assign)
    return max(depth.values()) + any(free_axes(var) == FULL for var in program.results)


@cache
def scheduled(name: str, kernel: str) -> tuple[Program, tuple[Pass, ...]]:
    *_, (_, program, _) = stages(name, kernel)
    return program, schedule(program, derivation_of(name).layer.data)


# --- The layers' kernels -------------------------------------------------------------------------

READINGS = {
    # Σx gives the centre; Σd and Σd² of the data less that centre give the rest of the mean and the
    # variance; only then can y be written.  The two sums at once would be E[x²] − μ².
    ("batch_norm", "forward"): 3,
    # Σg and Σgx̂ need the kept statistics only, so one reading makes both; dx needs them both.
    ("batch_norm", "backward"): 2,
    ("batch_norm", "jvp"): 2,
    ("no mean", "forward"): 2,  # nothing is centred: the mean square, then y
    ("unbiased", "forward"): 3,
    ("batch_norm_inference", "forward"): 1,  # the statistics are given
    ("batch_norm_inference", "backward"): 2,
    ("rms_norm", "forward"): 2,
    ("softmax", "forward"): 2,
    ("softmax", "backward"): 2,
    # The sums of dx are along a sample, those of dgamma across samples: a reading for each.
    ("layer_norm", "backward"): 3,
}


@pytest.mark.parametrize(("name", "kernel"), READINGS)
def test_readings_are_as_few_as_can_be(name: str, kernel: str) -> None:
    _, passes = scheduled(name, kernel)
    assert readings(passes) == READINGS[name, kernel]


@pytest.mark.parametrize("name", SQUARE)
def test_schedules_compute_what_their_programs_do(name: str) -> None:
    for kernel in SCHEDULED:
        program, passes = scheduled(name, kernel)
        check_order(program, passes, frozenset(derivation_of(name).layer.data.axes))
        values = {var.label: point(name)[var.label] for var in program.given}
        expected, results = run(program.assigns, values), run_passes(passes, values)
        for var in program.results:
            assert results[var.label] == expected[var.label], (kernel, var)


def check_order(program: Program, passes: tuple[Pass, ...], full: frozenset[Expr]) -> None:
    ready = set(program.given)
    for step in passes:
        local = () if isinstance(step, GroupPass) else step.local
        here = set(ready)
        for assign in local:
            assert free_axes(assign.target) == full
            assert assign.target not in program.results
            assert set(variables(assign.expr)) <= here
            here.add(assign.target)
        for assign in kept(step):
            assert set(variables(assign.expr)) <= here
            assert is_sum(assign) == isinstance(step, ReducePass)
            assert (free_axes(assign.target) == full) == isinstance(step, MapPass)
            if isinstance(step, ReducePass):
                assert assign.expr.axes == step.axes
            if isinstance(step, GroupPass):
                here.add(assign.target)
        ready |= {assign.target for assign in kept(step)}
        needed = {v for a in (*local, *kept(step)) for v in variables(a.expr)}
        assert {assign.target for assign in local} <= needed
    stored = [assign for step in passes for assign in kept(step)]
    targets = [assign.target for assign in stored]
    assert len(set(targets)) == len(targets)
    assert set(program.results) <= set(targets)
    assert set(stored) <= set(program.assigns)
    assert all(free_axes(t) != full or t in program.results for t in targets)


# --- Random programs -----------------------------------------------------------------------------


@st.composite
def programs(draw: st.DrawFn) -> Program:
    """Local values, values per channel and sums, each of some made before; then what is written."""
    elements: list[Var] = [x, dy]
    channels: list[Var] = [gamma]
    assigns: list[Assign] = []

    def some(group: list[Var]) -> Expr:
        return mul(*draw(st.lists(st.sampled_from(group), min_size=1, max_size=2)))

    for k in range(draw(st.integers(0, 9))):
        kind = draw(st.sampled_from(["local", "channel", "sum"]))
        element = add(mul(2, some(elements)), some(channels))
        if kind == "local":
            assigns.append(Assign(Var(f"v{k}", n, c), element))
            elements.append(assigns[-1].target)
            continue
        expr = SumOver(element, n) if kind == "sum" else add(some(channels), Pow(some(channels), 2))
        assigns.append(Assign(Var(f"v{k}", c), expr))
        channels.append(assigns[-1].target)
    written = [
        Assign(Var(f"w{k}", n, c), add(some(elements), some(channels)))
        for k in range(draw(st.integers(0, 2)))
    ]
    results = (*channels[1:], *(assign.target for assign in written))
    return Program(GIVEN, (*assigns, *written), results)


def _point() -> Values:
    rng = Random(0)
    return {var.label: drawn(var, rng) for var in GIVEN}


@settings(max_examples=40, deadline=None)
@given(programs(), st.randoms(use_true_random=False))
def test_random_programs(program: Program, rng: Random) -> None:
    passes = schedule(program, x)
    check_order(program, passes, FULL)
    assert readings(passes) == fewest(program)
    expected, results = run(program.assigns, _point()), run_passes(passes, _point())
    assert {v: results[v.label] for v in program.results} == {
        v: expected[v.label] for v in program.results
    }
    shuffled = list(program.assigns)
    rng.shuffle(shuffled)
    again = schedule(replace(program, assigns=tuple(shuffled)), x)
    check_order(program, again, FULL)
    assert readings(again) == readings(passes)


def test_a_local_value_is_computed_again_in_every_pass_that_reads_it() -> None:
    v, s, w = Var("v", n, c), Var("s", c), Var("w", n, c)
    local = Assign(v, mul(gamma, x))
    total, written = Assign(s, SumOver(v, n)), Assign(w, add(v, s))
    passes = schedule(Program((x, gamma), (local, total, written), (w,)), x)
    assert passes == (ReducePass((n,), (local,), (total,)), MapPass((local,), (written,)))


# --- What has no order ---------------------------------------------------------------------------

s, t, v, w = Var("s", c), Var("t", c), Var("v", n, c), Var("w", n, c)
IMPOSSIBLE = {
    "nobody makes dy": [Assign(s, SumOver(dy, n))],
    "two wait for each other": [Assign(s, mul(2, t)), Assign(t, mul(2, s))],
    "a value waits for itself": [Assign(s, SumOver(mul(s, x), n))],
    # What is written is rounded, and not read again.
    "a sum of what is written": [Assign(w, mul(2, x)), Assign(s, SumOver(w, n))],
    "a result of what is written": [Assign(w, mul(2, x)), Assign(v, add(w, 1))],
}


@pytest.mark.parametrize("case", IMPOSSIBLE)
def test_an_impossible_order_raises(case: str) -> None:
    assigns = tuple(IMPOSSIBLE[case])
    program = Program((x, gamma), assigns, tuple(assign.target for assign in assigns))
    with pytest.raises(AssertionError, match=r"^no order of passes for \['[stvw]\["):
        schedule(program, x)

"""Programs are the derivation's own formulas: what each is given, what it computes and returns."""

from __future__ import annotations

from dataclasses import replace

import pytest

from codegen.ir import Program
from codegen.lower import lower
from derive.errors import InputError
from derive.expr import SumOver, Var, adjoint, mul, variables
from tests.codegen.machine import SQUARE, computed, kernels_of, programs_of
from tests.derive.statements import derivation_of

# given -> results | what is computed on the way, results included
PROGRAMS = {
    "batch_norm": {
        "forward": "x gamma beta eps -> mu var y | mu var x_hat y",
        "backward": "x gamma eps mu var dy -> dx dgamma dbeta | x_hat dx dgamma dbeta",
        "backward_staged": "x gamma eps mu var dy -> dx dgamma dbeta "
        "| x_hat dx_hat dvar dmu dx dgamma dbeta",
        "jvp": "x gamma eps mu var x_dot gamma_dot beta_dot -> y_dot | x_hat y_dot",
        "jacobian": "x gamma eps mu var -> u R | x_hat u R",
    },
    "layer_norm": {
        "forward": "x gamma beta eps -> mu var y | mu var x_hat y",
        "backward": "x gamma eps mu var dy -> dx dgamma dbeta | x_hat dx dgamma dbeta",
        "backward_staged": "x gamma eps mu var dy -> dx dgamma dbeta "
        "| x_hat dx_hat dvar dmu dx dgamma dbeta",
        "jvp": "x gamma eps mu var x_dot gamma_dot beta_dot -> y_dot | x_hat y_dot",
        "jacobian": "x gamma eps mu var -> u R | x_hat u R",
    },
    "rms_norm": {
        "forward": "x gamma eps -> mean_square y | mean_square x_hat y",
        "backward": "x gamma eps mean_square dy -> dx dgamma | x_hat dx dgamma",
        "backward_staged": "x gamma eps mean_square dy -> dx dgamma "
        "| x_hat dx_hat dmean_square dx dgamma",
        "jvp": "x gamma eps mean_square x_dot gamma_dot -> y_dot | x_hat y_dot",
        "jacobian": "x gamma eps mean_square -> u R | x_hat u R",
    },
    "softmax": {
        "forward": "x -> Z p | e Z p",
        "backward": "x Z dp -> dx | e p dx",
        "backward_staged": "x Z dp -> dx | e dZ de dx",
        "jvp": "x Z x_dot -> p_dot | e p p_dot",
        "jacobian": "x Z -> u R | e p u R",
    },
    # dmu is zero, so it is neither computed nor read.
    "not centred": {
        "backward_staged": "x gamma eps mu var dy -> dx dgamma dbeta "
        "| x_hat dx_hat dvar dx dgamma dbeta",
    },
    "no mean": {
        "forward": "x gamma beta eps -> var y | var x_hat y",
        "backward": "x gamma eps var dy -> dx dgamma dbeta | x_hat dx dgamma dbeta",
    },
    "no gamma": {
        "forward": "x beta eps -> mu var y | mu var x_hat y",
        "backward_staged": "x eps mu var dy -> dx dbeta | dx_hat dvar dmu dx dbeta",
        "jvp": "x eps mu var x_dot beta_dot -> y_dot | x_hat y_dot",
    },
    "x_hat twice": {
        "backward": "x gamma beta eps mu var dy -> dx dgamma dbeta | x_hat dx dgamma dbeta",
    },
    "named std": {
        "backward_staged": "x gamma eps mu var dy -> dx dgamma dbeta "
        "| std x_hat dx_hat dstd dvar dmu dx dgamma dbeta",
    },
}
CASES = [(name, kernel) for name, programs in PROGRAMS.items() for kernel in programs]


def _labels(group: tuple[Var, ...]) -> str:
    return " ".join(var.label for var in group)


def _summary(program: Program) -> str:
    made = _labels(tuple(assign.target for assign in program.assigns))
    return f"{_labels(program.given)} -> {_labels(program.results)} | {made}"


@pytest.mark.parametrize(("name", "kernel"), CASES)
def test_givens_and_results(name: str, kernel: str) -> None:
    assert _summary(kernels_of(name)[kernel]) == PROGRAMS[name][kernel]


@pytest.mark.parametrize("name", SQUARE)
def test_programs_are_complete_and_hold_nothing_else(name: str) -> None:
    layer = derivation_of(name).layer
    for kernel, program in kernels_of(name).items():
        ready = {var.label for var in program.given}
        read: set[str] = set()
        for assign in program.assigns:
            needs = {var.label for var in variables(assign.expr)}
            assert needs <= ready, (kernel, assign)
            assert assign.target.label not in ready
            assert assign.note or all(not d.note for d in layer if d.var == assign.target)
            ready.add(assign.target.label)
            read |= needs
        results = {var.label for var in program.results}
        assert results <= ready
        assert ready - results <= read or kernel == "forward"


@pytest.mark.parametrize("name", SQUARE)
def test_forward_is_the_definitions_and_keeps_the_statistics(name: str) -> None:
    layer, programs = derivation_of(name).layer, programs_of(name)
    forward = [(a.target, a.expr, a.note) for a in programs.forward.assigns]
    assert forward == [(d.var, d.expr, d.note) for d in layer]
    assert programs.forward.given == (*layer.inputs, *layer.parameters)
    assert programs.statistics == tuple(d.var for d in layer if d.expr.has(SumOver))
    assert programs.forward.results == (*programs.statistics, layer.output)


@pytest.mark.parametrize("name", SQUARE)
def test_backward_is_the_closed_forms_and_jvp_the_tangent(name: str) -> None:
    derivation, programs = derivation_of(name), programs_of(name)
    wanted = tuple(adjoint(var) for var in derivation.layer.inputs)
    for program in (programs.backward, programs.backward_staged):
        assert program.results == wanted
    closed = {a.target.label: a.expr for a in programs.backward.assigns}
    assert {v.label: closed[v.label] for v in wanted} == {
        v.label: derivation[v.label].closed for v in wanted
    }
    pushed = programs.jvp.assigns[-1]
    assert (pushed.target, pushed.expr) == (derivation.tangent.var, derivation.tangent.closed)


def test_a_zero_staged_adjoint_is_left_out() -> None:
    derivation, staged = derivation_of("not centred"), programs_of("not centred").backward_staged
    assert derivation["dmu"].staged == 0
    assert "dmu" not in staged.names()
    assert all("dmu" not in {v.label for v in variables(a.expr)} for a in staged.assigns)
    assert "dmu" in programs_of("batch_norm").backward_staged.names()


def test_without_a_jacobian_there_are_no_kernels() -> None:
    with pytest.raises(
        InputError, match=r"^batch_norm has no square Jacobian, and no kernels yet$"
    ):
        lower(replace(derivation_of("batch_norm"), jacobian=None))


# --- The values, on exact numbers ----------------------------------------------------------------


@pytest.mark.parametrize("name", ["batch_norm", "layer_norm", "softmax", "not centred"])
def test_the_staged_form_gives_what_the_closed_form_gives(name: str) -> None:
    kernels = kernels_of(name)
    expected = computed(kernels["backward"], name)
    assert computed(kernels["backward_staged"], name) == expected
    doubled = [
        replace(a, expr=mul(2, a.expr)) if a.target == kernels["backward"].results[0] else a
        for a in kernels["backward_staged"].assigns
    ]
    wrong = replace(kernels["backward_staged"], assigns=tuple(doubled))
    assert computed(wrong, name) != expected


def test_a_changed_closed_form_changes_the_program() -> None:
    """Nothing is written down a second time in the lowering."""
    derivation = derivation_of("batch_norm")
    dx = derivation["dx"]
    wrong = replace(dx.closing[-1], after=mul(2, dx.closed))
    damaged = replace(dx, closing=(*dx.closing[:-1], wrong))
    adjoints = tuple(damaged if result is dx else result for result in derivation.adjoints)
    programs = lower(replace(derivation, adjoints=adjoints))
    made = {assign.target: assign.expr for assign in programs.backward.assigns}
    assert made[dx.var] == mul(2, dx.closed)
    assert programs.backward_staged == programs_of("batch_norm").backward_staged

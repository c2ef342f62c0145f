"""The pass that makes polynomials of sums and results: what it makes, what is refused."""

from __future__ import annotations

from dataclasses import replace

import pytest

from codegen.backends.numba_passes import NUMBA_PASSES, linear_in_data
from codegen.deployment import build_deployment
from codegen.ir import Assign, MapPass, Program, ReducePass
from codegen.lower import lower
from codegen.pipeline import Kernel, Kernels, build, transform
from codegen.second_order import build_second_order
from derive.derivation import Derivation, derive
from derive.expr import add, mul
from derive.grammar.layer_file import parse_layer
from derive.layers import LAYERS
from derive.trace import CertificationError


@pytest.fixture(scope="module")
def kernels() -> Kernels:
    return build(derive(LAYERS["batch_norm"]), NUMBA_PASSES)


def sums(kernel: Kernel) -> list[list[str]]:
    """The bodies of the sums of each reading, by size."""
    passes = [step for step in kernel.passes if isinstance(step, ReducePass)]
    return [sorted(str(a.expr.body) for a in step.sums) for step in passes]


def results(kernel: Kernel) -> dict[str, str]:
    passes = [step for step in kernel.passes if isinstance(step, MapPass)]
    return {a.target.label: str(a.expr) for step in passes for a in step.results}


def test_sums_are_of_monomials(kernels: Kernels) -> None:
    assert sums(kernels.forward) == [["x[n,c]"], ["x_shifted[n,c]", "x_shifted[n,c]**2"]]
    assert sums(kernels.backward) == [["dy[n,c]", "dy[n,c]*x_shifted[n,c]"]]
    assert sums(kernels.jvp) == [["x_dot[n,c]", "x_dot[n,c]*x_shifted[n,c]"]]


def test_a_result_takes_one_multiplication_for_each_datum(kernels: Kernels) -> None:
    assert results(kernels.forward) == {"y": "x_shifted[n,c]*y_per_xshifted[c] + y_offset[c]"}
    dx = "dx_offset[c] + dx_per_dy[c]*dy[n,c] + dx_per_xshifted[c]*x_shifted[n,c]"
    assert results(kernels.backward) == {"dx": dx}


def test_what_cancels_for_one_element_is_left_to_cancel(kernels: Kernels) -> None:
    """beta_dot is no part of the offset, beside which m x_dot - sum x_dot would be rounded."""
    assert "+ y_dot_offset[c]" in results(kernels.jvp)["y_dot"]
    assert "beta_dot[c] +" in results(kernels.jvp)["y_dot"]


def test_data_are_not_expanded_about_their_origin() -> None:
    """Test mode has one value for its mean, which has to be subtracted before anything else."""
    infer = build_deployment(NUMBA_PASSES).infer
    assert results(infer) == {"y": "beta[c] + x_shifted[n,c]*y_per_xshifted[c]"}


def test_centred_cotangents_stay_centred() -> None:
    kernel = build_second_order(derive(LAYERS["batch_norm"]), NUMBA_PASSES).kernel
    assert sums(kernel)[0] == ["dy[n,c]", "v_dx[n,c]"]
    assert "dy_c[n,c]*v_dx_c[n,c]" in sums(kernel)[1]


def test_what_is_no_polynomial_is_left_whole() -> None:
    text = """
axes: n (m), c (C)
x[n, c]; gamma[c]; eps > 0
mu[c]       = mean[n](x)
spread[c]   = mean[n](abs(x - mu))
y[n, c] = gamma * (x - mu) / (spread + eps)
"""
    kernel = build(derive(parse_layer(text, "spread")), NUMBA_PASSES).forward
    assert any("Absolute" in str(a.expr) or "abs" in str(a.expr).lower()
               for step in kernel.passes if isinstance(step, ReducePass)
               for a in (*step.local, *step.sums))  # fmt: skip


def damaged(program: Program, derivation: Derivation, change: str) -> Program:
    """The pass, with one of its coefficients wrong."""
    program = linear_in_data(program, derivation)

    def wrong(assign: Assign) -> Assign:
        if assign.target.label != change:
            return assign
        return replace(assign, expr=add(mul(2, assign.expr), 0))

    return replace(program, assigns=tuple(wrong(a) for a in program.assigns))


@pytest.mark.parametrize("change", ["dx_offset", "dx_per_dy", "dx_per_xshifted", "sum_dy_xhat"])
def test_a_wrong_coefficient_is_refused(change: str) -> None:
    derivation = derive(LAYERS["batch_norm"])

    def wrong(program: Program, derivation: Derivation) -> Program:
        return damaged(program, derivation, change)

    passes = (*NUMBA_PASSES[:-1], wrong)
    with pytest.raises(CertificationError, match="wrong changed d"):
        transform(lower(derivation).backward, passes, derivation)

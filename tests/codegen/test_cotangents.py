"""Sums of cotangents about numbers near their means: the same results, and what is checked."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from codegen.cotangents import centre_cotangents, centred_in, shifted_of
from codegen.ir import Program
from codegen.linear import LinearKernel, linear_kernels, separate
from codegen.passes import PASSES
from codegen.pipeline import build, transform
from derive.derivation import Derivation
from derive.expr import SumOver, mul
from derive.trace import CertificationError
from generated.numpy_kernels import batch_norm
from tests.derive.statements import derivation_of


def backward() -> tuple[Program, Derivation]:
    derivation = derivation_of("batch_norm")
    return build(derivation).backward.program, derivation


def test_what_is_summed_is_about_a_centre_and_what_is_mapped_is_not() -> None:
    program, derivation = backward()
    separated, _ = transform(program, (*PASSES, separate), derivation)
    centred, proofs = transform(separated, (centre_cotangents,), derivation)
    assert proofs >= 3
    ((centre, dy),) = centred_in(centred)
    assert (centre.label, dy.label) == ("dy_centre", "dy")
    summed = [a.expr for a in centred.assigns if isinstance(a.expr, SumOver)]
    assert summed
    assert all(shifted_of(dy) in e.body.atoms(type(dy)) for e in summed)
    (dx,) = (a for a in centred.assigns if a.target.label == "dx")
    assert dy in dx.expr.atoms(type(dy))
    assert centre not in dx.expr.atoms(type(dy))


def test_a_program_without_a_centre_of_the_data_is_left_alone() -> None:
    derivation = derivation_of("batch_norm")
    program = build(derivation).forward.program
    assert centre_cotangents(program, derivation) == program


def test_a_centre_that_counts_is_refused() -> None:
    program, derivation = backward()

    def wrong(given: Program, _: object) -> Program:
        found = centre_cotangents(given, derivation)
        twice = [
            replace(a, expr=mul(2, a.expr)) if a.target.label == "dy_shifted" else a
            for a in found.assigns
        ]
        return replace(found, assigns=tuple(twice))

    with pytest.raises(CertificationError, match="wrong"):
        transform(program, (*PASSES, separate, wrong), derivation)


def test_kernels_choose_their_centres() -> None:
    kernels = linear_kernels(build(derivation_of("batch_norm")))
    for kernel, array in ((kernels.backward, "dy"), (kernels.jvp, "x_dot")):
        assert isinstance(kernel, LinearKernel)
        ((centre, of),) = kernel.centres
        assert of.label == array
        assert centre not in kernel.program.given
    assert isinstance(kernels.forward, LinearKernel)
    assert not kernels.forward.centres


@pytest.mark.parametrize("mean", [0.0, 0.01, 3.0])
def test_gradients_with_a_mean_are_summed_in_float32(
    mean: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=(20_000, 12)).astype(np.float32)
    dy = (rng.normal(size=x.shape) + mean).astype(np.float32)
    held = []

    def holds(work: batch_norm._Work, *arguments: Any) -> bool:
        held.append(original(work, *arguments))
        return held[-1]

    original = batch_norm._Work.holds
    monkeypatch.setattr(batch_norm._Work, "holds", holds)
    dx, dgamma, _ = batch_norm.backward(dy, batch_norm.forward(x)[1])
    assert held == [True] + ([True] if mean < 1 else [False])  # dx is small beside dy
    wide, upstream = x.astype(float), dy.astype(float)
    x_hat = (wide - wide.mean(0)) / np.sqrt(wide.var(0) + 1e-5)
    exact = (upstream * x_hat).sum(0)
    assert abs(dgamma - exact).max() <= 8 * 2.0**-24 * abs(exact).max()
    assert np.isfinite(dx).all()

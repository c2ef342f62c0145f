"""Mistakes made on purpose are found again, and what is found is no accident of the probes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from derive.derivation import derive
from derive.layers import LAYERS
from verify.audit.arrays import run
from verify.audit.diagnosis import diagnose
from verify.audit.hypotheses import bases, gradients, hypotheses, redefinitions
from verify.audit.predictor import Predictor, predict
from verify.audit.probes import KERNELS, Floats, Probe, probes, scales, truth
from verify.audit.sample import Sample

PICKED = 101  # every so many hypotheses of each layer are tried


def matrices(layer: str) -> list[Probe]:
    return [probe for probe in probes(layer) if probe.x.ndim == 2]


@pytest.mark.parametrize("name", KERNELS)
def test_every_right_program_gives_the_exact_gradients(name: str) -> None:
    """What mistakes are made in is right itself, on images too."""
    layer = LAYERS[name]
    right = [*bases(derive(layer))]
    for probe in (*probes(name)[:2], *probes(name)[-2:]):
        predictor, scale = Predictor(layer, probe), scales(probe)
        for base in right:
            found = predictor.results(run(base.program, predictor.space, predictor.given))
            for label in gradients(layer):
                error = abs(found[label] - truth(probe)[label]).max() / scale[label]
                assert error < 1e-10, (probe.name, base.name, label)


@pytest.mark.parametrize("name", KERNELS)
def test_a_mistake_is_found_again(name: str) -> None:
    """And what explains it on the probes explains it on another batch."""
    layer, fresh = LAYERS[name], replace(probes(name)[1], eps=0.7)
    tried = 0
    for hypothesis in [*hypotheses(layer), *redefinitions(layer)][::PICKED]:
        made = {probe: predict(layer, hypothesis, probe) for probe in matrices(name)}
        if any(set(results) != set(gradients(layer)) for results in made.values()):
            continue  # of other shapes, or not finite: no kernel returns that
        samples = [Sample(probe, results) for probe, results in made.items()]
        wrong = [g for g in gradients(layer) if differs(samples, g)]
        if not wrong:
            continue  # it makes no difference, such as a mistake in y
        (found, *_) = diagnose(layer, samples, wrong)
        expected, got = (predict(layer, h, fresh) for h in (hypothesis, found.hypothesis))
        for label in found.outputs:
            assert np.allclose(got[label], expected[label], rtol=1e-7, atol=1e-9), hypothesis.key
        tried += 1
    assert tried > 4


def differs(samples: list[Sample], label: str) -> bool:
    return any(
        abs(s.results[label] - truth(s.probe)[label]).max() > 1e-9 * scales(s.probe)[label]
        for s in samples
    )


def test_what_is_no_mistake_of_the_derivation_is_not_explained() -> None:
    layer = LAYERS["batch_norm"]
    samples = [
        Sample(p, {**truth(p), "dx": truth(p)["dx"] + 0.1 * np.sin(p.x)})
        for p in matrices("batch_norm")
    ]
    assert diagnose(layer, samples, ["dx"]) == ()


def test_two_mistakes_in_two_gradients_are_told_apart() -> None:
    layer = LAYERS["batch_norm"]
    samples = [
        Sample(p, {"dx": -truth(p)["dx"], "dgamma": truth(p)["dgamma"], "dbeta": p.dy.mean(0)})
        for p in matrices("batch_norm")
    ]
    first, second = diagnose(layer, samples, ["dx", "dbeta"])
    assert (first.outputs, first.hypothesis.key) == (("dx",), ("sign flipped", "dx"))
    assert (second.outputs, second.hypothesis.key) == (("dbeta",), ("1/m too many", "dbeta"))


def made(name: str, wrong: str, change: Callable[[Probe, Floats], Floats]) -> list[Sample]:
    """The right gradients, but for one of them."""
    return [Sample(p, {**truth(p), wrong: change(p, truth(p)[wrong])}) for p in matrices(name)]


def test_two_mistakes_in_one_line() -> None:
    layer = LAYERS["batch_norm"]
    samples = made("batch_norm", "dx", lambda p, dx: dx / p.gamma * p.m / (p.m - 1))
    (found,) = diagnose(layer, samples, ["dx"])
    assert {kind for kind, _ in found.hypothesis.mistakes} == {"gamma missing", "m-1 for m"}
    assert found.same == ()  # the same two the other way round are not told


def test_other_factors_of_the_terms_are_found() -> None:
    """Which no mistake of the list explains."""
    layer = LAYERS["layer_norm"]
    samples = made(
        "layer_norm",
        "dx",
        lambda p, dx: (
            dx - 0.3 * p.weighted.mean(1)[:, None] / (np.sqrt(p.x.var(1, keepdims=True) + p.eps))
        ),
    )
    (found,) = diagnose(layer, samples, ["dx"])
    ((kind, _),) = found.hypothesis.mistakes
    assert kind == "times 13/10"

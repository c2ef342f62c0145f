"""Where a gradient is wrong, said from where it is right."""

from __future__ import annotations

import numpy as np
import pytest

from verify.audit.probes import Floats, Probe, probes, truth
from verify.audit.sample import Sample
from verify.audit.symptoms import gradients, where


def x_hat(p: Probe) -> Floats:
    return (p.x - p.x.mean(0)) / np.sqrt(p.x.var(0) + p.eps)


CASES = [
    (lambda p: p.gamma - 1, "dx is wrong only where gamma is not 1."),
    (lambda p: p.beta, "dx is wrong only where beta is not 0."),
    (lambda p: p.dy.mean(0) * p.gamma, "dx is wrong only where the sum of dy is not 0."),
    (
        lambda p: (p.gamma - 1) * (p.dy * x_hat(p)).mean(0),
        "dx is wrong only where gamma is not 1, and the sum of dy x_hat is not 0.",
    ),
    (lambda p: p.x.mean(0) + 0 * p.x, "dx is wrong only where the mean of x is not 0."),
    (lambda p: 1.0 / len(p.x), "falls as m grows, about as m^-1."),
    (lambda p: float(len(p.x)), "grows with m, about as m^1"),
    (lambda p: 1.0, "about the same for every m."),
    (lambda p: float(p.x.ndim > 3), "dx is wrong only for rank 4"),
    (lambda p: float(p.x.ndim > 2), "dx is wrong only for rank 3 and above"),
    (lambda p: float(p.name == "m = 4"), "dx is right on most batches, and wrong where m = 4."),
]


@pytest.mark.parametrize(("error", "due"), CASES, ids=[due for _, due in CASES])
def test_where(error: object, due: str) -> None:
    samples = []
    for probe in probes("batch_norm"):
        if probe.x.ndim == 2 or "rank" in due:
            off = error(probe)  # type: ignore[operator]  # a function of the probe
            samples.append(Sample(probe, {"dx": truth(probe)["dx"] + off}))
    (gradient,) = gradients(samples)
    assert not gradient.right
    assert due in where(gradient)


def test_what_is_rounded_is_not_wrong_by_more() -> None:
    samples = [
        Sample(p, {k: v.astype(np.float32).astype(float) for k, v in truth(p).items()})
        for p in probes("batch_norm")
    ]
    assert all(not gradient.right and gradient.rounded for gradient in gradients(samples))
    as_given = [
        Sample(p, {k: v.astype(np.float32) for k, v in truth(p).items()})
        for p in probes("batch_norm")
    ]
    assert all(gradient.right for gradient in gradients(as_given))


def test_nan_is_wrong() -> None:
    samples = [Sample(p, {"dx": truth(p)["dx"] * np.nan}) for p in probes("batch_norm")]
    (gradient,) = gradients(samples)
    assert not gradient.right
    assert gradient.worst == float("inf")

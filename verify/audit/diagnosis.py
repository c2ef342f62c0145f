"""Which mistake in the derivation a wrong gradient is: each is made, and the results compared.

Every hypothesis (:mod:`verify.audit.hypotheses`) is evaluated on one plain probe; those that give
what the kernel gave are then held to every other probe.  A hypothesis that explains all results of
the kernel, the right ones too, goes before one that explains a single gradient.  What is found is
*checked*, in float64 to nine digits, on a dozen random batches of several sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from derive.layer import Layer
from verify.audit.fitted import scaled
from verify.audit.hypotheses import Hypothesis, hypotheses, pairs, redefinitions
from verify.audit.predictor import Predictor, Results, predict
from verify.audit.probes import Probe, scales
from verify.audit.sample import Sample

MOST = 2  # other names of one mistake that are told
VAGUE = ("another quantity", "wrong power", "factor missing")  # told where nothing says more

Tier = Callable[[Layer], tuple[Hypothesis, ...]]


@dataclass(frozen=True)
class Diagnosis:
    """The mistake that explains ``outputs``, and other mistakes that come to the same."""

    outputs: tuple[str, ...]
    hypothesis: Hypothesis
    same: tuple[Hypothesis, ...] = ()


def diagnose(
    layer: Layer, samples: Sequence[Sample], wrong: Sequence[str]
) -> tuple[Diagnosis, ...]:
    """The mistakes that explain the wrong results; those that nothing explains are left out.

    ``layer`` tells apart the axes that mistakes may confuse; the first sample is the one that all
    hypotheses are tried on.
    """
    every = tuple(samples[0].results)
    for tier in (hypotheses, redefinitions):
        if found := list(_fitting(tier, layer, samples, every)):
            return (_diagnosis(tuple(wrong), found),)
    single = ((name, _single(layer, samples, name)) for name in wrong)
    return tuple(_diagnosis((name,), found) for name, found in single if found)


def _single(layer: Layer, samples: Sequence[Sample], name: str) -> list[Hypothesis]:
    """What explains one gradient alone: one mistake, two, or other factors of its terms."""
    for tier in (hypotheses, pairs):
        if found := list(_fitting(tier, layer, samples, (name,))):
            return found
    return list(scaled(layer, samples, name))


def _diagnosis(outputs: tuple[str, ...], found: Sequence[Hypothesis]) -> Diagnosis:
    by_key: dict[object, Hypothesis] = {}
    for hypothesis in sorted(found, key=lambda h: h.kind in VAGUE):  # stable
        kinds = frozenset(kind for kind, _ in hypothesis.mistakes)
        by_key.setdefault((kinds, hypothesis.line.var), hypothesis)
    first, *others = by_key.values()
    return Diagnosis(outputs, first, tuple(others[:MOST]))


def _fitting(
    tier: Tier, layer: Layer, samples: Sequence[Sample], outputs: Sequence[str]
) -> Iterator[Hypothesis]:
    """The hypotheses that give the outputs of every sample."""
    first, *others = samples
    for hypothesis, predicted in _screened(tier, layer, first.probe):
        if _agree(predicted, first, outputs) and all(
            _agree(predict(layer, hypothesis, sample.probe), sample, outputs) for sample in others
        ):
            yield hypothesis


def _agree(predicted: Results, sample: Sample, outputs: Sequence[str]) -> bool:
    scale = scales(sample.probe)
    for name in outputs:
        if name not in predicted:
            return False
        got, due = sample.results[name], predicted[name]
        size = max(scale[name], float(abs(due).max()))
        if not abs(got - due).max() <= sample.tolerance * size:
            return False
    return True


@cache
def _screened(tier: Tier, layer: Layer, probe: Probe) -> tuple[tuple[Hypothesis, Results], ...]:
    """What each hypothesis gives on one probe; those that give nothing are left out."""
    predictor = Predictor(layer, probe)
    with np.errstate(all="ignore"):
        pairs = ((h, predictor.of(h)) for h in tier(layer))
        return tuple((hypothesis, found) for hypothesis, found in pairs if found)

"""Which mistake in the derivation a wrong gradient is: each is made, and the results compared.

Every hypothesis (:mod:`verify.audit.hypotheses`) is evaluated on one plain probe; those that give
what the kernel gave are then held to every other probe.  A hypothesis that explains all results of
the kernel, the right ones too, goes before one that explains a single gradient.  What is found is
*checked*, in float64 to nine digits, on a dozen random batches of several sizes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np

from derive.expr import Definition, Var, variables
from derive.layer import Layer
from verify.audit.arrays import Evaluator, Floats, Space, run
from verify.audit.hypotheses import Hypothesis, Program, gradients, hypotheses, redefinitions
from verify.audit.probes import ROWS, Probe, scales

TOLERANCE = 1e-9  # of what is added up
MOST = 2  # other names of one mistake that are told
VAGUE = ("another quantity", "wrong power", "factor missing")  # told where nothing says more

Results = Mapping[str, Floats]
Tier = Callable[[Layer], tuple[Hypothesis, ...]]


@dataclass(frozen=True)
class Sample:
    """What a kernel gave on one probe; ``tolerance`` is for results of its own dtype."""

    probe: Probe
    results: Results
    tolerance: float = TOLERANCE


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
    single = ((name, list(_fitting(hypotheses, layer, samples, (name,)))) for name in wrong)
    return tuple(_diagnosis((name,), found) for name, found in single if found)


def _diagnosis(outputs: tuple[str, ...], found: Sequence[Hypothesis]) -> Diagnosis:
    by_key: dict[tuple[str, str], Hypothesis] = {}
    for hypothesis in sorted(found, key=lambda h: h.kind in VAGUE):  # stable
        by_key.setdefault(hypothesis.key, hypothesis)
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


# --- Predicting -----------------------------------------------------------------------------------


@cache
def _screened(tier: Tier, layer: Layer, probe: Probe) -> tuple[tuple[Hypothesis, Results], ...]:
    """What each hypothesis gives on one probe; those that give nothing are left out."""
    predictor = Predictor(layer, probe)
    with np.errstate(all="ignore"):
        pairs = ((h, predictor.of(h)) for h in tier(layer))
        return tuple((hypothesis, found) for hypothesis, found in pairs if found)


def predict(layer: Layer, hypothesis: Hypothesis, probe: Probe) -> Results:
    """The gradients that a hypothesis gives; those of another shape are left out."""
    predictor = Predictor(layer, probe)
    with np.errstate(all="ignore"):
        return predictor.results(run(hypothesis.program, predictor.space, predictor.given))


class Predictor:
    """Evaluates many hypotheses on one probe: only the lines after the mistake anew."""

    def __init__(self, layer: Layer, probe: Probe) -> None:
        self.layer, self.probe = layer, probe
        axes = layer.data.axes
        self.space = Space(axes, _lengths(probe, len(axes)))
        given = (layer.data, *layer.learnt, Var("dy", *axes))
        arrays = {"x": probe.x, "dy": probe.dy, "gamma": probe.gamma, "beta": probe.beta}
        self.given: dict[str, Floats] = {
            var.label: self.space.spread(var, _shaped(arrays[var.label], var, self.space, probe))
            for var in given
        }
        self.given["eps"] = np.full((1,) * len(axes), probe.eps)
        self._bases: dict[int, tuple[dict[str, Floats], Evaluator]] = {}  # by the program's id

    def of(self, hypothesis: Hypothesis) -> Results:
        """The gradients; empty where the hypothesis cannot be evaluated."""
        try:
            return self.results(self._values(hypothesis))
        except (KeyError, ValueError, ZeroDivisionError):
            return {}

    def _values(self, hypothesis: Hypothesis) -> Mapping[str, Floats]:
        if hypothesis.base is None:
            return run(hypothesis.program, self.space, self.given)
        known, evaluator = self._base(hypothesis.base)
        program, at = hypothesis.program, hypothesis.at
        label = program[at].var.label
        values = {**known, label: evaluator.at(hypothesis.wrong)}
        changed, anew = {label}, Evaluator(self.space, values)
        for line in program[at + 1 :]:
            if not changed.isdisjoint(_mentioned(line)):
                values[line.var.label] = anew.at(line.expr)
                changed.add(line.var.label)
        return values

    def _base(self, program: Program) -> tuple[dict[str, Floats], Evaluator]:
        found = self._bases.get(id(program))
        if found is None:
            values = run(program, self.space, self.given)
            found = self._bases[id(program)] = values, Evaluator(self.space, values)
        return found

    def results(self, values: Mapping[str, Floats]) -> Results:
        """The gradients among the values, as the kernel returns them."""
        found: dict[str, Floats] = {}
        for label in gradients(self.layer):
            var = self.layer.data if label == "dx" else self.layer.learnt[0]
            array = np.asarray(values[label])
            pairs = zip(self.space.axes, self.space.lengths, strict=True)
            due = tuple(n if axis in var.axes else 1 for axis, n in pairs)
            if array.shape != due and label != "dx":
                continue
            whole = np.broadcast_to(array, due)
            if np.isfinite(whole).all():
                found[label] = _unshaped(whole, label, self.probe)
        return found


@cache
def _mentioned(line: Definition) -> frozenset[str]:
    return frozenset(var.label for var in variables(line.expr))


def _lengths(probe: Probe, rank: int) -> tuple[int, ...]:
    """The axes of the probe's x, or with what is reduced together for a layer of fewer axes."""
    shape = probe.x.shape
    if len(shape) <= rank:
        return (*shape, *[1] * (rank - len(shape)))
    if probe.layer in ROWS:
        return (int(np.prod(shape[:-1])), shape[-1])
    return (probe.x.size // shape[1], shape[1])


def _shaped(array: Floats, var: Var, space: Space, probe: Probe) -> Floats:
    """An array of the probe over the variable's axes."""
    lengths = dict(zip(space.axes, space.lengths, strict=True))
    due = [lengths[axis] for axis in var.axes]
    if array.ndim > len(due) and probe.layer not in ROWS:
        array = np.moveaxis(array, 1, -1)
    return array.reshape(due)


def _unshaped(array: Floats, label: str, probe: Probe) -> Floats:
    """The other way."""
    shape = probe.x.shape
    if label != "dx":
        return array.reshape(-1)
    if array.ndim < len(shape) and probe.layer not in ROWS:
        return np.moveaxis(array.reshape(shape[0], *shape[2:], shape[1]), -1, 1)
    return array.reshape(shape)

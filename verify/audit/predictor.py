"""What the gradients would be if a hypothesis were true: many of them on one batch, quickly."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

import numpy as np

from derive.expr import Definition, Var, variables
from derive.layer import Layer
from verify.audit.arrays import Evaluator, Floats, Space, run
from verify.audit.hypotheses import Hypothesis, Program, gradients
from verify.audit.probes import ROWS, Probe

Results = Mapping[str, Floats]


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
        self._bases: dict[int, tuple[dict[str, Floats], Evaluator]] = {}  # by id: hypotheses stay

    def of(self, hypothesis: Hypothesis) -> Results:
        """The gradients; empty where the hypothesis cannot be evaluated."""
        try:
            return self.results(self._values(hypothesis))
        except TypeError:  # it has an imaginary number in it, of the root of a negative one
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
        for label in (label for label in gradients(self.layer) if label in values):
            var = self.layer.data if label == "dx" else self.layer.learnt[0]
            array = np.asarray(values[label])
            pairs = zip(self.space.axes, self.space.lengths, strict=True)
            due = tuple(n if axis in var.axes else 1 for axis, n in pairs)
            if np.broadcast_shapes(array.shape, due) != due:
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

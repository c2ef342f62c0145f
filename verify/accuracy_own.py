"""The kernel of a user's layer in floating point, against high precision on the same numbers.

There is no table of hard batches for a layer that nobody has met, as Batch Norm has
(:mod:`verify.accuracy`): the inputs are drawn, of moderate size, and the truth is the layer's
reference on mpmath numbers of 50 digits, differentiated by dual numbers.

**Scaled error** = max |result − exact| / max |exact|, in u: 2⁻²⁴ for float32, of which 8 are
allowed, since a kernel computes in float64 and rounds once; 2⁻⁵³ for float64, of which 4096 are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import prod
from types import ModuleType
from typing import Any

import numpy as np
from mpmath import MPContext
from numpy.typing import NDArray

from codegen.names import code_name
from derive.expr import Var
from derive.layer import Layer
from verify.duals import Duals
from verify.exact import moved_run, run
from verify.fields import Index, Scalar, Values
from verify.precise import Reals, entries
from verify.references import Reference
from verify.report import Result

Array = NDArray[Any]

LIMITS = {"float64": (2.0**-53, 4096.0), "float32": (2.0**-24, 8.0)}
SHAPES = ((2, 3, 4, 2), (9, 2, 3, 5))  # as many of the sizes as the data have axes
DIGITS = 50
GROUPED = 4  # axes of data whose channels are told by a group and a place in it


@dataclass(frozen=True)
class _Drawn:
    """Random inputs, parameters, a cotangent of the output and tangents of the inputs."""

    inputs: dict[str, Array]
    parameters: dict[str, Any]
    cotangent: Array
    tangents: dict[str, Array]


def check(module: ModuleType, layer: Layer, reference: Reference, seed: int) -> list[Result]:
    """One row for each result and dtype: y, every gradient in both forms, and the jvp."""
    return [row for dtype in LIMITS for row in _check(module, layer, reference, dtype, seed)]


def _check(
    module: ModuleType, layer: Layer, reference: Reference, dtype: str, seed: int
) -> Iterator[Result]:
    unit, limit = LIMITS[dtype]
    rng = np.random.default_rng(seed)
    worst: dict[str, float] = {}
    cases = 0
    for sizes in SHAPES:
        drawn = _draw(layer, sizes[: len(layer.data.axes)], dtype, rng)
        due = _due(layer, reference, drawn)
        if due is None:
            why = "the definitions have no real value at the numbers drawn"
            yield Result("checked", f"kernel {dtype}", why, 0, None, None, False, skipped=why)
            return
        cases += 1
        for name, got in _computed(module, layer, drawn).items():
            expected = due[name.removesuffix(" staged")]
            if got.size == expected.size:  # in the same order, with all channels on one axis
                got = got.reshape(expected.shape)
            worst[name] = max(worst.get(name, 0.0), _error(got, expected, dtype) / unit)
    for name, error in worst.items():
        detail = f"worst of {cases} random batches"
        ok = error <= limit
        yield Result("checked", f"{name} {dtype}", detail, cases, error, limit, ok, "u")


def _draw(layer: Layer, shape: tuple[int, ...], dtype: str, rng: np.random.Generator) -> _Drawn:
    sizes = dict(zip(layer.data.axes, shape, strict=True))

    def array(var: Var) -> Array:
        of = tuple(sizes[axis] for axis in var.axes)
        drawn = rng.uniform(0.5, 2.0, of) if var.is_positive else rng.normal(size=of)
        return drawn.astype(dtype)

    def scalar(var: Var) -> float:
        return float(rng.uniform(0.1, 1.0) if var.is_nonnegative else rng.normal())

    return _Drawn(
        {var.label: array(var) for var in layer.inputs},
        {var.label: array(var) if var.axes else scalar(var) for var in layer.parameters},
        rng.normal(size=shape).astype(dtype),
        {
            var.label: rng.normal(size=[sizes[a] for a in var.axes]).astype(dtype)
            for var in layer.inputs
        },
    )


def _computed(module: ModuleType, layer: Layer, drawn: _Drawn) -> dict[str, Array]:
    """What the kernel makes of the inputs."""
    names = {var.label: code_name(var) for var in (*layer.inputs, *layer.parameters)}
    axes = {var.label: len(var.axes) for var in (*layer.inputs, *layer.parameters)}
    grouped = len(layer.data.axes) == GROUPED

    def taken(values: Mapping[str, Any], suffix: str = "") -> dict[str, Any]:
        return {
            f"{names[label]}{suffix}": _ungrouped(value) if grouped and axes[label] > 1 else value
            for label, value in values.items()
        }

    groups = {"groups": drawn.cotangent.shape[1]} if grouped else {}
    y, cache = module.forward(**taken({**drawn.inputs, **drawn.parameters}), **groups)
    dy = _ungrouped(drawn.cotangent) if grouped else drawn.cotangent
    made = {layer.output.label: y}
    for suffix, backward in (("", module.backward), (" staged", module.backward_staged)):
        found = backward(dy, cache)
        gradients = found if isinstance(found, tuple) else (found,)
        made |= {f"d{v.label}{suffix}": d for v, d in zip(layer.inputs, gradients, strict=True)}
    return {
        **made,
        f"{layer.output.label}_dot": module.jvp(**taken(drawn.tangents, "_dot"), cache=cache),
    }


def _ungrouped(array: Array) -> Array:
    """[n, g, c, s] or [g, c] with one axis for all channels, as kernels take it."""
    before, channels = array.shape[:-3], array.shape[-3:-1] if array.ndim > 2 else array.shape
    return array.reshape(*before, prod(channels), *array.shape[len(before) + 2 :])


def _due(layer: Layer, reference: Reference, drawn: _Drawn) -> dict[str, Array] | None:
    """The truth for each result, rounded once to float64; None where a value is not real."""
    context = MPContext()
    context.dps = DIGITS
    reals = Reals(context)
    duals = Duals(reals)
    given: dict[str, Mapping[Index, Scalar]] = {
        label: entries(reals, value) for label, value in drawn.inputs.items()
    }
    for label, parameter in drawn.parameters.items():
        given[label] = entries(reals, np.asarray(parameter))
    out, weights = layer.output.label, entries(reals, drawn.cotangent)

    def slopes(traced: Values) -> dict[Index, Scalar]:
        return {at: duals.derivative(value) for at, value in traced[out].items()}

    def gradient(label: str, at: Index) -> Scalar:
        moved = slopes(moved_run(reference.forward, duals, given, label, at))
        return sum(weights[i] * slope for i, slope in moved.items())

    exact: dict[str, Mapping[Index, Scalar]] = {out: run(reference.forward, reals, given)[out]}
    exact |= {
        f"d{v.label}": {at: gradient(v.label, at) for at in given[v.label]} for v in layer.inputs
    }
    moved = dict(given)
    for label, direction in drawn.tangents.items():
        moved[label] = {
            at: duals.variable(value, context.mpf(float(direction[at])))
            for at, value in given[label].items()
        }
    exact[f"{out}_dot"] = slopes(run(reference.forward, duals, moved))
    values = [value for table in exact.values() for value in table.values()]
    if not all(context.isfinite(value) and context.im(value) == 0 for value in values):
        return None
    return {name: _array(table) for name, table in exact.items()}


def _array(table: Mapping[Index, Scalar]) -> Array:
    shape = [max(positions) + 1 for positions in zip(*table, strict=True)]
    return np.array([float(table[at]) for at in np.ndindex(*shape)]).reshape(shape)


def _error(got: Array, expected: Array, dtype: str) -> float:
    """The scaled error; infinite where shape or dtype are not right or a value is not finite."""
    if got.shape != expected.shape or got.dtype != dtype or not np.isfinite(got).all():
        return float("inf")
    error, size = np.abs(got - expected).max(), np.abs(expected).max()
    if size == 0:
        return 0.0 if error == 0 else float("inf")
    return float(error / size)

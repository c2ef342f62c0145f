"""Calling a kernel on a probe, and its results as gradients by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from derive.errors import InputError
from verify.audit.autograd import pytorch
from verify.audit.probes import Floats, Probe
from verify.audit.roles import GRADIENTS, NAMES, statistics, values_of
from verify.audit.shape import Shape


@dataclass(frozen=True)
class Called:
    """What one call gave: the gradients by name, and which arguments it wrote to."""

    results: dict[str, Any]
    changed: tuple[str, ...]


def run(
    shape: Shape,
    probe: Probe,
    given: tuple[Floats, Floats] | None = None,
    axis: int = 1,
) -> Called:
    """The kernel's gradients on a probe, as arrays of the due shapes.

    ``given`` stands in for the probe's mean and variance.  They go in with and without the axes of
    length 1, whichever the kernel takes; ``axis`` is where it has its channels.  Raises InputError
    where the results do not fit; whatever the kernel raises goes through.
    """
    mean, var = given or statistics(probe)
    first: Exception | None = None
    rows = probe.layer != "batch_norm"
    for kept in (rows, not rows):
        values = values_of(probe, mean, var, kept=kept)
        arrays = {k: _moved(v, probe, 1, axis) for k, v in values.items() if _is_array(v)}
        copies = {k: v.copy() for k, v in arrays.items()}
        passed = {**values, **(_tensors(copies) if shape.tensors else copies)}
        try:
            found = fitted(shape.backward(passed), arrays["x"].shape, probe, shape.returns)
        except Exception as error:  # a kernel may raise anything
            first = first or error
            continue
        found["dx"] = _moved(found["dx"], probe, axis, 1)
        changed = [k for k, v in arrays.items() if not _same(v, copies[k])]
        return Called(found, tuple(changed))
    assert first is not None
    raise first


def _same(one: Any, other: Any) -> bool:
    return np.array_equal(one, other, equal_nan=one.dtype.kind == "f")


def prepared(shape: Shape, probe: Probe) -> Callable[[], Any]:
    """The bare call, its arguments made beforehand, for timing."""
    mean, var = statistics(probe)
    values = values_of(probe, mean, var, kept=probe.layer != "batch_norm")
    arrays = {k: v for k, v in values.items() if _is_array(v)}
    passed = {**values, **(_tensors(arrays) if shape.tensors else arrays)}
    return lambda: shape.backward(passed)


def _is_array(value: Any) -> bool:
    return isinstance(value, np.ndarray)


def _moved(array: Any, probe: Probe, source: int, destination: int) -> Any:
    """An array of x's rank with its channels in another place."""
    whole = array.ndim == probe.x.ndim and source != destination
    return np.ascontiguousarray(np.moveaxis(array, source, destination)) if whole else array


def _tensors(values: Mapping[str, Any]) -> dict[str, Any]:
    torch = pytorch()
    native = {k: np.array(v, v.dtype.newbyteorder("="), order="C") for k, v in values.items()}
    return {name: torch.from_numpy(value) for name, value in native.items()}


def fitted(
    returned: Any, whole: tuple[int, ...], probe: Probe, names: Sequence[str] = ()
) -> dict[str, Any]:
    """What a kernel returned as gradients by name, dx in the shape ``whole``.

    Raises InputError with what was returned and what is due.
    """
    named = {k: _array(v) for k, v in _named(returned, whole, names).items() if v is not None}
    if "dx" not in named:
        raise InputError(f"it returns {', '.join(named) or 'nothing'}; at least dx is needed")
    for name, array in named.items():
        due = whole if name == "dx" else probe.gamma.shape
        if array.dtype.kind != probe.x.dtype.kind:
            raise InputError(f"{name} is of dtype {array.dtype}, not of floats")
        if array.shape != due:
            if name == "dx" or array.size != probe.gamma.size:
                raise InputError(f"{name} has shape {array.shape}, not {due}, for x {whole}")
            named[name] = array.reshape(due)
    return named


def _array(value: Any) -> Any:
    detached = value.detach().cpu().numpy() if hasattr(value, "detach") else value
    try:
        return np.asarray(detached)
    except (TypeError, ValueError) as error:
        raise InputError(f"it returns what is no array: {error}") from None


def _named(returned: Any, whole: tuple[int, ...], names: Sequence[str]) -> dict[str, Any]:
    if isinstance(returned, dict):
        return {label: returned[key] for key, label in _keys(returned).items()}
    if not isinstance(returned, (tuple, list)):
        returned = (returned,)
    if names:
        if len(names) != len(returned):
            raise InputError(f"it returns {len(returned)} results; --returns names {len(names)}")
        pairs = zip(names, returned, strict=True)
        return {name: value for name, value in pairs if name != "_"}
    values = [*returned]
    if values and np.shape(_array(values[0])) != whole:  # dgamma, dbeta, dx
        first = next((k for k, v in enumerate(values) if np.shape(_array(v)) == whole), 0)
        values = [values[first], *values[:first], *values[first + 1 :]]
    return dict(zip(GRADIENTS, values, strict=False))


def _keys(returned: Mapping[str, Any]) -> dict[str, str]:
    found: dict[str, str] = {}
    for label in GRADIENTS:
        for name in NAMES[label[1:]].split():
            for key in (f"d{name}", f"d_{name}", f"grad_{name}", f"{name}_grad", name):
                if key in returned:
                    found.setdefault(key, label)
    return found

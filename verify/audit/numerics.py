"""A right kernel's floating point: the accuracy table, clauses of the contract, speed beside ours.

The kernel is put behind the functions of the kernel contract, our own forward before it, so that
the table and the clauses apply to it as they are.  Of the contract only what can be asked of a
kernel of any call shape is.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from derive.layers import LAYERS
from generated.numpy_kernels import batch_norm, layer_norm, rms_norm
from verify import accuracy as table
from verify import accuracy_rows, contract_arrays, contract_edges
from verify import contract as clauses
from verify.accuracy_cases import CASES
from verify.audit.calling import prepared, run
from verify.audit.probes import BATCH, Probe
from verify.audit.shape import Shape
from verify.report import Result

OURS: dict[str, Any] = {"batch_norm": batch_norm, "layer_norm": layer_norm, "rms_norm": rms_norm}
ASKED = (
    contract_arrays.dtypes,
    contract_arrays.wider_parameters,
    contract_arrays.layouts,
    contract_arrays.zero_strides,
    contract_edges.empty,
    contract_edges.one_element,
    contract_edges.nan_stays_in_channel,
    contract_edges.no_warning,
)
DEFAULT_EPS = 1e-5  # of the clauses
LARGE = (8192, 256)
REPEATED = 5


@dataclass(frozen=True)
class Adapted:
    """A kernel behind the contract's functions.

    What it does not return is ours.  ``ranks`` are those of x that it takes: others are rearranged.
    ``rounds`` gives its results the dtype of x, which the accuracy table takes for granted and the
    contract asks for.
    """

    shape: Shape
    layer: str
    ranks: tuple[int, ...]
    rounds: bool = False

    def forward(self, x: Any, *parameters: Any, eps: Any = DEFAULT_EPS, **options: Any) -> Any:
        """Our y, and a cache for the kernel."""
        y, cache = OURS[self.layer].forward(x, *parameters, eps=eps, **options)
        gamma, beta = (*parameters, None)[:2]
        return y, (x, gamma, beta, eps, options.get("axis", 1), cache)

    def backward(self, dy: Any, cache: Any) -> tuple[Any, ...]:
        """The kernel's gradients."""
        x, gamma, beta, eps, axis, own = cache
        first, *rest = OURS[self.layer].backward(dy, own)
        names = ("dx", *(f"d{var.label}" for var in LAYERS[self.layer].learnt))
        ours = dict(zip(names, (first, *rest), strict=True))
        learnt = rest[0].shape
        given = (
            np.ones(learnt, x.dtype) if gamma is None else gamma,
            np.zeros(learnt, x.dtype) if beta is None else beta,
        )
        if self.layer == BATCH:
            data, cotangent = (self._arranged(np.moveaxis(a, axis, 1)) for a in (x, dy))
        else:
            rows = math.prod(x.shape[: x.ndim - len(learnt)])
            data, cotangent = (a.reshape(rows, *learnt) for a in (x, dy))
        probe = Probe(self.layer, "", data, *given, cotangent, eps)
        if not self.shape.takes_gamma:  # the scale is a layer of its own, behind this one
            probe = replace(probe.unscaled, dy=probe.weighted.astype(x.dtype))
        found = run(self.shape, probe).results
        found["dx"] = self._restored(found["dx"], x, axis)
        if self.rounds:
            found = {name: array.astype(x.dtype) for name, array in found.items()}
        return tuple({**ours, **found}[name] for name in names)

    def _arranged(self, array: Any) -> Any:
        """An array with its channels on axis 1, of a rank that the kernel takes."""
        if array.ndim in self.ranks:
            return array
        if 2 in self.ranks:
            last = np.moveaxis(array, 1, -1)
            return last.reshape(math.prod(last.shape[:-1]), array.shape[1])
        positions = [1] * (max(self.ranks) - 3)
        return array.reshape(*array.shape[:2], *positions, math.prod(array.shape[2:]))

    def _restored(self, dx: Any, x: Any, axis: int) -> Any:
        """The other way."""
        if self.layer != BATCH:
            return dx.reshape(x.shape)
        there = np.moveaxis(x, axis, 1).shape
        if dx.ndim == 2 and len(there) > 2:
            dx = np.moveaxis(dx.reshape(there[0], *there[2:], there[1]), -1, 1)
        return np.moveaxis(dx.reshape(there), 1, axis)


def accuracy(shape: Shape, layer: str, eps: float | None, ranks: tuple[int, ...]) -> list[Result]:
    """The accuracy table, a row for each batch but the longest."""
    adapted = Adapted(shape, layer, ranks, rounds=True)
    cases = tuple(case for case in CASES if case.quick)
    if eps is not None:  # which the kernel has built in
        cases = tuple(replace(case, eps=eps) for case in cases)
    if layer == BATCH:
        return table.by_case(table.run(adapted, cases=cases))
    cases = tuple(case for case in cases if "NCHW" not in case.name)  # rows of one axis
    return table.by_case(accuracy_rows.run(adapted, LAYERS[layer], cases=cases))


def contract(shape: Shape, layer: str, eps: float | None, ranks: tuple[int, ...]) -> list[Result]:
    """The clauses that can be asked; none of a kernel with another ε than theirs."""
    if layer != BATCH or eps not in (None, DEFAULT_EPS):
        return []
    return clauses.run(Adapted(shape, layer, ranks), clauses=ASKED, optional=())


def speed(shape: Shape, layer: str, ranks: tuple[int, ...]) -> dict[str, Any]:
    """Seconds for a backward pass, the best of a few, the kernel's and ours.

    The kernel's includes its forward where it cannot be called without.
    """
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, *LARGE)).astype(np.float32)
    gamma, beta = (np.ones(LARGE[1], x.dtype) for _ in range(2))
    probe = Probe(layer, "speed", x, gamma, beta, dy, DEFAULT_EPS)
    names = (var.label for var in LAYERS[layer].learnt)
    parameters = [{"gamma": gamma, "beta": beta}[name] for name in names]
    _, cache = OURS[layer].forward(x, *parameters, eps=DEFAULT_EPS)
    theirs = prepared(shape, probe.padded(0 if 2 in ranks else max(ranks) - 2))
    return {
        "shape": LARGE,
        "kernel": _best(theirs),
        "ours": _best(lambda: OURS[layer].backward(dy, cache)),
    }


def _best(function: Callable[[], Any]) -> float:
    seconds = []
    for _ in range(REPEATED):
        start = time.perf_counter()
        function()
        seconds.append(time.perf_counter() - start)
    return min(seconds)

"""The contract's accuracy table for layers that reduce rows: Layer, RMS, Instance and Group Norm.

The batches are those of :mod:`verify.accuracy_cases` transposed: what were channels are rows (of
several axes where those were images; of features, or channels of samples, or groups of them), so
that there are rows of large mean, constant rows, an outlier in a row, extreme scales, and a row of
a million elements.  γ and β are drawn anew.  Results are compared with :mod:`verify.exact_rows`;
scaled errors, limits and sampling are those of :mod:`verify.accuracy`, with
κ = 1 + max |μ|/√(σ²+ε) over the rows, and κ = 1 for RMS Norm, which subtracts no mean.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial, reduce
from typing import Any, NamedTuple

import numpy as np

from derive.layer import Layer
from derive.layers.group_norm import GROUP_NORM
from derive.layers.instance_norm import INSTANCE_NORM
from derive.layers.layer_norm import LAYER_NORM
from derive.layers.rms_norm import RMS_NORM
from verify.accuracy import (
    PRECISIONS,
    ROWS_COMPARED_WHOLE,
    Kernel,
    called,
    judged,
    offered,
    sampler,
    scaled_error,
)
from verify.accuracy_cases import CASES, Array, Case
from verify.exact_batch_norm import Affine, Deviation, deviation
from verify.exact_rows import Normalised, Row, parameter_gradients
from verify.report import Result
from verify.row_shapes import RowShape, as_channels, as_features, as_groups

# How the kernels of each layer are given a table whose first axis counts rows.
ROW_LAYERS: Mapping[Layer, Callable[[tuple[int, ...]], RowShape]] = {
    LAYER_NORM: as_features,
    RMS_NORM: as_features,
    GROUP_NORM: as_groups,
    INSTANCE_NORM: as_channels,
}


def centres(layer: Layer) -> bool:
    """Whether the mean of a row is subtracted from it."""
    return layer != RMS_NORM


class RowBatch(NamedTuple):
    """What a layer is called with: x, dy and x_dot of one shape, the others of the parameters'.

    Where the layer learns no β its place is taken by zeros.
    """

    shape: RowShape

    x: Array
    gamma: Array
    beta: Array
    dy: Array
    x_dot: Array
    gamma_dot: Array
    beta_dot: Array

    @classmethod
    def transposed(cls, case: Case, layer: Layer, rng: np.random.Generator) -> RowBatch:
        """The case's batch with its channels for rows."""
        batch = case.make(rng)
        tangents = batch.tangents(rng)
        tables = [np.moveaxis(a, 1, 0) for a in (batch.x, batch.dy, tangents.x_dot)]
        shape, wide = ROW_LAYERS[layer](tables[0].shape), batch.gamma.dtype
        x, dy, x_dot = (table.reshape(shape.x) for table in tables)
        size = abs(batch.beta.astype(np.float64)).max()
        gamma = rng.uniform(0.5, 2.0, shape.vector) * rng.choice([-1.0, 1.0], shape.vector)
        beta, gamma_dot, beta_dot = rng.normal(size=(3, *shape.vector))
        vectors = (v.astype(wide) for v in (gamma, beta * bool(size), gamma_dot, beta_dot * size))
        gamma, beta, gamma_dot, beta_dot = vectors
        if case.along:  # that of x̂ is γ times that of y
            of_row = np.resize(shape.spread(gamma), (shape.rows, shape.m))
            dy = (dy / of_row.reshape(shape.x)).astype(dy.dtype)
        return cls(shape, x, gamma, beta, dy, x_dot, gamma_dot, beta_dot)


@dataclass(frozen=True)
class RowReference:
    """The exact results by name: of x's shape a vector for each row, of the parameters' one for
    each set of them."""

    exact: Mapping[str, list[Affine]]
    condition: float

    @classmethod
    def of(cls, batch: RowBatch, eps: float, *, centres: bool) -> RowReference:
        """For m ≥ 1 and q > 0 in every row."""
        shape, sets = batch.shape, batch.shape.sets
        x, dy, x_dot = (shape.table(a) for a in (batch.x, batch.dy, batch.x_dot))
        vectors = (batch.gamma, batch.beta, batch.gamma_dot, batch.beta_dot)
        gamma, beta, gamma_dot, beta_dot = ([Row.of(v) for v in shape.spread(a)] for a in vectors)
        rows = [
            Normalised.of(row, gamma[k % sets], beta[k % sets], eps, centres=centres)
            for k, row in enumerate(x)
        ]
        dx = [row.dx(v) for row, v in zip(rows, dy, strict=True)]
        learnt = [
            parameter_gradients(rows[k::sets], dy[k::sets], shape.shared) for k in range(sets)
        ]
        dgamma, dbeta = (list(each) for each in zip(*learnt, strict=True))
        gradients = {"dx": dx, "dgamma": dgamma, "dbeta": dbeta}
        y_dot = [
            row.jvp(x_dot[k], gamma_dot[k % sets], beta_dot[k % sets]) for k, row in enumerate(rows)
        ]
        exact = {"y": [row.y() for row in rows], **gradients, "y_dot": y_dot}
        exact |= {f"{name} staged": value for name, value in gradients.items()}
        return cls(exact, max((row.condition for row in rows), default=1.0))

    def limit(self, dtype: str) -> float:
        """The largest scaled error allowed, in the units of the dtype."""
        return PRECISIONS[dtype].limit * (self.condition if dtype == "float64" else 1.0)

    def compare(
        self, name: str, array: Array, rng: np.random.Generator, *, by_row: bool = False
    ) -> tuple[int, float]:
        """How many elements of a result were compared, and the worst scaled error."""
        precision, due = PRECISIONS[array.dtype.name], self.exact[name]
        given = array.reshape(len(due), -1)
        choose = sampler(rng) if given.shape[1] > ROWS_COMPARED_WHOLE else None
        found = [deviation(*pair, choose) for pair in zip(given, due, strict=True)]
        if not by_row:
            found = [reduce(Deviation.merge, found)]
        return sum(one.count for one in found), max(scaled_error(one, precision) for one in found)


def learnt(layer: Layer) -> tuple[str, ...]:
    """The layer's parameters that gradients are taken of."""
    return tuple(var.label for var in layer.learnt)


def gradients(names: tuple[str, ...]) -> tuple[str, ...]:
    """What backward returns, for a layer that learns these."""
    return ("dx", *(f"d{name}" for name in names))


def run(
    module: Kernel,
    layer: Layer,
    *,
    seed: int = 0,
    cases: tuple[Case, ...] = CASES,
    quick: bool = False,
) -> list[Result]:
    """Hold ``module`` to every case; one result per case and result array, never an exception.

    ``quick`` leaves out the two very long batches.
    """
    chosen = [case for case in cases if case.quick or not quick]
    with np.errstate(all="ignore"):
        return [result for case in chosen for result in _run_case(module, layer, case, seed)]


def _run_case(module: Kernel, layer: Layer, case: Case, seed: int) -> Iterator[Result]:
    rng = np.random.default_rng([seed, zlib.crc32(f"{case.dtype} {case.name}".encode())])
    batch = RowBatch.transposed(case, layer, rng)
    if "beta" not in learnt(layer):
        batch = batch._replace(beta=0 * batch.beta, beta_dot=0 * batch.beta_dot)
    # References first: a bad kernel may write to its input.
    reference = RowReference.of(batch, case.eps, centres=centres(layer))
    limit = reference.limit(case.dtype)
    for name, array in _call(module, layer, case, batch).items():
        shape = batch.gamma.shape if name.split()[0] in ("dgamma", "dbeta") else batch.x.shape
        compare = partial(reference.compare, name, array, rng, by_row=case.by_channel)
        yield judged(case, name, array, shape, limit, compare)


def _call(module: Kernel, layer: Layer, case: Case, batch: RowBatch) -> dict[str, Any]:
    """The kernel's arrays by name; a message in the place of each that could not be had."""
    names = learnt(layer)
    wanted = gradients(names)
    staged_names = tuple(f"{name} staged" for name in wanted)
    parameters = [getattr(batch, name) for name in names]
    dots = [getattr(batch, f"{name}_dot") for name in names]
    cache: Any = None

    def forward() -> Any:
        nonlocal cache
        y, cache = module.forward(batch.x, *parameters, eps=case.eps, **batch.shape.options)
        return (y,)

    calls: dict[tuple[str, ...], Callable[[], Any]] = {
        ("y",): forward,
        wanted: lambda: module.backward(batch.dy, cache),
    }
    if jvp := offered(module, "jvp"):
        calls["y_dot",] = lambda: (jvp(batch.x_dot, *dots, cache),)
    if case.staged and (staged := offered(module, "backward_staged")):
        calls[staged_names] = lambda: staged(batch.dy, cache)
    return called(calls)

"""Softmax's kernel, run on exact numbers, against dual numbers: first and second order.

As in :mod:`verify.kernel_exact`, what runs is the text that is shipped, on rationals and on
integers modulo p, by blocks and by pieces, with the rows along each axis.  Of exp the kernel uses
only exp(a + b) = exp(a) exp(b) and exp′ = exp, so a formal one will do: 2^a, and 37^a modulo p
(:mod:`verify.fields`).

**Origins.**  What the kernel takes for the largest of a row may be any of its numbers, as the
integers modulo p have no order: here it is another place in each row, so that nothing may depend on
its being the largest.  That it is the largest is for the contract and the accuracy table to see.

Such equalities hold at sampled sizes and points: they are *exact*, not *proved*.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from random import Random
from types import ModuleType
from typing import Any

import numpy as np

from derive.expr import adjoint, tangent
from derive.layers.softmax import SOFTMAX
from verify.arrangements import Arrangement, Array, line_arrangements
from verify.exact import Counterexample, Outcome, Point, draw
from verify.exact_orders import double_backward
from verify.fields import FIELDS, Field
from verify.kernel_exact import BLOCK, table_from, table_of
from verify.kernel_numbers import ExactNumPy, Number, differences, on_objects
from verify.kernel_paths import whole_and_in_pieces
from verify.loading import load
from verify.references import REFERENCES

SIZES = range(2, 8)
X, P = SOFTMAX.data, SOFTMAX.output
# What each core makes, in the order of what it returns or writes.
CORES: Mapping[str, tuple[str, ...]] = {
    "forward": ("y", "Z"),
    "backward": ("dx",),
    "backward_staged": ("dx",),
    "jvp": ("y_dot",),
    "jacobian": ("uR",),
    "double_backward": ("g_dy", "g_x"),
}


@dataclass(frozen=True)
class Case:
    """One point in one arrangement: what cores are given, and what is due by claim."""

    field: str
    where: Arrangement
    m: int
    given: Mapping[str, Any]
    due: Mapping[str, Array]


def check(source: str, *, sizes: Iterable[int] = SIZES, seed: int = 0) -> list[Outcome]:
    """Run every core of a module: one outcome for each field and result; what raises has failed.

    ``sizes`` are values of m, at least 2.  Raises what the source raises on being loaded.
    """
    return compare(load(source, "exact softmax"), prepare(sizes=sizes, seed=seed))


def prepare(*, sizes: Iterable[int] = SIZES, seed: int = 0) -> tuple[Case, ...]:
    """What any number of modules can be compared with."""
    sizes = list(sizes)
    return tuple(case for over in FIELDS for m in sizes for case in _cases(over, m, seed))


def _cases(over: Field, m: int, seed: int) -> Iterator[Case]:
    reference = REFERENCES[SOFTMAX.name]
    rng = Random(f"softmax {over.name} {m} {seed}")
    point = draw(SOFTMAX, reference, over, m, rng)
    v = {at: over.random(rng) for at in point.given[X.label]}
    dy = point.directions[adjoint(P).label]
    second = double_backward(over, point.given, dy, {"v_dx": v}, reference.forward, P.label)
    read = {"x": X, "dy": adjoint(P), "x_dot": tangent(X)}
    tables = {name: table_of(point, var) for name, var in read.items()}
    tables["v_dx"] = table_from(v)
    due = {
        "forward: y": table_of(point, P),
        "forward: Z": table_of(point, SOFTMAX["Z"].var).reshape(-1, 1),
        "backward: dx": table_of(point, adjoint(X)),
        "backward_staged: dx": table_of(point, adjoint(X)),
        "jvp: y_dot": table_of(point, tangent(P)),
        "double_backward: g_dy": table_from(second[f"g_d{P.label}"]),
        "double_backward: g_x": table_from(second["g_x"]),
    }
    wrap = np.frompyfunc(lambda value: Number(value, over), 1, 1)
    rows = len(tables["x"])
    for where in line_arrangements(rows):
        given = {name: where.lay(np.asarray(wrap(table))) for name, table in tables.items()}
        for array in given.values():
            array.flags.writeable = False
        laid = {claim: where.lay(table) for claim, table in due.items()}
        yield Case(over.name, where, m, given, {**laid, "jacobian: uR": _jacobian(point, rows, m)})


def _jacobian(point: Point, rows: int, m: int) -> Array:
    """dy[i]/dx[j] of each row n as [n, i, j]."""
    table = np.empty((rows, m, m), object)
    for row, i, j in np.ndindex(table.shape):
        moved = point.column(X.label, (row, j))[P.label]
        table[row, i, j] = point.duals.derivative(moved[row, i])
    return table


def compare(module: ModuleType, cases: Iterable[Case]) -> list[Outcome]:
    """:func:`check` for a private copy of a module, which computes on objects from then on."""
    on_objects(module, BLOCK)
    vars(module).update(np=ExactNumPy(), _place=_some_place)
    vars(module).update(_largest_in=_some_number_in, _place_of=_some_place_of)
    counts: dict[tuple[str, str], int] = {}
    misses: dict[tuple[str, str], list[Counterexample]] = {}
    for case in cases:
        for _ in whole_and_in_pieces(module, case.m):
            for claim, got in _results(module, case):
                count, missed = differences(got, case.due[claim])
                key = claim, case.field
                counts[key] = counts.get(key, 0) + count
                misses.setdefault(key, []).extend(missed)
    return [
        Outcome(*key, count, len(misses[key]), misses[key][0] if misses[key] else None)
        for key, count in counts.items()
    ]


def _some_place(x: Array, rows: tuple[slice, ...], layout: Any) -> Array:
    """Another place in each of some rows, whatever is in them."""
    (axis,) = layout.reduced
    shape = [1 if k == axis else n for k, n in enumerate(x[rows].shape)]
    return np.arange(prod(shape)).reshape(shape) % layout.m


def _some_place_of(_: Number, x: Array, i: int) -> int:
    """The same for one row, as compiled loops ask."""
    return i % int(x.shape[1])


def _some_number_in(x: Array, i: int) -> Any:
    """What is there, as compiled loops ask."""
    return x[i, i % x.shape[1]]


def _results(module: ModuleType, case: Case) -> Iterator[tuple[str, Array | str]]:
    """Every result by claim; a message in the place of one that failed."""
    given = dict(case.given)
    for core, names in CORES.items():
        try:
            if core == "forward":
                given |= {"layout": case.where.layout(module, given["x"])}
            found = _run(module, core, case, given)
        except Exception as error:  # a damaged kernel may raise anything
            found = [f"raised {type(error).__name__}: {error}"] * len(names)
        yield from zip((f"{core}: {name}" for name in names), found, strict=True)


def _run(module: ModuleType, core: str, case: Case, given: dict[str, Any]) -> list[Any]:
    function = getattr(module, f"_{core}")
    parameters = list(inspect.signature(function).parameters)
    if core == "jacobian":
        rows = range(len(case.due["jacobian: uR"]))
        shape = given["x"].shape

        def own(name: str, k: int) -> Any:
            return case.m if name == "m" else case.where.group(given[name], shape, k)

        return [np.stack([function(**{p: own(p, k) for p in parameters}) for k in rows])]
    written = {
        name: np.empty(given["x"].shape, object) for name in parameters if name in CORES[core]
    }
    returned = function(**{name: {**given, **written}[name] for name in parameters})
    if core == "forward":
        given |= zip(("x_max", "Z_shifted"), returned, strict=True)
        return [written["y"], given["Z_shifted"] * np.exp(given["x_max"])]
    return [*written.values(), *returned]

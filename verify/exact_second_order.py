"""The double backward's core, run on exact numbers, against nested dual numbers.

As in :mod:`verify.kernel_exact`, what runs is the text that is shipped, on rationals and on
integers modulo p, in every arrangement of the data.  What it has to equal is what
:mod:`verify.exact_orders` makes of the definition.  The mean comes in two parts, of which the first
is wrong by an arbitrary amount, as if by rounding.  *exact*, at sampled sizes and points.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from types import ModuleType
from typing import Any

import numpy as np

from derive.expr import SumOver, Var, adjoint
from derive.layer import Layer
from derive.layers.batch_norm import BATCH_NORM
from verify.arrangements import Arrangement, Array
from verify.exact import Counterexample, Outcome, Point, draw
from verify.exact_orders import double_backward
from verify.fields import FIELDS, Field, Index, Scalar
from verify.kernel_exact import BLOCK, arranged, spread, table_from
from verify.kernel_lines import one_row_and_all
from verify.kernel_numbers import Number, differences, on_objects
from verify.kernel_paths import whole_and_in_pieces
from verify.loading import load
from verify.references import REFERENCES

CORE = "_double_backward"
AGAIN = f"{CORE}_again"  # which finds the statistics itself, where those of the cache are narrow
DUE = ("g_dy", "g_x", "g_gamma")
SIZES = range(2, 7)


@dataclass(frozen=True)
class Case:
    """One call over one field: its arguments, and the results that are due."""

    field: str
    where: Arrangement
    given: dict[str, Any]
    due: dict[str, Array]


def check(
    source: str, layer: Layer = BATCH_NORM, *, sizes: Iterable[int] = SIZES, seed: int = 0
) -> list[Outcome]:
    """Run the core of a layer's module: one outcome for each field and result.

    ``sizes`` are values of m, at least 2.  What raises has failed.  Raises what the source raises
    on being loaded.
    """
    cases = prepare(layer, sizes=sizes, seed=seed)
    return compare(load(source, f"exact second order of {layer.name}"), cases)


def prepare(
    layer: Layer = BATCH_NORM, *, sizes: Iterable[int] = SIZES, seed: int = 0
) -> tuple[Case, ...]:
    """What any number of modules can be compared with."""
    sizes = list(sizes)
    return tuple(case for over in FIELDS for m in sizes for case in _cases(layer, over, m, seed))


def _cases(layer: Layer, over: Field, m: int, seed: int) -> Iterator[Case]:
    reference = REFERENCES[layer.name]
    rng = Random(f"second order {layer.name} {over.name} {m} {seed}")
    point = draw(layer, reference, over, m, rng)
    given = point.given
    v = {f"v_d{var.label}": _random(given[var.label], over, rng) for var in layer.inputs}
    dy = point.directions[adjoint(layer.output).label]
    due = double_backward(over, given, dy, v, reference.forward)
    axes = {var.label: var for var in layer.inputs}
    tables = {f"v_d{label}": _spread(point, v[f"v_d{label}"], var) for label, var in axes.items()}
    tables |= {label: _spread(point, given[label], var) for label, var in axes.items()}
    tables["dy"] = _spread(point, dy, layer.output)
    tables |= _statistics(point, over, rng)
    results = {
        label: _spread(point, due[label], layer.data if var is None else var)
        for label, var in zip(DUE, (None, None, layer.learnt[0]), strict=True)
    }
    wrap = np.frompyfunc(lambda value: Number(value, over), 1, 1)
    shape, eps = tables["x"].shape, wrap(given["eps"][()])
    data = layer.data.axes
    kept = [k for k, axis in enumerate(data) if axis not in layer.reduced_axes]
    for where in arranged(shape, kept):
        laid = {name: where.lay(np.asarray(wrap(table))) for name, table in tables.items()}
        for array in laid.values():
            array.flags.writeable = False
        laid["eps"] = eps
        yield Case(over.name, where, laid, {k: where.lay(t) for k, t in results.items()})


def _statistics(point: Point, over: Field, rng: Random) -> dict[str, Array]:
    """The mean in two wrong parts, if there is one, and the inverse root of the other statistic."""
    mean, found = point.layer.definitions[0].var, {}
    *_, spread_of = (d.var for d in point.layer if d.expr.has(SumOver))
    values = _spread(point, point.traced[spread_of.label], spread_of)
    eps = point.given["eps"][()]
    root = np.frompyfunc(lambda value: 1 / over.sqrt(value + eps), 1, 1)
    found = {name: np.asarray(root(values)) for name in ("inv_std", "inv_rms")}
    if mean != spread_of:
        exact = _spread(point, point.traced[mean.label], mean)
        off = np.array([over.random(rng) for _ in range(exact.size)], object).reshape(exact.shape)
        found |= {"mean": exact + off, "mean_rest": -off}
    return found


def _random(like: Mapping[Index, Scalar], over: Field, rng: Random) -> dict[Index, Scalar]:
    return {at: over.random(rng) for at in like}


def _spread(point: Point, entries: Mapping[Index, Scalar], var: Var) -> Array:
    return spread(table_from(entries), var.axes, point.layer.data.axes)


def compare(module: ModuleType, cases: Iterable[Case]) -> list[Outcome]:
    """:func:`check` for a private copy of a module, which computes on objects from then on."""
    on_objects(module, BLOCK)
    counts: dict[tuple[str, str], int] = {}
    misses: dict[tuple[str, str], list[Counterexample]] = {}
    for case in cases:
        m = case.given["x"].size // case.given["inv_std"].size
        found = [_results(module, case, CORE) for _ in whole_and_in_pieces(module, m)]
        if hasattr(module, AGAIN):
            found += [_results(module, case, AGAIN) for _ in one_row_and_all(module)]
        for label, got in (item for results in found for item in results.items()):
            key = f"double_backward: {label}", case.field
            count, missed = differences(got, case.due[label])
            counts[key] = counts.get(key, 0) + count
            misses.setdefault(key, []).extend(missed)
    return [
        Outcome(*key, count, len(misses[key]), misses[key][0] if misses[key] else None)
        for key, count in counts.items()
    ]


def _results(module: ModuleType, case: Case, name: str) -> dict[str, Array | str]:
    shape = case.given["x"].shape
    written: dict[str, Array | str] = {k: np.empty(shape, object) for k in ("g_dy", "g_x")}
    try:
        core = getattr(module, name)
        layout = case.where.layout(module, case.given["x"])
        parameters = inspect.signature(core).parameters
        if "g_gamma" in parameters:
            written["g_gamma"] = np.empty(layout.spread, object)
        given = {**case.given, **written, "layout": layout}
        returned = core(**{name: given[name] for name in parameters})
        return written if "g_gamma" in written else {**written, "g_gamma": np.asarray(*returned)}
    except Exception as error:  # a damaged kernel may raise anything
        return dict.fromkeys(DUE, f"raised {type(error).__name__}: {error}")

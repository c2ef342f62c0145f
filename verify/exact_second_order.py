"""The double backward's core, run on exact numbers, against nested dual numbers.

As in :mod:`verify.kernel_exact`, what runs is the text that is shipped, on rationals and on
integers modulo p, in every arrangement of the rows.  What it has to equal is what
:mod:`verify.exact_orders` makes of the definition.  The mean comes in two parts, of which the first
is wrong by an arbitrary amount, as if by rounding.  *exact*, at sampled sizes and points.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random
from types import ModuleType
from typing import Any

import numpy as np

from verify.arrangements import Array, arrangements
from verify.exact import Counterexample, Outcome
from verify.exact_orders import Table, point
from verify.fields import FIELDS, Field
from verify.kernel_exact import BLOCK, differences
from verify.kernel_numbers import Number, on_objects
from verify.loading import load
from verify.references import extents

CORE = "_double_backward"
DUE = ("g_dy", "g_x", "g_gamma")
TAKEN = ("x", "gamma", "dy", "v_dx", "v_dgamma", "v_dbeta")


@dataclass(frozen=True)
class Case:
    """One call over one field: its arguments, and the results that are due."""

    field: str
    axis: int
    given: dict[str, Any]
    due: dict[str, Array]


def check(source: str, *, sizes: Iterable[int] = range(2, 7), seed: int = 0) -> list[Outcome]:
    """Run the core of a generated module: one outcome for each field and result.

    ``sizes`` are values of m, at least 2.  What raises has failed.  Raises what the source raises
    on being loaded.
    """
    return compare(load(source, "exact second order"), prepare(sizes=sizes, seed=seed))


def prepare(*, sizes: Iterable[int] = range(2, 7), seed: int = 0) -> tuple[Case, ...]:
    """What any number of modules can be compared with."""
    sizes = list(sizes)
    return tuple(case for over in FIELDS for m in sizes for case in _cases(over, m, seed))


def _cases(over: Field, m: int, seed: int) -> Iterator[Case]:
    true = point(over.name, m, seed).backward
    rng = Random(f"second order {over.name} {m} {seed}")
    wrap = np.frompyfunc(lambda value: Number(value, over), 1, 1)
    tables = {label: _table(true[label]) for label in TAKEN}
    off = np.array([over.random(rng) for _ in tables["gamma"]], object)
    roots = [1 / over.sqrt(value + true["eps"][()]) for value in _table(true["var"])]
    tables |= {"mean": _table(true["mu"]) + off, "mean_rest": -off}
    tables["inv_std"] = np.array(roots, object)
    due = {label: _table(true[label]) for label in DUE}
    for where in arrangements(m):
        given = {name: where.lay(np.asarray(wrap(table))) for name, table in tables.items()}
        for array in given.values():
            array.flags.writeable = False
        yield Case(over.name, where.axis, given, {k: where.lay(t) for k, t in due.items()})


def _table(entries: Table) -> Array:
    table = np.empty([len(positions) for positions in extents(entries)], object)
    for index, value in entries.items():
        table[index] = value
    return table


def compare(module: ModuleType, cases: Iterable[Case]) -> list[Outcome]:
    """:func:`check` for a private copy of a module, which computes on objects from then on."""
    on_objects(module, BLOCK)
    counts: dict[tuple[str, str], int] = {}
    misses: dict[tuple[str, str], list[Counterexample]] = {}
    for case in cases:
        for label, got in _results(module, case).items():
            key = f"double_backward: {label}", case.field
            count, missed = differences(got, case.due[label])
            counts[key] = counts.get(key, 0) + count
            misses.setdefault(key, []).extend(missed)
    return [
        Outcome(*key, count, len(misses[key]), misses[key][0] if misses[key] else None)
        for key, count in counts.items()
    ]


def _results(module: ModuleType, case: Case) -> dict[str, Array | str]:
    shape = case.given["x"].shape
    written = {label: np.empty(shape, object) for label in ("g_dy", "g_x")}
    try:
        core = getattr(module, CORE)
        layout = module._layout(case.given["x"], case.axis)
        given = {**case.given, **written, "layout": layout}
        (g_gamma,) = core(**{name: given[name] for name in inspect.signature(core).parameters})
        return {**written, "g_gamma": np.asarray(g_gamma)}
    except Exception as error:  # a damaged kernel may raise anything
        return dict.fromkeys(DUE, f"raised {type(error).__name__}: {error}")

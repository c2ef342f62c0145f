"""How numba modules read data whose rows are reduced; copied below the marker.

``_Layout`` is that of :mod:`codegen.backends.numpy_rows_support`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, NamedTuple

import numba
import numpy as np

from codegen.backends.numba_support import _BITS, _SHARE, _in_order, _together
from codegen.backends.numpy_rows_support import _Layout
from codegen.backends.numpy_support import _WIDE, Array, _wide

# --- copied from here on ---

# How a kernel runs.  The data are seen as (i, g, p, s): a row (i, g) has one value of each
# statistic, a parameter one for each (g, p), and s counts the elements of a row that share it.  A
# row stays in the cache while its sums, and then the results, are computed; all numbers are float64
# in registers.  Rows that do not lie so in memory are copied, block by block.
_Loops = tuple[Callable[..., None], Callable[..., None]]  # for s of one value, and of more


class _Rows(NamedTuple):
    """What a compiled loop takes: arrays (i, g, p, s), parameters (g, p), values of rows (i, g),
    numbers; and what it writes: values of rows, totals for each parameter, results."""

    data: Sequence[Array]
    learnt: Sequence[Array]
    rows: Sequence[Array]
    numbers: Sequence[float]
    kept: Sequence[Array]
    totals: Sequence[Array]
    results: Sequence[Array]


def _by_rows(loops: _Loops, layout: _Layout, rows: _Rows) -> None:
    """One reading of the data, by rows; the totals are added to what they are."""
    every = [*rows.data, *rows.results]
    order = _order(layout)
    if 0 in layout.view:
        for kept in rows.kept:
            kept[...] = np.nan
        return
    if list(order) == sorted(order) and all(_in_order(a, every[0].dtype) for a in every):
        if seen := _BITS.get(every[0].dtype.char):
            every = [a.view(seen) for a in every]
        inputs = len(rows.data)
        _share_out(loops, _seen(rows._replace(data=every[:inputs], results=every[inputs:]), layout))
        return
    for block in layout.blocks():
        data = [_wide(a[block]) for a in rows.data]
        shape = data[0].shape
        part = rows._replace(
            data=data,
            learnt=[_cut(v, block) for v in rows.learnt],
            rows=[_cut(v, block) for v in rows.rows],
            kept=[np.empty_like(_cut(v, block)) for v in rows.kept],
            totals=[np.zeros_like(_cut(v, block)) for v in rows.totals],
            results=[np.empty(shape, _WIDE) for _ in rows.results],
        )
        arrays = {name: one for name, one in part._asdict().items() if name != "numbers"}
        moved = part._replace(**{name: _moved(one, order) for name, one in arrays.items()})
        _share_out(loops, _seen(moved, layout))
        for kept, made in zip(rows.kept, moved.kept, strict=True):
            kept[block] = made.transpose(np.argsort(order))
        for total, made in zip(rows.totals, moved.totals, strict=True):
            _cut(total, block)[...] += made.transpose(np.argsort(order))
        for result, made in zip(rows.results, moved.results, strict=True):
            result[block] = made.transpose(np.argsort(order))


def _order(layout: _Layout) -> list[int]:
    """The axes of the view in the order i, g, p, s."""
    return sorted(range(len(layout.view)), key=lambda k: _kind(layout, k))


def _kind(layout: _Layout, k: int) -> int:
    """Which of i, g, p, s an axis of the view belongs to."""
    kept, learnt = k in layout.kept, k in layout.learnt
    return (1 if learnt else 0) if kept else (2 if learnt else 3)


def _cut(value: Array, block: Sequence[slice]) -> Array:
    """A block's part of what broadcasts against the data."""
    part: Array = value[
        tuple(b if n > 1 else slice(None) for b, n in zip(block, value.shape, strict=True))
    ]
    return part


def _moved(arrays: Sequence[Any], order: Sequence[int]) -> list[Any]:
    return [np.ascontiguousarray(array.transpose(order)) for array in arrays]


def _seen(rows: _Rows, layout: _Layout) -> _Rows:
    """Arrays, their axes in the order i, g, p, s, with one axis for each of these."""
    kinds = sorted(_kind(layout, k) for k in range(len(layout.view)))

    def four(array: Array) -> Array:
        size = [1, 1, 1, 1]
        for kind, n in zip(kinds, array.shape, strict=True):
            size[kind] *= n
        return array.reshape(size)

    return _Rows(
        [four(a) for a in rows.data],
        [four(a)[0, :, :, 0] for a in rows.learnt],
        [four(a)[:, :, 0, 0] for a in rows.rows],
        rows.numbers,
        [four(a)[:, :, 0, 0] for a in rows.kept],
        [four(a)[0, :, :, 0] for a in rows.totals],
        [four(a) for a in rows.results],
    )


def _share_out(loops: _Loops, rows: _Rows) -> None:
    """The loop, its rows shared out to threads."""
    shape = rows.data[0].shape
    count = shape[0]
    threads = min(math.prod(shape) // _SHARE, count)
    if threads > 1:
        threads = min(threads, numba.get_num_threads())
    if threads <= 1:
        _loop(loops, rows)
        return
    tasks, found = [], []
    for k in range(threads):
        share = slice(k * count // threads, (k + 1) * count // threads)
        found.append([np.zeros_like(total) for total in rows.totals])
        own = _Rows(
            [a[share] for a in rows.data],
            rows.learnt,
            [v[share] for v in rows.rows],
            rows.numbers,
            [v[share] for v in rows.kept],
            found[-1],
            [a[share] for a in rows.results],
        )
        tasks.append(partial(_loop, loops, own))
    _together(tasks)
    for part in found:
        for total, one in zip(rows.totals, part, strict=True):
            total += one


def _loop(loops: _Loops, rows: _Rows) -> None:
    along_lanes, along_runs = loops
    data, learnt, of_row, numbers, kept, totals, results = rows
    if data[0].shape[3] > 1:
        along_runs(*data, *learnt, *of_row, *numbers, *kept, *totals, *results)
        return
    lanes = [a.reshape(a.shape[:3]) for a in data]
    made = [a.reshape(a.shape[:3]) for a in results]
    along_lanes(*lanes, *learnt, *of_row, *numbers, *kept, *totals, *made)

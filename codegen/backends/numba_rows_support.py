"""How numba modules read data whose rows are reduced; copied below the marker.

``_Layout`` is that of :mod:`codegen.backends.numpy_rows_support`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import numba
import numpy as np

from codegen.backends.numba_support import _BITS, _SHARE, _in_order, _together
from codegen.backends.numpy_rows_support import _cut, _Layout
from codegen.backends.numpy_support import _WIDE, Array

# --- copied from here on ---

# How a kernel runs.  The data are seen as (i, g, p, s): a row (i, g) has one value of each
# statistic, a parameter one for each (g, p), and s counts the elements of a row that share it.  A
# row stays in the cache while its sums, and then the results, are computed; all numbers are float64
# in registers.  Rows that do not lie so in memory are copied, block by block; where one row is too
# large to be copied whole, NumPy computes it in pieces.
_ROOM = 6 * 2**20  # bytes that copies of rows may take
_Loops = tuple[Callable[..., None], Callable[..., None]]  # for s of one value, and of more


class _Arrays(NamedTuple):
    """What a compiled loop takes: arrays (i, g, p, s), parameters (g, p), values of rows (i, g),
    numbers; and what it writes: values of rows, totals for each parameter, results."""

    data: Sequence[Array]
    learnt: Sequence[Array]
    rows: Sequence[Array]
    numbers: Sequence[float]
    kept: Sequence[Array]
    totals: Sequence[Array]
    results: Sequence[Array]


def _by_rows(loops: _Loops, layout: _Layout, rows: _Arrays) -> None:
    """One reading of the data, by rows; the totals are added to what they are."""
    every = [*rows.data, *rows.results]
    if 0 in layout.view:
        for kept in rows.kept:
            kept[...] = np.nan
        return
    if _lie_in_order(layout, *every):
        if seen := _BITS.get(every[0].dtype.char):
            every = [a.view(seen) for a in every]
        inputs = len(rows.data)
        _share_out(loops, _seen(rows._replace(data=every[:inputs], results=every[inputs:]), layout))
        return
    for block in layout.blocks():
        _copied(loops, layout, rows, block)


def _copied(loops: _Loops, layout: _Layout, rows: _Arrays, block: tuple[slice, ...]) -> None:
    """The same for some rows, from copies of them in float64 and in the order of the loops."""
    order = _order(layout)
    back = np.argsort(order)

    def moved(array: Array) -> Array:
        return np.ascontiguousarray(array.transpose(order), _WIDE)

    data = [moved(a[block]) for a in rows.data]
    copies = _Arrays(
        data,
        [moved(_cut(v, block)) for v in rows.learnt],
        [moved(_cut(v, block)) for v in rows.rows],
        rows.numbers,
        [np.empty_like(moved(_cut(v, block))) for v in rows.kept],
        [np.zeros_like(moved(_cut(v, block))) for v in rows.totals],
        [np.empty_like(data[0]) for _ in rows.results],
    )
    _share_out(loops, _seen(copies, layout))
    for kept, made in zip(rows.kept, copies.kept, strict=True):
        kept[block] = made.transpose(back)
    for total, made in zip(rows.totals, copies.totals, strict=True):
        _cut(total, block)[...] += made.transpose(back)
    for result, made in zip(rows.results, copies.results, strict=True):
        result[block] = made.transpose(back)


def _fits(layout: _Layout, *arrays: Array) -> bool:
    """Whether a row of all these may be copied, if it does not lie in order."""
    return 8 * layout.m * len(arrays) <= _ROOM or _lie_in_order(layout, *arrays)


def _lie_in_order(layout: _Layout, *arrays: Array) -> bool:
    """Whether compiled loops may read data and write results where they are."""
    if not _ordered(layout):
        return False
    dtype = arrays[0].dtype
    return all(_in_order(array, dtype) for array in arrays)


@lru_cache(maxsize=256)
def _ordered(layout: _Layout) -> bool:
    order = _order(layout)
    return order == sorted(order)


@lru_cache(maxsize=256)
def _order(layout: _Layout) -> list[int]:
    """The axes of the view in the order i, g, p, s."""
    return sorted(range(len(layout.view)), key=lambda k: _kind(layout, k))


def _kind(layout: _Layout, k: int) -> int:
    """Which of i, g, p, s an axis of the view belongs to."""
    kept, learnt = k in layout.kept, k in layout.learnt
    return (1 if learnt else 0) if kept else (2 if learnt else 3)


@lru_cache(maxsize=256)
def _sizes(layout: _Layout, shape: tuple[int, ...]) -> tuple[int, int, int, int]:
    """i, g, p, s of data of this shape, whose axes are in their order."""
    size = [1, 1, 1, 1]
    for k, n in zip(_order(layout), shape, strict=True):
        size[_kind(layout, k)] *= n
    return size[0], size[1], size[2], size[3]


def _seen(rows: _Arrays, layout: _Layout) -> _Arrays:
    """Arrays, their axes in the order i, g, p, s, with one axis for each of these."""
    whole = _sizes(layout, rows.data[0].shape)
    i, g = whole[:2]
    return _Arrays(
        [a.reshape(whole) for a in rows.data],
        [a.reshape(g, -1) for a in rows.learnt],
        [a.reshape(i, g) for a in rows.rows],
        rows.numbers,
        [a.reshape(i, g) for a in rows.kept],
        [a.reshape(g, -1) for a in rows.totals],
        [a.reshape(whole) for a in rows.results],
    )


def _share_out(loops: _Loops, rows: _Arrays) -> None:
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
        own = _Arrays(
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


def _loop(loops: _Loops, rows: _Arrays) -> None:
    along_lanes, along_runs = loops
    data, learnt, of_row, numbers, kept, totals, results = rows
    if data[0].shape[3] > 1:
        along_runs(*data, *learnt, *of_row, *numbers, *kept, *totals, *results)
        return
    lanes = [a.reshape(a.shape[:3]) for a in data]
    made = [a.reshape(a.shape[:3]) for a in results]
    along_lanes(*lanes, *learnt, *of_row, *numbers, *kept, *totals, *made)

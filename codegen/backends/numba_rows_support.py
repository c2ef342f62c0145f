"""How numba modules read data whose rows are reduced; copied below the marker.

``_Layout`` is that of :mod:`codegen.backends.numpy_rows_support`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import NamedTuple

import numba
import numpy as np

from codegen.backends.numba_support import _BITS, _SHARE, _in_order, _together
from codegen.backends.numpy_rows_support import _Box, _cut, _Layout
from codegen.backends.numpy_support import _WIDE, Array

# --- copied from here on ---

# How a kernel runs.  The data are seen as (i, g, p, s): a row (i, g) has one value of each
# statistic, a parameter one for each (g, p), and s counts the elements of a row that share it.  A
# row stays in the cache while its sums, and then the results, are computed; all numbers are float64
# in registers.  Rows that do not lie so in memory are copied, block by block; where one row is too
# large to be copied whole, or has very many parameters, NumPy computes it in pieces.  The loops
# allocate nothing: what a call takes beside its arrays are these copies, the parameters of a part
# and their gradients in float64, and for each thread gradients of its own.
_ROOM = 6 * 2**20  # bytes that copies of rows may take
_LEARNT = 2**16  # parameters of a part, about
_GRADIENTS = 3 * 2**20  # bytes that gradients of threads' own may take
_Loops = tuple[Callable[..., None], Callable[..., None]]  # for s of one value, and of more


class _Arrays(NamedTuple):
    """What a compiled loop takes: arrays (i, g, p, s), a part's parameters (g, p), values of rows
    (i, g), numbers; and what it writes: values of rows, totals for each parameter, results."""

    data: Sequence[Array]
    learnt: Sequence[Array]
    rows: Sequence[Array]
    numbers: Sequence[float]
    kept: Sequence[Array]
    totals: Sequence[Array]
    results: Sequence[Array]


def _parts(layout: _Layout) -> Iterator[_Box]:
    """Indices of all that shares some of the parameters, so few that there is room for them."""
    return layout.boxes(layout.whole, layout.shared, _learnt_by_row(layout), _LEARNT)


def _learnt_by_row(layout: _Layout) -> int:
    """How many parameters a row has."""
    return layout.m // max(layout.alike, 1)


def _by_rows(loops: _Loops, layout: _Layout, part: _Box, rows: _Arrays) -> None:
    """One reading of a part of the data, by rows; the totals are added to what they are."""
    every = [*rows.data, *rows.results]
    if 0 in layout.view:
        for kept in rows.kept:
            kept[...] = np.nan
        return
    if _lie_in_order(layout, *every):
        if seen := _BITS.get(every[0].dtype.char):
            every = [a.view(seen) for a in every]
        inputs = len(rows.data)
        rows = rows._replace(data=every[:inputs], results=every[inputs:])
        start, stop = _groups(layout, part)
        _share_out(loops, _seen(rows, layout, stop - start), start, stop)
        return
    own = rows._replace(
        data=[a[part] for a in rows.data],
        rows=[v[part] for v in rows.rows],
        kept=[v[part] for v in rows.kept],
        results=[a[part] for a in rows.results],
    )
    inner = layout.of(part)
    for block in inner.blocks():
        _copied(loops, inner, own, block)


def _groups(layout: _Layout, part: _Box) -> tuple[int, int]:
    """Which g a part has: from the first to the last."""
    if not layout.shared:
        return 0, 1
    (axis,) = layout.shared
    start, stop, _ = part[axis].indices(layout.view[axis])
    return start, stop


def _copied(loops: _Loops, layout: _Layout, rows: _Arrays, block: _Box) -> None:
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
    _, count, _, _ = _sizes(layout, data[0].shape)
    _share_out(loops, _seen(copies, layout, count), 0, count)
    for kept, made in zip(rows.kept, copies.kept, strict=True):
        kept[block] = made.transpose(back)
    for total, made in zip(rows.totals, copies.totals, strict=True):
        _cut(total, block)[...] += made.transpose(back)
    for result, made in zip(rows.results, copies.results, strict=True):
        result[block] = made.transpose(back)


def _fits(layout: _Layout, *arrays: Array) -> bool:
    """Whether a row of all these may be copied, if it does not lie in order, and its parameters."""
    learnt = _learnt_by_row(layout)
    if learnt > 4 * _LEARNT:
        return False
    copied = layout.m * len(arrays) + 8 * learnt  # gradients are added up in another copy
    return 8 * copied <= _ROOM or _lie_in_order(layout, *arrays)


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


def _seen(rows: _Arrays, layout: _Layout, count: int) -> _Arrays:
    """Arrays, their axes in the order i, g, p, s, with one axis for each of these; parameters have
    so many g."""
    whole = _sizes(layout, rows.data[0].shape)
    i, g = whole[:2]
    return _Arrays(
        [a.reshape(whole) for a in rows.data],
        [np.ascontiguousarray(a.reshape(count, -1)) for a in rows.learnt],
        [a.reshape(i, g) for a in rows.rows],
        rows.numbers,
        [a.reshape(i, g) for a in rows.kept],
        [a.reshape(count, -1) for a in rows.totals],
        [a.reshape(whole) for a in rows.results],
    )


def _share_out(loops: _Loops, rows: _Arrays, start: int, stop: int) -> None:
    """The loop over g from start to stop, its rows shared out to threads."""
    count, _, learnt, alike = rows.data[0].shape
    threads = min(count * (stop - start) * learnt * alike // _SHARE, count)
    if threads > 1:
        room = _GRADIENTS // max(1, sum(total.nbytes for total in rows.totals))
        threads = min(threads, numba.get_num_threads(), room)
    if threads <= 1:
        _loop(loops, rows, start, stop)
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
        tasks.append(partial(_loop, loops, own, start, stop))
    _together(tasks)
    for part in found:
        for total, one in zip(rows.totals, part, strict=True):
            total += one


def _loop(loops: _Loops, rows: _Arrays, start: int, stop: int) -> None:
    along_lanes, along_runs = loops
    data, learnt, of_row, numbers, kept, totals, results = rows
    own = *learnt, *of_row, *numbers, *kept, *totals
    if data[0].shape[3] > 1:
        along_runs(*data, *own, *results, start, stop)
        return
    lanes = [a.reshape(a.shape[:3]) for a in data]
    made = [a.reshape(a.shape[:3]) for a in results]
    along_lanes(*lanes, *own, *made, start, stop)

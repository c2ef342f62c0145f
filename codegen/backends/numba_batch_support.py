"""How numba modules read data that are reduced over the batch; copied below the marker."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

import numba
import numpy as np
from numba import types
from numba.extending import overload

from codegen.backends.numba_support import (
    _BITS,
    _SHARE,
    _compiled,
    _in_order,
    _load,
    _together,
)
from codegen.backends.numpy_support import _BLOCK, _WIDE, Array, _Layout, _wide

# --- copied from here on ---

# How a pass runs.  Seen as (before, channels, after) the data are read from the first element to
# the last, as they lie in memory: anything else costs more than the cache gives back.  Where a
# channel has many elements side by side (images) a loop goes along such a run; otherwise along a
# row, whose channels lie side by side, and short rows are taken several at a time.  What there is
# one of for each channel is loaded, and sums are stored, once for a few rows from as many parts of
# the data: for fewer where rows are so short that all this stays in the nearest cache, and the data
# are not in any.  All numbers are float64 in registers, but for results of float16 data, which are
# computed in float32 if this loses nothing: on float32 data that would be hardly faster, as it is
# memory that they wait for.  Of some channels of arrays that lie so, all rows but the last are
# taken for an array that begins at their first element: a loop goes no further along a row than
# there are values of channels.  Any other arrays are copied, block by block.
_RUN = 24  # elements from which on a run is worth a loop of its own
_LANES = 128, 256  # elements of a row that is too short, and of several together
_PLACES = (None,) * 4  # how many rows at once, in a form whose length compiled code knows
_NEAR, _SMALL = 512, 2**18  # elements of a row, or of an array, that stay in a near cache
_LARGE, _LEFT = 2.0**60, 16  # what float32 is for: sizes, and how little is left of squares
_SAMPLE = 24, 8, 4  # elements of one reduced axis, or of each of two or more: they give the centre


def _read(
    loop: Callable[..., None],
    layout: _Layout,
    data: Sequence[Array],
    values: Sequence[Any],
    results: Sequence[Array] = (),
    sums: int = 0,
    narrow: bool = False,
) -> list[Array]:
    """One reading of the data: it writes results of their size, or returns sums over the batch.

    ``values`` are one for each channel, (C,) or a number for all, and so are the sums: (C,).
    ``narrow``: from float16 the results may be computed in float32.
    """
    shape, axis, channels = layout.shape, layout.axis, layout.channels
    totals = [*np.zeros((sums, channels), _WIDE)]
    own = [v if isinstance(v, np.ndarray) else np.full(channels, v, _WIDE) for v in values]
    every = [*data, *results]
    if 0 in shape:
        pass
    elif rows := _as_they_lie(every, layout):
        if narrow and rows[0][0].dtype == _BITS["e"]:
            own = [value.astype(np.float32) for value in own]
        for arrays in rows:
            _share_out(loop, arrays, len(data), totals, own)
    else:
        for block in _blocks(shape):
            copies = [np.ascontiguousarray(_wide(a[block])) for a in data]
            size = copies[0].shape
            copies += [np.empty(size, _WIDE) for _ in results]
            part = block[axis] if axis < len(block) else slice(None)
            blocks = [c.reshape(_whole(size, axis)) for c in copies]
            _share_out(loop, blocks, len(data), [t[part] for t in totals], [v[part] for v in own])
            for result, made in zip(results, copies[len(data) :], strict=True):
                result[block] = made
    return totals


def _as_they_lie(arrays: Sequence[Array], layout: _Layout) -> list[list[Array]]:
    """The arrays as (before, channels, after), once or, some channels of larger arrays, in two
    steps; none if they do not lie so."""
    dtype, whole = arrays[0].dtype, _whole(layout.shape, layout.axis)
    seen = _BITS.get(dtype.char, dtype)
    if all(_in_order(a, dtype) for a in arrays):
        return [[a.view(seen).reshape(whole) for a in arrays]]
    before, channels, after = whole
    row = arrays[0].strides[layout.axis - 1] if layout.axis else 0
    length = row // (after * dtype.itemsize)  # of the larger arrays, in channels
    larger = [length if k == layout.axis else n for k, n in enumerate(layout.shape)]
    strides = tuple(dtype.itemsize * math.prod(larger[k + 1 :]) for k in range(len(larger)))
    if length <= channels or channels * after < _LANES[0]:
        return []
    first = (slice(1),) * layout.axis
    for array in arrays:
        if array.strides != strides or not _in_order(array[first], dtype):
            return []
    rows = [a.view(seen).reshape(whole) for a in arrays]
    if before < 3:
        return [[one[k : k + 1] for one in rows] for k in range(before)]
    shape = before - 1, length, after
    return [[np.lib.stride_tricks.as_strided(r, shape) for r in rows], [r[-1:] for r in rows]]


@lru_cache(maxsize=256)
def _whole(shape: tuple[int, ...], axis: int) -> tuple[int, int, int]:
    """(before, channels, after)."""
    return math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])


def _blocks(shape: tuple[int, ...]) -> Iterator[tuple[slice, ...]]:
    """Indices of about _BLOCK elements each, which meet every element once."""
    cut, size = len(shape) - 1, 1
    while cut and size * shape[cut] <= _BLOCK:
        size *= shape[cut]
        cut -= 1
    length = max(1, _BLOCK // size)
    for outer in np.ndindex(shape[:cut]):
        for start in range(0, shape[cut], length):
            yield (*(slice(k, k + 1) for k in outer), slice(start, start + length))


def _share_out(
    loop: Callable[..., None],
    arrays: list[Array],
    inputs: int,
    sums: list[Array],
    values: list[Array],
) -> None:
    """The loop over arrays (before, channels, after), its elements shared out to threads: those
    before the channels, or else the channels."""
    before, channels, after = arrays[0].shape
    shape = before, min([channels, *(len(one) for one in (*values, *sums))]), after
    cut, threads = _threads(shape)
    if threads <= 1:
        loop(_rows_at_once(shape), *arrays[:inputs], *values, *arrays[inputs:], *sums)
        return
    tasks, found = [], []
    for k in range(threads):
        share = slice(k * shape[cut] // threads, (k + 1) * shape[cut] // threads)
        some, own = ((share,), slice(None)) if cut == 0 else ((slice(None), share), share)
        found.append([np.zeros_like(total) for total in sums])
        parts = [a[some] for a in arrays]
        first = [*parts[:inputs], *(value[own] for value in values), *parts[inputs:]]
        totals = [total[own] for total in found[-1]]
        tasks.append(partial(loop, _rows_at_once(shape), *first, *totals))
    _together(tasks)
    for part in found:
        for total, one in zip(sums, part, strict=True):
            total += one


def _threads(shape: tuple[int, ...]) -> tuple[int, int]:
    """Which axis of (before, channels, after) is cut, and how many threads share it."""
    before, channels, after = shape
    cut = 0 if before > 1 else 1
    threads = min(before * channels * after // _SHARE, shape[cut])
    return cut, min(threads, numba.get_num_threads()) if threads > 1 else threads


def _in_one_call(layout: _Layout, *arrays: Array) -> list[Array]:
    """The arrays as (before, channels, after) if one thread can read all as they lie; else none."""
    dtype, whole = arrays[0].dtype, _whole(layout.shape, layout.axis)
    if 0 in whole or _threads(whole)[1] > 1:
        return []
    for array in arrays:
        if not _in_order(array, dtype):
            return []
    if seen := _BITS.get(dtype.char):
        return [array.view(seen).reshape(whole) for array in arrays]
    return [array.reshape(whole) for array in arrays]


def _rows_at_once(shape: tuple[int, ...]) -> tuple[None, ...]:
    """As many entries as rows are taken at once from different parts of the data."""
    before, channels, after = shape
    row = channels * after
    return _PLACES if row > _NEAR or before * row <= _SMALL else _PLACES[:2]


@_compiled
def _by_rows(shape: tuple[int, int, int], at_once: int) -> Any:
    """How many of those before the channels are taken row by row, and the shape of such rows:
    parts of the data, rows of each, elements side by side.  What is left over goes along runs."""
    before, channels, run = shape
    lanes = channels * run
    short, enough = _LANES
    fold = max(1, min(before // at_once, enough // lanes)) if lanes < short else 1
    rows = 0 if run >= _RUN else before // (at_once * fold)
    return rows * at_once * fold, (at_once, rows, fold * lanes)


@_compiled
def _side_by_side(values: Array, run: int, lanes: int) -> Array:
    """Values of each channel for the elements of a row, in which ``run`` of a channel lie side by
    side; the values themselves if each has one."""
    if lanes == values.size:
        return values
    row = np.empty((lanes // (values.size * run), values.size, run), values.dtype)
    for i in range(row.shape[0]):
        for c in range(row.shape[1]):
            for s in range(row.shape[2]):
                row[i, c, s] = values[c]
    return row.reshape(lanes)


@_compiled
def _add_up(row: Array, run: int, total: Array) -> None:
    """Add sums for the elements of a row to those of their channels."""
    whole = row.reshape((row.size // (total.size * run), total.size, run))
    for i in range(whole.shape[0]):
        for c in range(whole.shape[1]):
            for s in range(whole.shape[2]):
                total[c] += whole[i, c, s]


def _narrowed(values: Array, x: Array) -> Array:
    """Values of each channel as they meet the data: in float32 if these are float16."""
    return values


def _narrowed_compiled(values: Any, x: Any) -> Callable[..., Any]:
    if x.dtype == types.uint16:
        return lambda values, x: values.astype(np.float32)
    return lambda values, x: values


overload(_narrowed, strict=False)(_narrowed_compiled)


@_compiled
def _moderate(values: Any) -> Any:
    """Whether values are of a size that float32 is at ease with; what is NaN stays so."""
    fits = True
    for value in values:
        for k in range(value.size):
            fits &= not abs(value[k]) > _LARGE
    return fits


@_compiled
def _is_left(left: Array, terms: Array) -> Any:
    """Whether subtraction has left enough of its terms, both as squares."""
    enough = True
    for k in range(left.size):
        enough &= _LEFT * left[k] >= terms[k]
    return enough


def _vectors(*values: Array) -> tuple[Array, ...]:
    """Values of each channel without the axes along which they are the same: (C,)."""
    return tuple([value.reshape(-1) for value in values])


def _spread(layout: _Layout, values: Sequence[Array] | Array) -> tuple[Array, ...]:
    """Values of each channel in the shape that broadcasts against the data."""
    shape = layout.group_shape
    return tuple([value.reshape(shape) for value in values])


@lru_cache(maxsize=256)
def _number(m: int) -> Any:
    """m in the type of the computation, whose powers do not overflow."""
    return np.full((), m, _WIDE)[()]


def _near_mean(x: Array, layout: _Layout) -> Array:
    """A centre for each channel: the mean of a few elements."""
    few, count = _few(layout)
    mean: Array = np.add.reduce(x[few], layout.reduced, _WIDE) / count
    return mean


@_compiled
def _near_mean_of(x: Array) -> Array:
    """The same of an array (before, channels, after)."""
    before, channels, after = x.shape
    most = _SAMPLE[1] if before > 1 and after > 1 else _SAMPLE[0]
    mean, count = np.zeros(channels, _WIDE), 0
    for i in range(0, before, (before - 1) // most + 1):
        for s in range(0, after, (after - 1) // most + 1):
            count += 1
            for c in range(channels):
                mean[c] += _load(x[i, c, s])
    return mean / count


@lru_cache(maxsize=256)
def _few(layout: _Layout) -> tuple[tuple[slice, ...], int]:
    """Where there are a few elements of each channel, and how many; at least 1 is said."""
    most = _SAMPLE[min(len(layout.reduced), len(_SAMPLE)) - 1]
    steps = [-(-n // most) or 1 for n in layout.shape]
    steps[layout.axis] = 1
    count = math.prod(-(-layout.shape[k] // steps[k]) for k in layout.reduced)
    return tuple(slice(None, None, step) for step in steps), max(count, 1)


@_compiled
def _far(rest: Array, squares: Array, m: Any) -> Any:
    """Whether a centre was so far from the mean that sums about it have lost digits."""
    far = False
    for k in range(rest.size):
        far |= 2 * m * rest[k] ** 2 > squares[k]
    return far

"""How numba modules read data that are reduced over the batch; copied below the marker."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache, partial
from typing import Any

import numba
import numpy as np

from codegen.backends.numba_support import _BITS, _SHARE, _compiled, _in_order, _together
from codegen.backends.numpy_support import _BLOCK, _WIDE, Array, _Layout, _wide

# --- copied from here on ---

# How a pass runs.  Seen as (before, channels, after) the data are read from the first element to
# the last, as they lie in memory: anything else costs more than the cache gives back.  Where a
# channel has many elements side by side (images) a loop goes along such a run; otherwise along a
# row, whose channels lie side by side, and short rows are taken several at a time.  What there is
# one of for each channel is loaded, and sums are stored, once for a few rows from as many parts of
# the data: for four where rows are so long that these do not stay in the nearest cache.
# All numbers are float64 in registers.  Arrays that do not lie so are copied, block by block.
_RUN = 24  # elements from which on a run is worth a loop of its own
_LANES = 64, 256  # elements of a row that is too short, and of several together
_PLACES = (None,) * 4  # how many rows at once, in a form whose length compiled code knows
_NEAR = 2**11  # numbers that stay in the nearest cache while the data go by
_SAMPLE = (24, 4)  # elements of one reduced axis, or of each of several, that give the centre

_Loops = tuple[Callable[..., None], Callable[..., None]]  # along rows, along runs


def _read(
    loops: _Loops,
    layout: _Layout,
    data: Sequence[Array],
    values: Sequence[Any],
    results: Sequence[Array] = (),
    sums: int = 0,
) -> list[Array]:
    """One reading of the data: it writes results of their size, or returns sums over the batch.

    ``values`` are one for each channel, (C,) or a number for all, and so are the sums: (C,).
    """
    shape, axis, channels = layout.shape, layout.axis, layout.channels
    totals = [*np.zeros((sums, channels), _WIDE)]
    own = [v if isinstance(v, np.ndarray) else np.full(channels, v, _WIDE) for v in values]
    every = [*data, *results]
    dtype = every[0].dtype
    if 0 in shape:
        pass
    elif all(_in_order(a, dtype) for a in every):
        if seen := _BITS.get(dtype.char):
            every = [a.view(seen) for a in every]
        whole = _whole(shape, axis)
        _share_out(loops, [a.reshape(whole) for a in every], len(data), totals, own)
    else:
        for block in _blocks(shape):
            copies = [np.ascontiguousarray(_wide(a[block])) for a in data]
            size = copies[0].shape
            copies += [np.empty(size, _WIDE) for _ in results]
            part = block[axis] if axis < len(block) else slice(None)
            blocks = [c.reshape(_whole(size, axis)) for c in copies]
            _share_out(loops, blocks, len(data), [t[part] for t in totals], [v[part] for v in own])
            for result, made in zip(results, copies[len(data) :], strict=True):
                result[block] = made
    return totals


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
    loops: _Loops, arrays: list[Array], inputs: int, sums: list[Array], values: list[Array]
) -> None:
    """The loop over arrays (before, channels, after), its elements shared out to threads: those
    before the channels, or else the channels."""
    shape = arrays[0].shape
    cut = 0 if shape[0] > 1 else 1
    threads = min(arrays[0].size // _SHARE, shape[cut])
    if threads > 1:
        threads = min(threads, numba.get_num_threads())
    if threads <= 1:
        _loop(loops, arrays, inputs, sums, values)
        return
    tasks, found = [], []
    for k in range(threads):
        share = slice(k * shape[cut] // threads, (k + 1) * shape[cut] // threads)
        some, own = ((share,), slice(None)) if cut == 0 else ((slice(None), share), share)
        found.append([np.zeros_like(total) for total in sums])
        of_share = [total[own] for total in found[-1]], [value[own] for value in values]
        tasks.append(partial(_loop, loops, [a[some] for a in arrays], inputs, *of_share))
    _together(tasks)
    for part in found:
        for total, one in zip(sums, part, strict=True):
            total += one


def _loop(
    loops: _Loops, arrays: list[Array], inputs: int, sums: list[Array], values: list[Array]
) -> None:
    """The compiled loop, along runs or along rows; short rows several at a time."""
    along_rows, along_runs = loops
    before, channels, run = arrays[0].shape
    if run >= _RUN:
        along_runs(*arrays[:inputs], *values, *arrays[inputs:], *sums)
        return
    lanes = channels * run
    short, enough = _LANES
    fold = min(before, enough // lanes) if lanes < short else 1
    held = (len(values) + len(sums)) * fold * lanes
    at_once = 4 if held > _NEAR else max(1, 4 // inputs) if sums else 1
    bulk = before - before % (at_once * fold)  # what is left over goes element by element
    places = _PLACES[:at_once]
    if bulk == before and fold * run == 1:
        rows = [a.reshape(at_once, -1, lanes) for a in arrays]
        along_rows(places, *rows[:inputs], *values, *rows[inputs:], *sums)
        return
    if bulk:
        spread = [np.tile(np.repeat(value, run), fold) for value in values]
        found = [np.zeros(fold * lanes, _WIDE) for _ in sums]
        rows = [a[:bulk].reshape(at_once, -1, fold * lanes) for a in arrays]
        along_rows(places, *rows[:inputs], *spread, *rows[inputs:], *found)
        for total, one in zip(sums, found, strict=True):
            total += np.add.reduce(one.reshape(fold, channels, run), axis=(0, 2))
    if bulk < before:
        rest = [a[bulk:] for a in arrays]
        along_runs(*rest[:inputs], *values, *rest[inputs:], *sums)


def _vectors(*values: Array) -> tuple[Array, ...]:
    """Values of each channel without the axes along which they are the same: (C,)."""
    return tuple([value.reshape(-1) for value in values])


def _spread(layout: _Layout, *values: Array) -> tuple[Array, ...]:
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


@lru_cache(maxsize=256)
def _few(layout: _Layout) -> tuple[tuple[slice, ...], int]:
    """Where there are a few elements of each channel, and how many; at least 1 is said."""
    most = _SAMPLE[len(layout.reduced) > 1]
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

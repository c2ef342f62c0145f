"""How numba modules read data that are reduced over the batch; copied below the marker."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any

import numba
import numpy as np

from codegen.backends.numba_support import _BITS, _SHARE, _in_order, _together
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
_SAMPLE = (16, 4)  # elements of one reduced axis, or of each of several, that give the centre

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

    ``values`` are one for each channel, and so are the sums.
    """
    shape, axis = layout.shape, layout.axis
    channels = shape[axis]
    totals = [np.zeros(channels, _WIDE) for _ in range(sums)]
    own = [
        v.reshape(-1) if isinstance(v, np.ndarray) else np.full(channels, v, _WIDE) for v in values
    ]
    every = [*data, *results]
    if 0 in shape:
        pass
    elif all(_in_order(a, every[0].dtype) for a in every):
        whole = math.prod(shape[:axis]), channels, math.prod(shape[axis + 1 :])
        if seen := _BITS.get(every[0].dtype.char):
            every = [a.view(seen) for a in every]
        _share_out(loops, [a.reshape(whole) for a in every], len(data), totals, own)
    else:
        for block in _blocks(shape):
            copies = [np.ascontiguousarray(_wide(a[block])) for a in data]
            size = copies[0].shape
            copies += [np.empty(size, _WIDE) for _ in results]
            whole = math.prod(size[:axis]), size[axis], math.prod(size[axis + 1 :])
            part = block[axis] if axis < len(block) else slice(None)
            blocks = [c.reshape(whole) for c in copies]
            _share_out(loops, blocks, len(data), [t[part] for t in totals], [v[part] for v in own])
            for result, made in zip(results, copies[len(data) :], strict=True):
                result[block] = made
    group_shape = layout.group_shape
    return [total.reshape(group_shape) for total in totals]


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
    threads = min(math.prod(shape) // _SHARE, shape[cut])
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
    spread, found = values, sums
    if fold * run > 1:
        spread = [np.tile(np.repeat(value, run), fold) for value in values]
        found = [np.zeros(fold * lanes, _WIDE) for _ in sums]
    if bulk:
        rows = [a[:bulk].reshape(at_once, -1, fold * lanes) for a in arrays]
        along_rows(_PLACES[:at_once], *rows[:inputs], *spread, *rows[inputs:], *found)
    if fold * run > 1:
        for total, one in zip(sums, found, strict=True):
            total += np.add.reduce(one.reshape(fold, channels, run), axis=(0, 2))
    if bulk < before:
        rest = [a[bulk:] for a in arrays]
        along_runs(*rest[:inputs], *values, *rest[inputs:], *sums)


def _near_mean(x: Array, layout: _Layout) -> Array:
    """A centre for each channel: the mean of a few elements."""
    most = _SAMPLE[len(layout.reduced) > 1]
    step = [slice(None, None, -(-n // most) or 1) for n in layout.shape]
    step[layout.axis] = slice(None)
    sample = _wide(x[tuple(step)])
    return layout.total(sample) / max(sample.size // max(layout.channels, 1), 1)


def _far(rest: Array, squares: Array, m: int) -> bool:
    """Whether a centre was so far from the mean that sums about it have lost digits."""
    return bool((2 * m * rest**2 > squares).any())

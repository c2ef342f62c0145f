"""Array handling that every generated numba module carries, beside that of the NumPy modules.

As with :mod:`codegen.backends.numpy_support`, the text below the marker is copied verbatim.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import pairwise, repeat
from threading import Thread
from typing import Any, TypeVar

import numba
import numpy as np
from numba import types
from numba.extending import overload

from codegen.backends.numpy_support import _BLOCK, _WIDE, Array, _Layout, _wide

# --- copied from here on ---

# How a pass runs.  Seen as (before, channels, after) the data are read from the first element to
# the last, as they lie in memory: anything else costs more than the cache gives back.  Where a
# channel has many elements side by side (images) a loop goes along such a run; otherwise along a
# row, whose channels lie side by side, and short rows are taken several at a time.  All numbers
# are float64 in registers.  Only arrays that do not lie so are copied, block by block.
_RUN = 24  # elements from which on a run is worth a loop of its own
_LANES = 64, 256  # elements of a row that is too short, and of several together
_SHARE = 2**17  # elements that are worth a thread
_SAMPLE = (16, 4)  # elements of one reduced axis, or of each of several, that give the centre
_SEEN = {"e": np.uint16, "E": np.int16, "f": np.float32, "d": np.float64}  # E is bfloat16

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Loops = tuple[Callable[..., None], Callable[..., None]]  # along rows, along runs


def _compiled(function: _Function, fastmath: Any = False) -> _Function:
    """Compiled on first use, and kept beside this file or where numba finds another folder."""
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": fastmath, "nogil": True}
    try:
        compiled: _Function = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder to keep it in
        compiled = numba.njit(**options)(function)
    return compiled


def _in_any_order(function: _Function) -> _Function:
    """Compiled so that a sum may be several partial sums; NaN and Inf keep their meaning."""
    return _compiled(function, {"reassoc", "nsz"})


def _load(value: Any) -> Any:
    """An element as float64."""
    return value


def _store(value: Any, result: Array) -> Any:
    """A float64 as an element of the result."""
    return value


def _from_bits(mantissa: int, bias: int) -> Callable[[Any], Any]:
    """float64 of the bits of a 16-bit float."""
    scale, shift = 2.0 ** (1023 - bias), 52 - mantissa
    top, infinite = 0x7FFF, 0x7FFF >> mantissa << mantissa

    def load(value: Any) -> Any:
        bits = np.int64(value) & top
        size: Any = np.int64(bits << shift).view(np.float64) * scale
        if bits >= infinite:
            size = np.inf if bits == infinite else np.nan
        return -size if np.int64(value) & 0x8000 else size

    return load


def _to_bits(mantissa: int, bias: int) -> Callable[[float, Array], Any]:
    """The bits of the 16-bit float nearest to a float64, of two the even one."""
    shift, least = 52 - mantissa, 2.0 ** (1 - bias)
    step, infinite = 2.0 ** (bias - 1 + mantissa), 0x7FFF >> mantissa << mantissa
    rebias = (1023 - bias) << 52

    def store(value: float, result: Array) -> Any:
        bits = np.float64(value).view(np.int64)
        sign = (bits >> 48) & 0x8000
        size = bits & 0x7FFFFFFFFFFFFFFF
        half = (np.int64(1) << (shift - 1)) - 1 + ((size >> shift) & 1)
        rounded: Any = min((size - rebias + half) >> shift, infinite)
        if abs(value) < least:
            rounded = np.int64(np.rint(abs(value) * step))
        if value != value:
            rounded = infinite | 1 << (mantissa - 1)
        return rounded | sign

    return store


def _load_compiled(value: Any) -> Callable[..., Any]:
    if value == types.uint16:
        return _from_bits(10, 15)
    if value == types.int16:
        return _from_bits(7, 127)
    return lambda value: np.float64(value)


def _store_compiled(value: Any, result: Any) -> Callable[..., Any]:
    if result.dtype == types.uint16:
        return _to_bits(10, 15)
    if result.dtype == types.int16:
        return _to_bits(7, 127)
    return lambda value, result: value


overload(_load, strict=False)(_load_compiled)
overload(_store, strict=False)(_store_compiled)


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
    totals = [np.zeros(layout.channels, _WIDE) for _ in range(sums)]
    own = [v.reshape(-1) if np.ndim(v) else np.full(layout.channels, v, _WIDE) for v in values]
    for arrays, written, channels in _pieces(layout, data, results):
        tasks, found = [], []
        for part in _parts(arrays[0].shape):
            found.append([np.zeros(arrays[0].shape[1], _WIDE) for _ in totals])
            of_part = [one[part[1]] for one in found[-1]], [v[channels][part[1]] for v in own]
            blocks = [a[part] for a in arrays], [w[part] for w in written]
            tasks.append(partial(_loop, loops, *blocks, *of_part))
        _together(tasks)
        for part_sums in found:
            for total, one in zip(totals, part_sums, strict=True):
                total[channels] += one
    return [total.reshape(layout.group_shape) for total in totals]


def _pieces(
    layout: _Layout, data: Sequence[Array], results: Sequence[Array]
) -> Iterator[tuple[list[Array], list[Array], slice]]:
    """The data and results as arrays (before, channels, after) that loops can take, and which
    channels they are: whole if they lie so, else copies of one block after another."""
    shape, axis = layout.shape, layout.axis
    every = (*data, *results)
    if 0 in shape:
        return
    first = every[0].dtype
    if first.char in _SEEN and first.isnative and all(map(_in_order, every, repeat(first))):
        whole = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
        seen = [a.view(_SEEN[first.char]).reshape(whole) for a in every]
        yield seen[: len(data)], seen[len(data) :], slice(None)
        return
    for block in _blocks(shape):
        copies = [np.ascontiguousarray(_wide(a[block])) for a in data]
        made = [np.empty(copies[0].shape, _WIDE) for _ in results]
        size = copies[0].shape
        whole = math.prod(size[:axis]), size[axis], math.prod(size[axis + 1 :])
        channels = block[axis] if axis < len(block) else slice(None)
        yield [c.reshape(whole) for c in copies], [w.reshape(whole) for w in made], channels
        for result, one in zip(results, made, strict=True):
            result[block] = one


def _in_order(array: Array, dtype: np.dtype[Any]) -> bool:
    """Whether an array of this dtype lies in memory as compiled loops read it."""
    return array.dtype == dtype and array.flags.c_contiguous and array.flags.aligned


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


def _parts(shape: tuple[int, ...]) -> list[tuple[slice, slice]]:
    """The shares of the threads, of the elements before the channels or else of the channels."""
    cut = 0 if shape[0] > 1 else 1
    threads = min(math.prod(shape) // _SHARE, shape[cut])
    if threads > 1:
        threads = min(threads, numba.get_num_threads())
    threads = max(threads, 1)
    ends = [k * shape[cut] // threads for k in range(threads + 1)]
    shares = [slice(start, end) for start, end in pairwise(ends)]
    return [(share, slice(None)) if cut == 0 else (slice(None), share) for share in shares]


def _together(tasks: Sequence[Callable[[], None]]) -> None:
    """Each task in a thread of its own, the last in this one; they hold no lock of Python's."""
    threads = [Thread(target=task) for task in tasks[:-1]]
    for thread in threads:
        thread.start()
    tasks[-1]()
    for thread in threads:
        thread.join()


def _loop(
    loops: _Loops,
    arrays: Sequence[Array],
    results: Sequence[Array],
    sums: Sequence[Array],
    values: Sequence[Array],
) -> None:
    """The compiled loop over arrays (before, channels, after), along rows or along runs."""
    along_rows, along_runs = loops
    before, channels, run = arrays[0].shape
    if run >= _RUN:
        along_runs(*arrays, *values, *results, *sums)
        return
    short, enough = _LANES
    fold = min(before, enough // (channels * run)) if channels * run < short else 1
    for count, rows in ((fold, slice(before % fold, None)), (1, slice(before % fold))):
        lanes = count * channels * run
        flat = [a[rows].reshape(-1, lanes) for a in (*arrays, *results)]
        spread, found = values, sums
        if lanes > channels:
            spread = [np.tile(np.repeat(v, run), count) for v in values]
            found = [np.zeros(lanes, _WIDE) for _ in sums]
        along_rows(*flat[: len(arrays)], *spread, *flat[len(arrays) :], *found)
        if lanes > channels:
            for total, one in zip(sums, found, strict=True):
                total += np.add.reduce(one.reshape(count, channels, run), axis=(0, 2))
        if not before % fold:
            break


def _near_mean(x: Array, layout: _Layout) -> Array:
    """A centre for each channel: the mean of a few elements."""
    most = _SAMPLE[len(layout.reduced) > 1]
    step = [slice(None, None, -(-n // most) or 1) for n in layout.shape]
    step[layout.axis] = slice(None)
    sample = _wide(x[tuple(step)])
    return layout.total(sample) / max(sample.size // max(layout.channels, 1), 1)


def _far(rest: Array, squares: Array, m: int) -> bool:
    """Whether a centre was so far from the mean that sums about it have lost digits."""
    return bool(np.any(2 * m * rest**2 > squares))

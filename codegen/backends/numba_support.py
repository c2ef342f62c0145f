"""Array handling that every generated numba module carries, beside that of the NumPy modules.

As with :mod:`codegen.backends.numpy_support`, the text below the marker is copied verbatim.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import partial
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
# row, whose channels lie side by side, and short rows are taken several at a time; sums go along
# four rows from four quarters of the data at once, to load and store a quarter as many totals.
# All numbers are float64 in registers.  Arrays that do not lie so are copied, block by block.
_RUN = 24  # elements from which on a run is worth a loop of its own
_LANES = 64, 256  # elements of a row that is too short, and of several together
_SHARE = 2**17  # elements that are worth a thread
_SAMPLE = (16, 4)  # elements of one reduced axis, or of each of several, that give the centre
_BITS = {"e": np.uint16, "E": np.int16}  # how float16 and bfloat16 are seen by loops

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


def _in_order(array: Array, dtype: np.dtype[Any]) -> bool:
    """Whether an array of this dtype lies in memory as compiled loops read it."""
    own, flags = array.dtype, array.flags
    known = own == dtype and own.char in "eEfd" and own.isnative
    return known and flags.c_contiguous and flags.aligned


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


def _together(tasks: Sequence[Callable[[], None]]) -> None:
    """Each task in a thread of its own, the last in this one; they hold no lock of Python's."""
    threads = [Thread(target=task) for task in tasks[:-1]]
    for thread in threads:
        thread.start()
    tasks[-1]()
    for thread in threads:
        thread.join()


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
    # Sums take four streams of rows at once, and what is left over goes element by element.
    bulk, streams = before - before % (4 * fold if sums else fold), (4,) if sums else ()
    spread, found = values, sums
    if fold * run > 1:
        spread = [np.tile(np.repeat(value, run), fold) for value in values]
        found = [np.zeros(fold * lanes, _WIDE) for _ in sums]
    if bulk:
        rows = [a[:bulk].reshape(*streams, -1, fold * lanes) for a in arrays]
        along_rows(*rows[:inputs], *spread, *rows[inputs:], *found)
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

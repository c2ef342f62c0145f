"""How numba modules read rows from an origin; copied below the marker.

``_Layout`` is that of :mod:`codegen.backends.numpy_rows_support`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numba
import numpy as np
from numba.extending import overload

from codegen.backends.numba_support import _BITS, _SHARE, _compiled, _in_order, _load, _together
from codegen.backends.numpy_rows_support import _Layout
from codegen.backends.numpy_support import _WIDE, Array

# --- copied from here on ---

# How a kernel runs.  The data are seen as (i, p), row by row, all numbers float64 in registers but
# for one scratch of the size of a row, which stays in the cache.  Rows that do not lie so in memory
# are copied, block by block; longer ones than there is room for NumPy computes in pieces.
_ROOM = 2**17  # elements of the longest row that is computed at once
_LANES = 64  # elements that are compared side by side


def _exp(value: Any) -> Any:
    """The exponential of what is not positive."""
    return np.exp(value)


def _exp_compiled(value: Any) -> Callable[[Any], Any]:
    """exp(t) = 2^k exp(r) with r = t - k log 2, |r| < 0.35: a polynomial, as vectors take it.

    Within 1.2 u.  log 2 is in two parts, the first with so few bits that k times it is exact, and
    2^k in two factors, of which each is a normal number.
    """
    per_log_2, log_2, log_2_rest = 1 / math.log(2), 0.6931471803691238, 1.9082149292705877e-10
    least = -745.2  # below it the result is 0
    c2, c3, c4, c5, c6, c7 = (1 / math.factorial(k) for k in range(2, 8))
    c8, c9, c10, c11, c12, c13 = (1 / math.factorial(k) for k in range(8, 14))

    def exponential(value: Any) -> Any:
        usual = value > least
        t = value if usual else least
        k = np.rint(t * per_log_2)
        r = (t - k * log_2) - k * log_2_rest
        last = c8 + r * (c9 + r * (c10 + r * (c11 + r * (c12 + r * c13))))
        made = c2 + r * (c3 + r * (c4 + r * (c5 + r * (c6 + r * (c7 + r * last)))))
        made = 1.0 + r * (1.0 + r * made)
        whole = np.int64(k)
        half = whole >> 1
        made *= np.int64((half + 1023) << 52).view(np.float64)
        made *= np.int64((whole - half + 1023) << 52).view(np.float64)
        if usual:
            return made
        return 0.0 if value == value else value

    return exponential


overload(_exp, strict=False, jit_options={"fastmath": {"contract"}})(_exp_compiled)


@_compiled
def _place_in(x: Array, i: Any, lanes: Array) -> Any:
    """Where in row i the first of the largest is; somewhere in it if there is NaN."""
    m = x.shape[1]
    whole = m - m % _LANES
    lanes[:] = -np.inf
    for start in range(0, whole, _LANES):
        for k in range(_LANES):
            value = _load(x[i, start + k])
            lanes[k] = value if value > lanes[k] else lanes[k]
    for p in range(whole, m):
        value = _load(x[i, p])
        lanes[0] = value if value > lanes[0] else lanes[0]
    largest = lanes.max()
    place = m - 1
    for p in range(m):
        place = min(place, p if _load(x[i, p]) == largest else m)
    return place


def _by_lines(
    loop: Callable[..., None],
    layout: _Layout,
    data: Sequence[Array],
    rows: Sequence[Array],
    kept: Sequence[Array],
    results: Sequence[Array],
    stored: int,
) -> None:
    """One reading of the data, row by row: of ``data`` and values of ``rows`` it makes such values
    to be ``kept``, and ``results``, with so many scratches ``stored``."""
    every = [*data, *results]
    (axis,) = layout.reduced
    if not math.prod(layout.view):
        for values in kept:
            values[...] = 0
        return
    if axis == len(layout.view) - 1 and all(_in_order(a, every[0].dtype) for a in every):
        if seen := _BITS.get(every[0].dtype.char):
            every = [a.view(seen) for a in every]
        tables = [a.reshape(-1, layout.m) for a in every]
        vectors = [v.reshape(-1) for v in (*rows, *kept)]
        _share_lines(loop, tables, vectors, len(data), stored)
        return
    for block in layout.blocks():
        tables = [
            np.ascontiguousarray(np.moveaxis(a[block], axis, -1), _WIDE).reshape(-1, layout.m)
            for a in data
        ]
        made = [np.empty_like(tables[0]) for _ in results]
        vectors = [np.array(v[block]).reshape(-1) for v in (*rows, *kept)]
        _share_lines(loop, [*tables, *made], vectors, len(data), stored)
        for values, vector in zip(kept, vectors[len(rows) :], strict=True):
            values[block] = vector.reshape(values[block].shape)
        for result, table in zip(results, made, strict=True):
            moved = np.moveaxis(result[block], axis, -1)
            moved[...] = table.reshape(moved.shape)


def _share_lines(
    loop: Callable[..., None],
    tables: Sequence[Array],
    vectors: Sequence[Array],
    inputs: int,
    stored: int,
) -> None:
    """The loop, its rows shared out to threads."""
    count, m = tables[0].shape
    threads = max(1, min(count * m // _SHARE, count))
    if threads > 1:
        threads = min(threads, numba.get_num_threads())
    tasks = []
    for k in range(threads):
        share = slice(k * count // threads, (k + 1) * count // threads)
        own, values = [a[share] for a in tables], [v[share] for v in vectors]
        scratch = np.empty((stored, m), _WIDE)
        every = (*own[:inputs], *values, *own[inputs:], *scratch, np.empty(_LANES, _WIDE))
        tasks.append(partial(loop, *every))
    _together(tasks)

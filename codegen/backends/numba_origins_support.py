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
from codegen.backends.numpy_rows_support import _Layout
from codegen.backends.numpy_support import _WIDE, Array

# --- copied from here on ---

# How a kernel runs.  The data are seen as (i, p), row by row, all numbers float64 in registers but
# for one scratch of the size of a row, which stays in the cache.  Rows that do not lie so in memory
# are copied, block by block; longer ones than there is room for NumPy computes in pieces.
_ROOM = 2**17  # elements of the longest row that is computed at once
_BUT_SIGN = 2**63 - 1  # the bits of a float64 but its sign


def _exp(value: Any, of: Array) -> Any:
    """The exponential of what is not positive, as float64 or, of other data, as float32 needs it.

    exp(t) = 2^k exp(r) with r = t - k log 2, |r| <= log(2)/2: a polynomial, as vectors take it.
    """
    return np.exp(value)


def _exp_compiled(value: Any, of: Any) -> Callable[..., Any]:
    return _exp_of_double() if of.dtype == types.float64 else _exp_of_single()


def _exp_of_double() -> Callable[..., Any]:
    """Within 1.2 u: the Taylor polynomial.

    log 2 is in two parts, the first with so few bits that k times it is exact, and 2^k in two
    factors, of which each is a normal number.
    """
    per_log_2, log_2, log_2_rest = 1 / math.log(2), 0.6931471803691238, 1.9082149292705877e-10
    least = -746.0  # there the result is 0
    c2, c3, c4, c5, c6, c7 = (1 / math.factorial(k) for k in range(2, 8))
    c8, c9, c10, c11, c12, c13 = (1 / math.factorial(k) for k in range(8, 14))

    def exponential(value: Any, of: Array) -> Any:
        t = least if value < least else value  # which leaves NaN
        k = np.rint(t * per_log_2)
        r = (t - k * log_2) - k * log_2_rest
        last = c8 + r * (c9 + r * (c10 + r * (c11 + r * (c12 + r * c13))))
        made = c2 + r * (c3 + r * (c4 + r * (c5 + r * (c6 + r * (c7 + r * last)))))
        made = 1.0 + r * (1.0 + r * made)
        whole = np.int64(k)
        half = whole >> 1
        made *= np.int64((half + 1023) << 52).view(np.float64)
        return made * np.int64((whole - half + 1023) << 52).view(np.float64)

    return exponential


def _exp_of_single() -> Callable[..., Any]:
    """Within 4e-9, which is u/15 of float32: the polynomial that is exp at 7 Chebyshev nodes.

    The last bits of k + 1.5 2^52 + 1023 are the exponent of 2^k; that of k = -1023 is 0's.
    """
    log_2, per_log_2, bits = math.log(2), 1 / math.log(2), 1.5 * 2.0**52 + 1023
    least = -1023 * log_2  # there the result is 0
    nodes = np.polynomial.Chebyshev.interpolate(np.exp, 6, [-log_2 / 2, log_2 / 2])
    powers = nodes.convert(kind=np.polynomial.Polynomial)
    c0, c1, c2, c3, c4, c5, c6 = (float(c) for c in powers.coef)

    def exponential(value: Any, of: Array) -> Any:
        t = least if value < least else value  # which leaves NaN
        whole = t * per_log_2 + bits
        r = t - (whole - bits) * log_2
        made = c0 + r * (c1 + r * (c2 + r * (c3 + r * (c4 + r * (c5 + r * c6)))))
        return made * np.int64(np.float64(whole).view(np.int64) << 52).view(np.float64)

    return exponential


overload(_exp, strict=False, jit_options={"fastmath": {"contract"}})(_exp_compiled)


@_compiled
def _largest_in(x: Array, i: Any) -> Any:
    """The largest of row i, as integers: the bits of positive floats have their order, those of
    negative ones with all turned but the sign, too.  NaN is anything."""
    largest = np.int64(-(2**63))
    for p in range(x.shape[1]):
        bits = np.float64(_load(x[i, p])).view(np.int64)
        largest = max(largest, bits ^ ((bits >> 63) & _BUT_SIGN))
    return np.int64(largest ^ ((largest >> 63) & _BUT_SIGN)).view(np.float64)


@_compiled
def _place_of(x_max: Any, x: Array, i: Any) -> Any:
    """Where in row i the first of its largest is; the last place if there is none."""
    m = x.shape[1]
    place = m - 1
    for p in range(m):
        place = min(place, p if _load(x[i, p]) == x_max else m)
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
        tasks.append(partial(loop, *own[:inputs], *values, *own[inputs:], *scratch))
    _together(tasks)

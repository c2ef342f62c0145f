"""How modules whose parameters extend along rows multiply and add them there, and sum over rows.

The text below the marker follows that of :mod:`codegen.backends.numpy_lines_support` where a line
is a row.
"""

from __future__ import annotations

import math

import numpy as np

from codegen.backends.numpy_half_support import _from_half
from codegen.backends.numpy_lines_support import _NARROW, _is_half, _Rows
from codegen.backends.numpy_support import _WIDE, Array

# --- copied from here on ---

_FEW = 16  # rows that are added up in one type before they are in float64
_RUN = 2**13  # elements along which NumPy is quick with what repeats


def _times_along(rows: _Rows, one: Array, values: Array, into: Array) -> Array:
    """A matrix times one value for each element of a row, there."""
    repeated = _repeated(rows, values)
    np.multiply(one.reshape(-1, repeated.size), repeated, into.reshape(-1, repeated.size))
    return into


def _plus_along(rows: _Rows, one: Array, values: Array) -> Array:
    """A matrix plus one value for each element of a row, in its place."""
    repeated = _repeated(rows, values)
    matrix = one.reshape(-1, repeated.size)
    np.add(matrix, repeated, matrix)
    return one


def _repeated(rows: _Rows, values: Array) -> Array:
    """The values along several rows, one after another."""
    lines, length = rows.at.shape
    some = math.gcd(lines, 2 ** (_RUN // length).bit_length())
    repeated = np.empty((some, length), _NARROW)
    if _is_half(values):
        _from_half(values.reshape(-1), repeated[0])
        values = repeated[0]
    repeated[...] = values.reshape(-1)
    return repeated.reshape(-1)


def _over_rows(rows: _Rows, weights: Array | None, one: Array, other: Array | None = None) -> Array:
    """The sum over rows of a matrix, or of the products of two, times one value for each."""
    lines, length = rows.at.shape
    if other is not None:
        one = np.multiply(one, other, rows.room())
        rows.taken -= 1  # it is not needed any more
    column = rows.at.ones[:lines] if weights is None else rows.column(weights).reshape(-1)
    whole = lines - lines % _FEW
    few = one[:whole].reshape(-1, _FEW, length)
    parts = np.matmul(column[:whole].reshape(-1, 1, _FEW), few)
    total: Array = np.add.reduce(parts, axis=(0, 1), dtype=_WIDE)
    if whole < lines:
        total += column[whole:] @ one[whole:]
    return total.reshape([n if k in rows.at.along else 1 for k, n in enumerate(rows.layout.view)])

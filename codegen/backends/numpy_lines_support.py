"""How modules that reduce rows compute in float32: whole rows at once, as a matrix of lines.

The text below the marker follows that of :mod:`codegen.backends.numpy_rows_support` in modules
whose cores :mod:`codegen.backends.numpy_lines` prints.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from codegen.backends.numpy_half_support import _from_half, _to_half
from codegen.backends.numpy_rows_support import _Box, _count, _Layout
from codegen.backends.numpy_support import _WIDE, Array

# --- copied from here on ---

# How float32 is used.  Some whole rows at a time are computed in it if that loses nothing: x - mean
# is rounded once there, sums of up to _PIECE elements are added up in float64, and all that a line
# has one value of is float64.  A *line* is what shares its parameters, or the row if they extend
# along it.  Where these values say that digits were lost, by overflow, underflow or cancellation,
# the same rows are computed in float64.  Where all means are small beside the data nothing is
# subtracted.  Every operation is on one matrix, into scratch that is allocated once for each call.

_NARROW: Any = np.float32
_MATRIX = 2**18  # elements of a matrix, about
_LONGEST = 2**18  # a row that is larger is read in pieces, in float64
_ADDED = 2**15  # parameters of a row that there is room to add up gradients of
_FEW_ROWS = 2**14  # rows that there is room to find statistics of
_SHORTEST = 24  # elements of a line that are worth it
_PIECE = 256  # elements of a line that are added up in one type before they are in float64
_SMALL, _LARGE = 2.0**-100, 2.0**60  # sizes that float32 is at ease with
_LEFT = 16  # subtraction in float32 has to leave this part of its terms, as squares


class _Place:
    """How some whole rows are a matrix, with a line of them in each of its rows.

    Lines extend along the axes ``along``, which are last where the data have their axes in
    ``order``; ``each`` is the shape of one value for each line.
    """

    def __init__(self, layout: _Layout) -> None:
        view = layout.view
        self.whole = layout.learnt == layout.reduced
        alike = tuple(k for k in layout.reduced if k not in layout.learnt)
        self.along = layout.reduced if self.whole else alike
        self.order = (*(k for k in range(len(view)) if k not in self.along), *self.along)
        self.each = tuple(1 if k in self.along else n for k, n in enumerate(view))
        self.lines, self.length = math.prod(self.each), _line(layout)
        self.shape = self.lines, self.length
        cut = next(k for k in range(min(_PIECE, self.length), 0, -1) if self.length % k == 0)
        self.piece = cut if 2 * cut > min(self.length, _PIECE) else 0
        self.ones = np.ones(max(self.lines, self.piece, _PIECE), _NARROW)


_place: Callable[[_Layout], _Place] = lru_cache(maxsize=256)(_Place)


def _line(layout: _Layout) -> int:
    """How many elements a line has."""
    return layout.m if layout.learnt == layout.reduced else layout.alike


def _parts(layout: _Layout) -> Iterator[tuple[_Box, Iterator[_Rows]]]:
    """Indices of all that shares some of the parameters, and its rows, a matrix at a time."""
    # What a line has one value of takes room, too: of short lines there are fewer at once.
    return _rows_by_parts(layout, layout.m + 24 * (layout.m // _line(layout)), _MATRIX)


def _wide_parts(layout: _Layout) -> Iterator[tuple[_Box, Iterator[_Rows]]]:
    """The same with as many rows at a time as there is room for values of each."""
    return _rows_by_parts(layout, layout.m // layout.alike if layout.shared else 1, _FEW_ROWS)


def _rows_by_parts(layout: _Layout, row: int, limit: int) -> Iterator[tuple[_Box, Iterator[_Rows]]]:
    """Parts and their rows, some at a time: as many as the limit, where a row counts as ``row``."""
    scratch: dict[int, Array] = {}

    def within(part: _Box) -> Iterator[_Rows]:
        each = row * _count(layout.view, part, layout.shared)
        for index in layout.boxes(part, layout.unshared, each, limit):
            yield _Rows(layout, index, scratch)

    return ((part, within(part)) for part in layout.boxes(layout.whole, layout.shared, row, limit))


def _rows_of(layout: _Layout) -> Iterator[_Rows]:
    """All rows, some at a time."""
    return (rows for _, some in _parts(layout) for rows in some)


def _laid_out(
    layout: _Layout, known: tuple[Array, ...], rows: _Rows, own: tuple[Array, ...]
) -> tuple[Array, ...]:
    """What each row has one value of, with that of some more rows in its place."""
    if rows.layout is layout:
        return own
    known = known or tuple(layout.per_row() for _ in own)
    for values, some in zip(known, own, strict=True):
        values[rows.index] = some
    return known


def _add(sums: Sequence[Array], own: Sequence[Array]) -> None:
    """Adds to sums over rows those over some of them, which may be without the last ones."""
    for total, some in zip(sums, own, strict=False):
        total += some


def _is_narrow(layout: _Layout, *arrays: Array) -> bool:
    """Whether float32 may be wide enough for arrays, and lines have a length that it is for."""
    if not all(np.can_cast(array.dtype, _NARROW) for array in arrays) or not arrays[0].size:
        return False
    return layout.m <= _LONGEST and _line(layout) >= _SHORTEST


class _Rows:
    """Some whole rows in float32, as a matrix with a line of them in each of its rows."""

    __slots__ = ("at", "index", "layout", "made", "part", "scratch", "sums", "taken")

    def __init__(self, layout: _Layout, index: _Box, scratch: dict[int, Array]) -> None:
        self.index, self.layout, self.scratch, self.taken = index, layout.of(index), scratch, 0
        self.part = index
        if index is not layout.whole:
            self.part = tuple(c if k in layout.learnt else slice(None) for k, c in enumerate(index))
        self.at = _place(self.layout)
        self.made: Array | None = None
        self.sums: dict[tuple[int, int], Array] = {}

    def room(self) -> Array:
        """The next piece of scratch."""
        size = self.at.lines * self.at.length
        room = self.scratch.get(self.taken)
        if room is None or room.size < size:
            room = self.scratch[self.taken] = np.empty(size, _NARROW)
        self.taken += 1
        return room[:size].reshape(self.at.shape)

    def zeros(self) -> Array:
        """Where the gradient of the rows' parameters is added up."""
        return self.layout.zeros(self.layout.whole)

    def read(self, array: Array) -> Array:
        """The rows of an array; not to be written to."""
        own = array[self.index].transpose(self.at.order)
        if _lies_narrow(own):
            return own.reshape(self.at.shape)
        room = self.room()
        if _is_half(own):
            _from_half(own, room.reshape(own.shape))
        else:
            np.copyto(room.reshape(own.shape), own)
        return room

    def place(self, array: Array) -> Array:
        """The rows' place in the result, or scratch if that is of another type or order."""
        if self.made is None:
            own = array[self.index].transpose(self.at.order)
            self.made = own.reshape(self.at.shape) if _lies_narrow(own) else self.room()
        return self.made

    def store(self, array: Array, made: Array) -> None:
        """The result from scratch in its place, rounded once; nothing if it was made there."""
        own = array[self.index].transpose(self.at.order)
        if _lies_narrow(own):
            return
        made = made.reshape(own.shape)
        if _is_half(own):
            _to_half(made, own, self.room().reshape(own.shape))
        else:
            np.copyto(own, made, casting="unsafe")

    def over(self, one: Array) -> Array:
        """Where what is made of a matrix may be written: over it if it is scratch."""
        return one if any(one.base is room for room in self.scratch.values()) else self.room()

    # --- One value for each line ------------------------------------------------------------------

    def column(self, values: Array) -> Array:
        """One value for each line."""
        column = np.empty(self.at.each, _NARROW)
        column[...] = values
        return column.reshape(-1, 1)

    def less(self, one: Array, values: Array, into: Array | None = None) -> Array:
        """A matrix less one value for each line, there or in scratch; if all are zero the matrix
        itself, not to be written to."""
        if not np.count_nonzero(values):
            return one
        return np.subtract(one, self.column(values), self.room() if into is None else into)

    def times(self, one: Array, values: Array, into: Array) -> Array:
        """A matrix times one value for each line, there."""
        return np.multiply(one, self.column(values), into)

    def plus(self, one: Array, values: Array) -> Array:
        """A matrix plus one value for each line, in its place."""
        return np.add(one, self.column(values), one)

    # --- Sums -------------------------------------------------------------------------------------

    def total(self, one: Array, other: Array | None = None) -> Array:
        """The sum over each line of a matrix, or of the products of two."""
        key = id(one), id(other)
        if key not in self.sums:
            self.sums[key] = self._total(one, one if other is None else other, other is not None)
        return self.sums[key]

    def _total(self, one: Array, other: Array, product: bool) -> Array:
        at, size = self.at, self.at.piece
        if size:
            one, other = one.reshape(-1, size), other.reshape(-1, size)
            parts = _dot(one, other) if product else one @ at.ones[:size]
            if size < at.length:
                parts = np.add.reduce(parts.reshape(at.lines, -1), axis=1, dtype=_WIDE)
            return parts.astype(_WIDE, copy=False).reshape(at.each)
        total = np.zeros(at.lines, _WIDE)
        for start in range(0, at.length, _PIECE):
            few = one[:, start : start + _PIECE]
            more = other[:, start : start + _PIECE]
            total += _dot(few, more) if product else few @ at.ones[: few.shape[1]]
        return total.reshape(at.each)

    def of_rows(self, totals: Array) -> Array:
        """The sums over rows of what lines have one of."""
        return totals if self.at.whole else self.layout.total(totals)

    # --- What holds -------------------------------------------------------------------------------

    def centre(self, x: Array) -> Array:
        """Numbers that the rows may be centred at, exact in float32: their means, or zero if these
        are small."""
        sums, squares = self.of_rows(self.total(x)), self.of_rows(self.total(x, x))
        if self.small(sums, squares):
            return np.zeros(sums.shape, _WIDE)
        return (sums / self.layout.m).astype(_NARROW).astype(_WIDE)

    def small(self, sums: Array, squares: Array) -> bool:
        """Whether no mean squared is beyond a third of its row's mean square."""
        return _every(3 * sums * sums <= self.layout.m * squares)

    def holds(self, values: Sequence[Array], left: Sequence[tuple[Array, Array]] = ()) -> bool:
        """Whether float32 is wide enough.

        It is if all values are finite and of a size that it is at ease with, and if enough is left
        of the terms that were subtracted: pairs of squares, in each row.
        """
        sizes = np.abs(np.concatenate([value.reshape(-1) for value in values]))
        fits = (sizes <= _LARGE) & ((sizes >= _SMALL) | (sizes == 0))
        return _every(fits) and all(_every(_LEFT * part >= terms) for part, terms in left)


def _in_two(mean: Array, mean_rest: Array, *others: Array) -> tuple[Array, ...]:
    """What forward found in float64, with a mean that is exact in float32."""
    narrow = mean.astype(_NARROW).astype(_WIDE)
    return narrow, mean_rest + (mean - narrow), *others


def _every(conditions: Array) -> bool:
    """Whether all are true."""
    return bool(np.count_nonzero(conditions) == conditions.size)


def _dot(one: Array, other: Array) -> Array:
    """The sum of the products of two matrices, row by row."""
    products: Array = np.matmul(one[:, None, :], other[:, :, None])
    return products.reshape(-1)


def _is_left(*pairs: tuple[Array, Array]) -> bool:
    """Whether enough is left of the terms of sums over rows: pairs of squares, of the largest."""
    return all(_LEFT * part.max() >= terms.max() for part, terms in pairs)


def _lies_narrow(own: Array) -> bool:
    """Whether elements are float32 already, one after another."""
    return own.dtype == _NARROW and own.flags.c_contiguous


def _is_half(own: Array) -> bool:
    """Whether elements are float16, which goes by its bits to float32 and back."""
    return own.dtype.char == "e" and own.dtype.isnative

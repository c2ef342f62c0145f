"""How modules that reduce the batch read few elements: all at once, in float64.

The text below the marker stands beside that of :mod:`codegen.backends.numpy_blocks_support`.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from codegen.backends.numpy_half_support import _from_half, _to_half
from codegen.backends.numpy_support import _WIDE, Array, _Layout

# --- copied from here on ---

_AT_ONCE = 2**17  # elements, up to which the calls for blocks cost more than float64 does
_SHARE = 16  # of them that there are channels at most: of each there are many values
_ROOMS = 5  # of so many elements in scratch
_MOST, _MOST_WIDE = 0.999, 0.8  # of mean squares that squares of means may be, or of float64 data
_LONG_ROWS = 4  # that few elements are folded into: NumPy is fast along them
_spare = threading.local()  # a thread's scratch after its last call: fresh memory is slow


@lru_cache(maxsize=256)
def _folded(
    shape: tuple[int, ...], axis: int
) -> tuple[tuple[int, int, int], tuple[int, int, int], tuple[int, int]]:
    """Batch, channels, places; and of few elements as a matrix: what a row is, with some of the
    batch folded into it, and how many rows there are of how many elements."""
    batch, channels, places = math.prod(shape[:axis]), shape[axis], math.prod(shape[axis + 1 :])
    some = (n for n in range(_LONG_ROWS, 4 * _LONG_ROWS) if batch % n == 0)
    rows = next(some, batch)
    fold = batch // rows
    matrix = rows, fold * channels * places
    return (batch, channels, places), (fold, channels, places), matrix


_known_ones: Callable[..., Array] = lru_cache(maxsize=32)(np.ones)


def _ones(count: int) -> Array:
    """As many ones, of a power of two that are kept."""
    return _known_ones(2 ** (count - 1).bit_length(), _WIDE)[:count]


class _Few:
    """Few elements: one part, computed in one way and in one block; all three are this object."""

    own, columns = ..., slice(None)
    wide: Literal[True] = True
    again = False

    def __init__(self, layout: _Layout) -> None:
        self.part, self.m, self.group_shape = self, layout.m, layout.group_shape
        self.shape, self.row_shape, self.matrix = _folded(layout.shape, layout.axis)
        spare = _spare.__dict__.pop("scratch", None)  # nobody else's meanwhile
        self.scratch: Array = np.empty(_ROOMS * _AT_ONCE, _WIDE) if spare is None else spare
        self.taken = 0
        self.nothing = np.zeros(self.group_shape, _WIDE)
        self.centre_row: Array | None = None
        self.known: dict[int, Array] = {}  # where what has been read is, and what was made of it
        self.used: list[int] = []  # what has been read of a block
        self.sums: dict[tuple[int, int], Array] = {}  # of what was read, found for the centre

    def give_back(self) -> None:
        """Scratch to be used again."""
        _spare.scratch = self.scratch
        del self.part  # by which this would hold itself, and what it has read

    def works(self, *_: Array) -> tuple[_Few]:
        """The only way to compute this part."""
        return (self,)

    def in_float64(self) -> _Few:
        """The same."""
        return self

    def blocks(self) -> tuple[_Few]:
        """The only block, of which nothing is in use yet."""
        self.used.clear()
        return (self,)

    def room(self, dtype: Any = None) -> Array:
        """The next piece of scratch, of the data's size."""
        return self._piece(self.matrix, dtype)

    def _piece(self, shape: tuple[int, ...], dtype: Any = None) -> Array:
        size, start = math.prod(shape), self.taken
        stop = start + (size if dtype is None else -(-size // 2))  # which takes half the bytes
        if stop > len(self.scratch):
            return np.empty(shape, dtype or _WIDE)
        self.taken = stop + -stop % 8  # a line of the cache is shared by no two
        piece = self.scratch[start:stop]
        if dtype is not None:
            piece = piece.view(dtype)[:size]
        return piece.reshape(shape)

    def zeros(self) -> Array:
        """What sums begin with."""
        return self.nothing

    def per_channel(self, sums: Array) -> Array:
        """Sums in the shape that broadcasts against the data."""
        return sums.reshape(self.group_shape)

    def row(self, values: Array) -> Array:
        """One value for each channel, repeated along a row."""
        row = self._piece(self.row_shape)
        row[...] = values.reshape(1, -1, 1)
        return row.reshape(-1)

    def row_if_any(self, values: Array) -> Array | None:
        """The same, or None if all values are zero."""
        if values is self.nothing or not values.any():
            return None
        if self.centre_row is None:
            self.centre_row = self.row(values)
        return self.centre_row

    def centre(self, x: Array) -> Array:
        """Numbers that x may be centred at: zero if no mean is far from it beside the deviations;
        or the first ones, which are near enough to the means for float64 unless x is as wide."""
        matrix = self.read(x)
        sums, squares = self.total(matrix), self.total(matrix, matrix)
        if self.small(sums, squares, _MOST_WIDE if x.dtype.char == "d" else _MOST):
            self.sums = {(id(matrix), id(None)): sums, (id(matrix), id(matrix)): squares}
            return self.nothing
        firsts = matrix.reshape(self.shape)[:1, :, :1].reshape(self.group_shape)
        if np.can_cast(x.dtype, np.float32):
            return firsts.copy()
        from_first = np.subtract(matrix, self.row(firsts), self.room())
        means: Array = firsts + self.per_channel(self.total(from_first)) / self.m
        return means

    def small(self, sums: Array, squares: Array, part: float) -> bool:
        """Whether no mean squared is beyond this part of its channel's mean square."""
        return bool((part * self.m * squares - sums * sums).min() >= 0)

    def centre_of_sums(self, _: Array) -> Array:
        """Zero: sums in float64 may be about any number."""
        return self.nothing

    def read(self, array: Array) -> Array:
        """The elements of an array, once for all that are it."""
        matrix = self.known.get(id(array))
        if matrix is None:
            if self._lies_in(array):
                matrix = array.reshape(self.matrix)
            elif array.dtype.char == "e" and array.dtype.isnative:
                matrix, taken = self.room(), self.taken
                single = self.room(np.float32)
                _from_half(array, single.reshape(array.shape))
                np.copyto(matrix, single)
                self.taken = taken
            else:
                matrix = self.room()
                np.copyto(matrix.reshape(array.shape), array)
            self.known[id(array)] = matrix
        self.used.append(id(matrix))
        return matrix

    def less(self, one: Array, row: Array | None, _: Array | None = None) -> Array:
        """A matrix less a row, which is always the same one, beside it: it may be another array's,
        too, as where dy is x itself."""
        if row is None:
            return one
        made = self.known.get(-id(one))
        if made is None:
            made = np.subtract(one, row, self.room())
            self.known[-id(one)] = made
        return made

    def times(self, one: Array, row: Array, into: Array | None) -> Array:
        """A matrix times a row, there, or where it may be written."""
        return np.multiply(one, row, self.over(one) if into is None else into)

    def over(self, one: Array) -> Array:
        """Where what is made of a matrix may be written: over it if it is scratch that no other
        array is read from."""
        own = one.base is self.scratch and self.used.count(id(one)) < 2
        return one if own else self.room()

    def place(self, array: Array) -> Array | None:
        """The place of a result, unless that is of another type or order."""
        return array.reshape(self.matrix) if self._lies_in(array) else None

    def store(self, array: Array, made: Array) -> None:
        """The result from scratch in its place; nothing if it was made there."""
        if self._lies_in(array):
            return
        if array.dtype.char == "e" and array.dtype.isnative:
            single = self.room(np.float32)
            np.copyto(single, made, casting="unsafe")
            _to_half(single.reshape(array.shape), array, self.room(np.float32).reshape(array.shape))
        else:
            np.copyto(array, made.reshape(array.shape), casting="unsafe")

    def plus(self, _: Array, one: Array, other: Array | None = None) -> Array:
        """The sums over the batch, of the only block."""
        return self.total(one, other)

    def total(self, one: Array, other: Array | None = None) -> Array:
        """The sum over the batch, or of the products of two."""
        found = self.sums.get((id(one), id(other)))
        if found is not None:
            return found
        batch, channels, places = self.shape
        if other is not None:
            taken = self.taken
            one = np.multiply(one, other, self.room())
            self.taken = taken  # as only their sums are needed
        total: Array = _ones(batch).dot(one.reshape(batch, channels * places))
        if places > 1:
            total = total.reshape(channels, places).dot(_ones(places))
        return total

    def _lies_in(self, array: Array) -> bool:
        return array.dtype == _WIDE and array.flags.c_contiguous

"""How modules that reduce the batch read their data: in parts, each of them in blocks.

The text below the marker follows that of :mod:`codegen.backends.numpy_support` in modules whose
cores :mod:`codegen.backends.numpy_blocks` prints.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from codegen.backends.numpy_few_support import _AT_ONCE, _SHARE, _Few
from codegen.backends.numpy_half_support import _from_half, _to_half
from codegen.backends.numpy_support import _WIDE, Array, _Layout

# --- copied from here on ---

# How the data are read.  Channels are taken in *parts*: few enough that what the first reading of a
# part leaves in the cache is there for the second, and so many that NumPy has long runs to work on.
# A part is read in *blocks* of whole rows.  A row is the part's channels at one place of the batch,
# with all their positions; several short rows are folded into one, and a channel with very many
# positions, a part by itself, is cut as it comes.  Every operation is on one block, into scratch
# that is allocated once for each call.
#
# Where its kernel has checks, a part is computed in float32 if that loses nothing: x - mean is
# rounded once there, sums of up to _ROWS elements are added up in float64, and all that a channel
# has one value of is float64.  Where these values say that digits were lost, by overflow, underflow
# or cancellation, the part is computed again in float64.  Where all means are small beside the data
# nothing is subtracted.
#
# Few elements are one part of another kind, which costs fewer calls.

_NARROW: Any = np.float32
_COLUMNS = 2**14  # of a row, about
_ROWS = 16  # of a block, which are added up in one type before they are in float64
_SAMPLE = 64, 128  # elements whose mean is near enough to that of a channel, few or many
_ONE_IN = 8  # rows that tell near which numbers an array's means are,
_FEW = 1024  # if it has more elements than so many a channel
_SMALL, _LARGE = 2.0**-100, 2.0**60  # sizes that float32 is at ease with
_LEFT = 16  # subtraction in float32 has to leave this part of its terms, as squares


class _Part:
    """Some channels of the data; ``own`` is where a value for each channel is theirs."""

    def __init__(
        self,
        layout: _Layout,
        start: int,
        stop: int,
        scratch: dict[int, Array],
        largest: dict[int, float],
    ) -> None:
        self.m, self.scratch, self.largest = layout.m, scratch, largest
        self.start, self.stop, self.count = start, stop, stop - start
        self.before, self.after = layout.shape[: layout.axis], layout.shape[layout.axis + 1 :]
        self.own = (*(slice(None) for _ in self.before), slice(start, stop))
        self.whole = self.count == layout.channels

    def most(self, which: int, values: Array) -> float:
        """The largest value of a kind, in this part and those before."""
        self.largest[which] = max(self.largest.get(which, 0.0), float(values.max()))
        return self.largest[which]

    def works(self, *arrays: Array) -> Iterator[_Work]:
        """The ways to compute this part: in float32, unless an array is wider; in float64."""
        narrow = all(np.can_cast(array.dtype, _NARROW) for array in arrays)
        if narrow:
            yield _Work(self, _NARROW)
        yield _Work(self, _WIDE, wide=True, again=narrow)

    def in_float64(self) -> _Work:
        """In float64."""
        return _Work(self, _WIDE, wide=True)


def _parts(layout: _Layout) -> Iterator[_Part | _Few]:
    """The parts of the data, none if they are empty."""
    size = layout.m * layout.channels
    if not size:
        return
    if size <= _AT_ONCE and layout.channels <= _AT_ONCE // _SHARE:
        few = _Few(layout)
        yield few
        few.give_back()
        return
    scratch: dict[int, Array] = {}
    largest: dict[int, float] = {}
    places = math.prod(layout.shape[layout.axis + 1 :])
    columns = max(2 * _COLUMNS, _ROWS * _COLUMNS * places // layout.m)
    parts = -(-layout.channels // max(1, columns // places))
    for k in range(parts):
        start, stop = (layout.channels * end // parts for end in (k, k + 1))
        yield _Part(layout, start, stop, scratch, largest)


class _Work:
    """One way to compute a part: in which type, and by which blocks.

    Along a row ``row_shape`` is (rows folded into one, channels, positions) or, for a channel that
    is cut as it comes, (1, 1, 1), as all columns are the same to it.
    """

    def __init__(self, part: _Part, dtype: Any, wide: bool = False, again: bool = False) -> None:
        self.part, self.dtype, self.wide, self.again = part, np.dtype(dtype), wide, again
        self.ones = np.ones(_ROWS, dtype)
        sizes = _COLUMNS, _ROWS, 2 if wide else 1
        before, after, own = part.before, part.after, (part.start, part.stop)
        self.row_shape, self.cut, self.places = _geometry(before, after, own, part.whole, sizes)

    def blocks(self, step: int = 1) -> Iterator[_Block]:
        """Blocks of the part, which meet every element once; or one block in so many."""
        for index, shape in self.places[::step]:
            yield _Block(self, index, shape)

    def row(self, values: Array) -> Array:
        """One value for each channel, repeated along a row."""
        row = np.empty(self.row_shape, self.dtype)
        row[...] = values.reshape(1, -1, 1)
        return row.reshape(-1)

    def row_if_any(self, values: Array) -> Array | None:
        """The same, or None if all values are zero."""
        return self.row(values) if values.any() else None

    def zeros(self) -> Array:
        """Where blocks are summed over the batch: one number for each column of a row."""
        return np.zeros(math.prod(self.row_shape), _WIDE)

    def per_channel(self, sums: Array) -> Array:
        """The sums of a channel's columns together."""
        part = self.part
        total: Array = np.add.reduce(sums.reshape(self.row_shape), axis=(0, 2))
        return total.reshape((*(1 for _ in part.before), -1, *(1 for _ in part.after)))

    def centre(self, x: Array) -> Array:
        """Numbers that x may be centred at: near the means, and exact in float32 if x is.

        In float32 the means of a sample do, or zero if no mean squared is beyond a third of its
        channel's mean square; in float64 the means of all elements are taken, by their distance
        from the first, so that where all are equal it is just that.
        """
        own = x[self.part.own]
        reduced = tuple(k for k in range(x.ndim) if k != len(self.part.before))
        if self.wide:
            firsts = own[tuple(slice(1) if k in reduced else slice(None) for k in range(x.ndim))]
            firsts = firsts.astype(_WIDE)
            row, sums = self.row(firsts), self.zeros()
            for block in self.blocks():
                from_first = np.subtract(block.read(x), row[block.columns], block.room())
                sums[block.columns] += block.total(from_first)
            means = firsts + self.per_channel(sums) / self.part.m
        else:
            few, many = _SAMPLE
            wanted = min(many, max(few, self.part.m // few), _ROWS * _COLUMNS // self.part.count)
            places = []  # from all over the first axis, and from the next for what is left
            for k, n in enumerate(own.shape):
                here = min(n, wanted) if k in reduced else n
                wanted = -(-wanted // here) if k in reduced else wanted
                places.append(slice(None, None, n // here))
            sample = own[tuple(places)].astype(_WIDE)
            count = sample.size // self.part.count
            means = np.add.reduce(sample, axis=reduced, keepdims=True) / count
            squares = np.add.reduce(sample * sample, axis=reduced, keepdims=True) / count
            if self.small(means, squares):
                return np.zeros_like(means)
        narrow = np.can_cast(x.dtype, _NARROW)
        return means.astype(_NARROW).astype(_WIDE) if narrow else means

    def centre_of_sums(self, array: Array) -> Array:
        """Numbers about which the sums of an array are small: near its means, from one row in so
        many, or zero if the array's own sums are no larger than some times those of as many numbers
        of either sign, as those of few elements are; in float64 any will do.
        """
        sums, squares, count = self.zeros(), self.zeros(), 0
        if not self.wide and self.part.m > _FEW:
            step = min(_ONE_IN, len(self.places))
            for block in self.blocks(step):
                elements = block.read(array)[:: _ONE_IN // step]
                sums[block.columns] += block.total(elements)
                squares[block.columns] += block.total(elements, elements)
                count += elements.size // self.part.count
        count = max(count, 1)
        means, squares = self.per_channel(sums) / count, self.per_channel(squares) / count
        if self.small(means, squares, self.part.m / 256):
            return np.zeros_like(means)
        return means.astype(_NARROW).astype(_WIDE)

    def small(self, means: Array, squares: Array, beside: float = 3) -> bool:
        """Whether no mean squared is beyond its channel's mean square over a number."""
        return bool((beside * means * means <= squares).all())

    def holds(
        self,
        values: Sequence[Array],
        left: Sequence[tuple[Array, Array]] = (),
        left_of_all: Sequence[tuple[Array, Array]] = (),
    ) -> bool:
        """Whether the type was wide enough.

        It was if all values are finite and of a size that float32 is at ease with, and if enough is
        left of the terms that were subtracted: pairs of squares, in each channel, or in the largest
        of all up to here.
        """
        sizes = np.abs(np.concatenate([value.reshape(-1) for value in values]))
        fits = (sizes <= _LARGE) & ((sizes >= _SMALL) | (sizes == 0))
        return bool(
            fits.all()
            and all(((_LEFT * part >= terms) & (part < np.inf)).all() for part, terms in left)
            and all(
                _LEFT * self.part.most(k, part) >= terms.max()
                for k, (part, terms) in enumerate(left_of_all)
            )
        )


class _Block:
    """Some rows of a part, or some positions of its one channel, as a matrix."""

    __slots__ = ("columns", "index", "instead", "shape", "taken", "work")

    def __init__(self, work: _Work, index: tuple[slice, ...], shape: tuple[int, int]) -> None:
        self.work, self.index, self.shape, self.taken = work, index, shape, 0
        self.columns = slice(shape[1])
        self.instead: Array | None = None

    def room(self) -> Array:
        """The next piece of scratch."""
        scratch, size = self.work.part.scratch, self.shape[0] * self.shape[1]
        room = scratch.get(self.taken)
        if room is None or room.dtype != self.work.dtype or room.size < size:
            scratch.pop(self.taken, None)
            room = scratch[self.taken] = np.empty(size, self.work.dtype)
        self.taken += 1
        return room[:size].reshape(self.shape)

    def read(self, array: Array) -> Array:
        """The block's elements of an array; not to be written to."""
        elements = array[self.index]
        if self._lies_in(array):
            return elements.reshape(self.shape)
        room = self.room()
        if self._is_half(array):
            _from_half(elements, room.reshape(elements.shape))
        else:
            np.copyto(room.reshape(elements.shape), elements)
        return room

    def less(self, one: Array, row: Array | None, into: Array | None = None) -> Array:
        """A matrix less a row, there or in scratch; without a row the matrix itself, not to be
        written to."""
        if row is None:
            return one
        return np.subtract(one, row[self.columns], self.room() if into is None else into)

    def times(self, one: Array, row: Array, into: Array | None) -> Array:
        """A matrix times a row, there or in new memory."""
        return np.multiply(one, row[self.columns], into)

    def over(self, one: Array) -> Array:
        """Where what is made of a matrix may be written: over it if it is scratch."""
        rooms = self.work.part.scratch.values()
        return one if any(one.base is room for room in rooms) else self.room()

    def place(self, array: Array) -> Array:
        """The block's place in its result, or scratch if that is of another type or order."""
        if self._lies_in(array):
            return array[self.index].reshape(self.shape)
        if self.instead is None:
            self.instead = self.room()
        return self.instead

    def store(self, array: Array, made: Array) -> None:
        """The result from scratch in its place, rounded once; nothing if it was made there."""
        if self._lies_in(array):
            return
        elements = array[self.index]
        made = made.reshape(elements.shape)
        if self._is_half(array):
            _to_half(made, elements, self.room().reshape(elements.shape))
        else:
            np.copyto(elements, made, casting="unsafe")

    def _is_half(self, array: Array) -> bool:
        """Whether an array is of float16 and goes by its bits to float32 and back."""
        return array.dtype.char == "e" and array.dtype.isnative and not self.work.wide

    def _lies_in(self, array: Array) -> bool:
        return array.dtype == self.work.dtype and array.flags.c_contiguous

    def plus(self, sums: Array, one: Array, other: Array | None = None) -> Array:
        """Sums of columns, to which those of the block have been added."""
        sums[self.columns] += self.total(one, other)
        return sums

    def total(self, one: Array, other: Array | None = None) -> Array:
        """The sum over the rows of a matrix, or of the products of two; a few rows at a time."""
        rows, columns = self.shape
        if rows <= _ROWS:
            return self._few(one, other)
        total = np.zeros(1 if self.work.cut else columns, _WIDE)
        for start in range(0, rows, _ROWS):
            few = slice(start, start + _ROWS)
            total += self._few(one[few], None if other is None else other[few])
        return total

    def _few(self, one: Array, other: Array | None) -> Array:
        """The sum in two halves, for fewer roundings one after another."""
        half = len(one) // 2
        if other is None:
            sums: Array = np.matmul(self.work.ones[:half], one[:half])
            sums += np.matmul(self.work.ones[half : len(one)], one[half:])
        else:
            sums = np.einsum("ij,ij->j", one[:half], other[:half])
            sums += np.einsum("ij,ij->j", one[half:], other[half:])
        return np.add.reduce(sums, dtype=_WIDE, keepdims=True) if self.work.cut else sums


_Place = tuple[tuple[slice, ...], tuple[int, int]]  # of a block, and its shape


@lru_cache(maxsize=256)
def _geometry(
    before: tuple[int, ...],
    after: tuple[int, ...],
    channels: tuple[int, int],
    whole: bool,
    sizes: tuple[int, int, int],
) -> tuple[tuple[int, int, int], bool, tuple[_Place, ...]]:
    """What a row is, whether a channel is cut as it comes, and the blocks.

    ``whole`` says that the channels are all there are; ``sizes`` are the columns of a row, the rows
    of a block, and a number by which there are fewer elements in it.
    """
    columns, rows, fewer = sizes
    start, stop = channels
    count, batch, places = stop - start, math.prod(before), math.prod(after)
    cut, fold = count == 1 and 8 * places >= columns, 1
    most = min(columns // max(count * places, 1), batch // rows)
    while whole and 2 * fold <= most:
        fold *= 2
    row = columns if cut else fold * count * places
    rows = max(1, min(rows, rows * columns // (fewer * row)))
    found: list[_Place] = []
    for batches, n in _boxes(before, rows * fold, fold):
        if cut:
            for positions, size in _boxes(after, max(1, rows // n) * columns, rows):
                # Positions of one place of the batch are several rows; of more they lie apart.
                split = math.gcd(size, rows) if n == 1 else 1
                index = (*batches, slice(start, stop), *positions)
                found.append((index, (n * split, size // split)))
        else:
            folded = math.gcd(n, fold) if n > fold else n
            index = (*batches, slice(start, stop), *(slice(None) for _ in after))
            found.append((index, (n // folded, folded * count * places)))
    return (1, 1, 1) if cut else (fold, count, places), cut, tuple(found)


def _boxes(
    shape: tuple[int, ...], limit: int, unit: int
) -> Iterator[tuple[tuple[slice, ...], int]]:
    """Indices of boxes of up to ``limit`` elements, and at least one, with the size of each; their
    sizes are multiples of the unit where the innermost axis is cut, but for the last ones."""
    if not shape:
        yield (), 1
        return
    cut, inner = len(shape) - 1, 1
    while cut and inner * shape[cut] <= limit:
        inner *= shape[cut]
        cut -= 1
    step = max(1, limit // max(inner, 1))
    every = tuple(slice(None) for _ in shape[cut + 1 :])
    for outer in np.ndindex(shape[:cut]):
        start = 0
        while start < shape[cut]:
            stop = min(start + step, shape[cut])
            if inner == 1 and stop - start > unit:
                stop -= (stop - start) % unit
            box = (*(slice(k, k + 1) for k in outer), slice(start, stop), *every)
            yield box, (stop - start) * inner
            start = stop

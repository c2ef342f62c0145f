"""Array handling of modules that read rows from an origin: along one axis, from the largest x."""

from __future__ import annotations

import math
import operator

import numpy as np

from codegen.backends.numpy_rows_support import _Box, _known_layout, _Layout
from codegen.backends.numpy_support import _BLOCK, _WIDE, Array, _wide

# --- copied from here on ---


def _layout(x: Array, axis: int) -> _Layout:
    """The layout of x whose rows extend along one axis."""
    try:
        index = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis is {axis!r}; an integer is needed") from None
    if not -x.ndim <= index < x.ndim:
        raise ValueError(f"axis {index} is out of range for x of shape {x.shape}")
    kept = tuple(k for k in range(x.ndim) if k != index % x.ndim)
    return _known_layout(x.shape, x.shape, kept, (), ())


class _Scratch:
    """Room for some blocks in the type of the computation, made once for a call."""

    def __init__(self, count: int, layout: _Layout) -> None:
        size = min(math.prod(layout.view), _BLOCK)
        self.room = np.empty((count, size), _WIDE)

    def like(self, k: int, block: Array) -> Array:
        """Room in the shape of a block."""
        own: Array = self.room[k, : block.size].reshape(block.shape)
        return own

    def read(self, k: int, block: Array) -> Array:
        """A block, copied."""
        own = self.like(k, block)
        own[...] = block
        return own


def _place(x: Array, rows: _Box, layout: _Layout) -> Array:
    """Where in each of some rows the first of the largest x is."""
    (axis,) = layout.reduced
    if 0 < layout.m <= _BLOCK:
        whole: Array = np.argmax(x[tuple(rows)], axis=axis, keepdims=True)
        return whole
    place, largest = np.zeros(0, np.intp), np.zeros(0)
    for start, piece in enumerate(layout.pieces(rows)):
        here = np.argmax(x[piece], axis=axis, keepdims=True)
        found = _wide(np.take_along_axis(x[piece], here, axis))
        if not start:
            place, largest = here, found
        else:  # with NaN, wherever it is, the whole row is NaN
            place = np.where(found > largest, here + start * _BLOCK, place)
            largest = np.maximum(found, largest)
    return place


def _at(array: Array, rows: _Box, place: Array, layout: _Layout) -> Array:
    """What an array has there, one value for each row."""
    (axis,) = layout.reduced
    own = array[tuple(rows)]
    if not layout.m:
        return layout.total(own)
    return _wide(np.take_along_axis(own, place, axis))

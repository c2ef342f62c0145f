"""Array handling of modules whose layers reduce each row: its features, a channel, a group.

A *row* is what shares one value of each statistic.  The definitions below the marker take the
places of those of :mod:`codegen.backends.numpy_support` that :mod:`codegen.backends.numpy_layouts`
names; the rest is shared.  :mod:`numpy_instance_support` and :mod:`numpy_group_support` have other
``_layout``\\ s.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from codegen.backends.numpy_support import _BLOCK, _WIDE, Array, _array, _wide

# --- copied from here on ---


_Box: TypeAlias = tuple[slice, ...]  # where some elements are, along each axis
_ROW = 2**14  # elements of a row that is computed whole, and parameters of which a part has its own


class _Layout:
    """How x is read as rows, each reduced over its own elements, and cut into blocks of them.

    ``view`` is the shape of x in which ``kept`` are the axes that tell rows apart, of lengths
    ``rows``, and ``learnt`` those along which parameters extend; ``features`` is the shape that a
    parameter is given in, ``spread`` the one that broadcasts against the data.  A row has ``m``
    elements, ``alike`` of them for each of its parameters.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        view: tuple[int, ...],
        kept: tuple[int, ...],
        learnt: tuple[int, ...],
        features: tuple[int, ...],
    ) -> None:
        self.shape, self.view, self.kept = shape, view, kept
        self.learnt, self.features = learnt, features
        self.reduced = tuple(k for k in range(len(view)) if k not in kept)
        self.rows = tuple(view[k] for k in kept)
        self.m = math.prod(view[k] for k in self.reduced)
        self.each = tuple(n if k in kept else 1 for k, n in enumerate(view))
        self.shared = tuple(k for k in kept if k in learnt)
        self.unshared = tuple(k for k in kept if k not in learnt)
        self.whole: _Box = tuple(slice(None) for _ in view)
        self.alike = math.prod(view[k] for k in self.reduced if k not in learnt)
        self.spread = tuple(n if k in learnt else 1 for k, n in enumerate(view))

    def per_row(self) -> Array:
        """Room for one value for each row, in the shape that broadcasts against the data."""
        return np.empty(self.each, _WIDE)

    def zeros(self, part: _Box) -> Array:
        """Where the gradient of a part's parameters is added up, block by block."""
        return np.zeros(self.of(part).spread, _WIDE)

    def nothing(self, rows: _Box) -> Array:
        """Where the sums over some rows are added up, piece by piece."""
        sizes = (_count(self.view, rows, [k]) for k in range(len(self.view)))
        return np.zeros([n if k in self.kept else 1 for k, n in enumerate(sizes)], _WIDE)

    def total(self, block: Array) -> Array:
        """The sum over each row of a block, one value for each row."""
        result: Array = np.add.reduce(block, axis=self.reduced, keepdims=True)
        return result

    def over_rows(self, block: Array) -> Array:
        """The sum over all that shares a parameter, one value for each of its elements."""
        others = tuple(k for k in range(len(self.view)) if k not in self.learnt)
        result: Array = np.add.reduce(block, axis=others, keepdims=True)
        return result

    def row(self, values: Array, at: Sequence[int]) -> Array:
        """What one row has of an array that broadcasts against the data, as a vector."""
        index: list[int | slice] = [slice(None)] * len(self.view)
        for k, position in zip(self.kept, at, strict=True):
            index[k] = position if values.shape[k] > 1 else 0
        own = values[tuple(index)]
        whole = tuple(self.view[k] for k in self.reduced)
        return own.reshape(-1) if own.size == 1 else np.broadcast_to(own, whole).reshape(-1)

    def blocks(self) -> Iterator[_Box]:
        """Indices of whole rows, about _BLOCK elements together, which meet every row once."""
        # What a row has one value of takes room, too: in a block of short rows not more than them.
        return self.boxes(self.whole, self.kept, self.m + 2)

    def pieces(self, row: _Box) -> Iterator[_Box]:
        """Indices of about _BLOCK elements of a row, which meet every element of it once."""
        return self.boxes(row, self.reduced, 1)

    def parts(self) -> Iterator[_Box]:
        """Indices of all that shares some of the parameters, so few that there is room for them.

        A part has whole rows, unless they are computed in pieces.
        """
        if self.m > _ROW:
            return self.boxes(self.whole, self.learnt, self.alike, _ROW)
        return self.boxes(self.whole, self.shared, self.m + 2)

    def within(self, part: _Box) -> Iterator[_Box]:
        """Indices of about _BLOCK elements of a part, of whole rows unless these are in pieces."""
        if self.m > _ROW:
            others = [k for k in range(len(part)) if k not in self.learnt]
            return self.boxes(part, others, _count(self.view, part, self.learnt))
        return self.boxes(part, self.unshared, (self.m + 2) * _count(self.view, part, self.shared))

    def of(self, box: _Box) -> _Layout:
        """The layout of what a box has of the data."""
        if box is self.whole:
            return self
        view = tuple(_count(self.view, box, [k]) for k in range(len(box)))
        return _known_layout(view, view, self.kept, self.learnt, ())

    def boxes(self, box: _Box, axes: Sequence[int], each: int, limit: int = 0) -> Iterator[_Box]:
        """A box cut along some axes into smaller ones, of up to a limit, which is _BLOCK; ``each``
        is the size of what has one index along them."""
        cuts, limit = list(box), limit or _BLOCK
        lengths = [self.view[k] for k in axes]
        if not axes or 0 < each * math.prod(lengths) <= limit:
            yield box
            return
        cut, size = len(axes) - 1, each
        while cut and size * lengths[cut] <= limit:
            size *= max(lengths[cut], 1)
            cut -= 1
        length = max(1, limit // size)
        for outer in np.ndindex(*lengths[:cut]):
            for start in range(0, lengths[cut], length):
                own = (*(slice(k, k + 1) for k in outer), slice(start, start + length))
                for axis, at in zip(axes, own, strict=False):
                    cuts[axis] = at
                yield tuple(cuts)


_known_layout: Callable[..., _Layout] = lru_cache(maxsize=256)(_Layout)


def _count(shape: Sequence[int], box: _Box, axes: Sequence[int]) -> int:
    """How many indices a box has along some axes."""
    return math.prod(len(range(shape[k])[box[k]]) for k in axes)


def _layout(x: Array, axes: Sequence[int]) -> _Layout:
    """The layout of x whose rows extend along ``axes``, some of the last ones in any order."""
    try:
        indices = [operator.index(axis) for axis in axes]
    except TypeError:
        raise TypeError(f"axes is {axes!r}; a tuple of integers is needed") from None
    leading = x.ndim - len(indices)
    if outside := [k for k in indices if not -x.ndim <= k < x.ndim]:
        raise ValueError(f"axis {outside[0]} of axes is out of range for x of shape {x.shape}")
    if not indices or sorted(k % x.ndim for k in indices) != list(range(leading, x.ndim)):
        raise ValueError(
            f"axes is {tuple(indices)}; some of the last axes of x, each once, are needed, and x "
            f"has shape {x.shape}"
        )
    features = x.shape[leading:]
    kept, reduced = tuple(range(leading)), tuple(range(leading, x.ndim))
    return _known_layout(x.shape, x.shape, kept, reduced, features)


def _cut(values: Array, box: _Box) -> Array:
    """What a box has of an array that broadcasts against the data, in float64."""
    own = (cut if n > 1 else slice(None) for cut, n in zip(box, values.shape, strict=True))
    return _wide(values[tuple(own)])


def _learnt(
    name: str, value: npt.ArrayLike | None, layout: _Layout, default: int | None = None
) -> Array:
    """A parameter as it is, in the shape that broadcasts against the data."""
    if value is None and default is not None:
        one = np.asarray(default, _WIDE)  # in the place of each
        return np.ndarray(layout.spread, _WIDE, one, strides=[0] * len(layout.spread))
    array = _array(name, value)
    if array.shape != layout.features:
        raise ValueError(
            f"{name} has shape {array.shape}; {layout.features} is needed for x of shape "
            f"{layout.shape}"
        )
    return array.reshape(layout.spread)

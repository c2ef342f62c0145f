"""Array handling of modules whose layers reduce the features of each row, not the batch.

The definitions below the marker take the places of those of :mod:`codegen.backends.numpy_support`
that :data:`REPLACED` names; the rest is shared.
"""

from __future__ import annotations

import operator
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from codegen.backends.numpy_support import _BLOCK, _WIDE, Array, _array

REPLACED = {"_Layout": "_Layout", "_layout": "_layout", "_per_channel": "_per_feature"}

# --- copied from here on ---


class _Layout(NamedTuple):
    """Which trailing axes of an array are the features of a row, and how it is cut into blocks."""

    shape: tuple[int, ...]
    leading: int

    @property
    def axes(self) -> tuple[int, ...]:
        return tuple(range(self.leading, len(self.shape)))

    @property
    def rows(self) -> tuple[int, ...]:
        """The shape of the axes that are not reduced: one row for each of their elements."""
        return self.shape[: self.leading]

    @property
    def features(self) -> tuple[int, ...]:
        """The shape of one row, and of the parameters."""
        return self.shape[self.leading :]

    @property
    def m(self) -> int:
        """How many elements each row has."""
        return int(np.prod(self.features, dtype=np.int64))

    def per_row(self) -> Array:
        """Room for one value for each row, in the shape that broadcasts against the data."""
        return np.empty((*self.rows, *(1 for _ in self.features)), _WIDE)

    def zeros(self) -> Array:
        """Where the totals over rows are added up, block by block."""
        return np.zeros((*(1 for _ in self.rows), *self.features), _WIDE)

    def total(self, block: Array) -> Array:
        """The sum over each row of a block, one value for each row."""
        result: Array = np.add.reduce(block, axis=self.axes, keepdims=True)
        return result

    def over_rows(self, block: Array) -> Array:
        """The sum over the rows of a block, one value for each feature."""
        result: Array = np.add.reduce(block, axis=tuple(range(self.leading)), keepdims=True)
        return result

    def blocks(self) -> Iterator[tuple[slice, ...]]:
        """Indices of whole rows, about _BLOCK elements together, which meet every row once."""
        if not self.leading:
            yield ()
            return
        cut, size = self.leading - 1, max(self.m, 1)
        while cut and size * self.shape[cut] <= _BLOCK:
            size *= max(self.shape[cut], 1)
            cut -= 1
        length = max(1, _BLOCK // size)
        for outer in np.ndindex(self.shape[:cut]):
            for start in range(0, self.shape[cut], length):
                yield (*(slice(k, k + 1) for k in outer), slice(start, start + length))


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
    return _Layout(x.shape, leading)


def _per_feature(
    name: str, value: npt.ArrayLike | None, layout: _Layout, default: int | None = None
) -> Array:
    """One value for each feature, copied, in the shape that broadcasts against the data."""
    if value is None and default is not None:
        return np.full(layout.zeros().shape, default, _WIDE)
    array = _array(name, value)
    if array.shape != layout.features:
        raise ValueError(
            f"{name} has shape {array.shape}; {layout.features} is needed: the features are the "
            f"axes {layout.axes} of shape {layout.shape}"
        )
    return array.astype(_WIDE).reshape(layout.zeros().shape)

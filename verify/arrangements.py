"""How the table [n, c] of a layer's data lies in an array, for either axis that it may reduce.

Kernels take arrays of several axes, oracles tables.  An arrangement lays the one out as the other,
gives the argument that tells a kernel which axes to reduce, and finds a group (what is reduced
together: a channel, a row) in what it has laid out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]


class Arrangement(Protocol):
    """One way to lay tables out.

    ``option`` is the axis or the axes that a kernel is told.
    """

    @property
    def option(self) -> Any: ...

    def lay(self, table: Array) -> Array:
        """[n, c] in the shape of x; a table with one row or one column so that it broadcasts."""
        ...

    def group(self, value: Array, shape: tuple[int, ...], k: int) -> Any:
        """What group k of x's ``shape`` has of a laid out value: its elements, or its one value."""
        ...

    def wrong(self, layout: Any, error: Array) -> Any:
        """A kernel's layout whose first sum over each group is off by ``error``."""
        ...


@dataclass(frozen=True)
class BatchArrangement:
    """The m rows of each channel: their shape, and where the channels go."""

    rows: tuple[int, ...]
    axis: int

    @property
    def option(self) -> int:
        return self.axis

    def lay(self, table: Array) -> Array:
        """[n, c] in the shape of x; [c] or [0, c] in the shape that broadcasts against it."""
        whole = table.ndim == 2 and table.shape[0] == prod(self.rows)
        rows = self.rows if whole else tuple(1 for _ in self.rows)
        return np.moveaxis(table.reshape(*rows, table.shape[-1]), -1, self.axis)

    def group(self, value: Array, shape: tuple[int, ...], k: int) -> Any:
        flat = np.moveaxis(value, self.axis, 0)[k].reshape(-1)
        return flat if value.shape == shape else flat[0]

    def wrong(self, layout: Any, error: Array) -> Any:
        return _FirstSumWrong(layout, error)


def arrangements(m: int) -> tuple[BatchArrangement, ...]:
    """(m, C), (N, C, H) and (N, H, C) with NH = m, and (C, m)."""
    image = _image(m)
    return (
        BatchArrangement((m,), 1),
        BatchArrangement(image, 1),
        BatchArrangement(image, -1),
        BatchArrangement((m,), 0),
    )


def _image(m: int) -> tuple[int, int]:
    height = next((k for k in range(2, m) if m % k == 0), 1)
    return m // height, height


@dataclass(frozen=True)
class RowArrangement:
    """Rows of m features: the shape of the rows, and that of the features."""

    rows: tuple[int, ...]
    features: tuple[int, ...]

    @property
    def option(self) -> tuple[int, ...]:
        """The trailing axes; the last of them is named first, as any order will do."""
        return tuple(-1 - k for k in range(len(self.features)))

    def lay(self, table: Array) -> Array:
        """[n, c] in the shape of x; [0, c] and [n, 0] in shapes that broadcast against it."""
        rows = self.rows if table.shape[0] == prod(self.rows) else [1 for _ in self.rows]
        own = self.features if table.shape[1] == prod(self.features) else [1 for _ in self.features]
        return table.reshape(*rows, *own)

    def group(self, value: Array, shape: tuple[int, ...], k: int) -> Any:
        at = np.unravel_index(k, shape[: len(self.rows)])
        there = (i if n > 1 else 0 for i, n in zip(at, value.shape, strict=False))
        return value[tuple(there)].reshape(-1)

    def wrong(self, layout: Any, error: Array) -> Any:
        return _FirstSumOfBlocksWrong(layout, error)


def row_arrangements(rows: int, m: int) -> tuple[RowArrangement, ...]:
    """(N, m), (1, N, m), (N, H, W) with HW = m, and (N, 1, H, W)."""
    image = _image(m)
    return (
        RowArrangement((rows,), (m,)),
        RowArrangement((1, rows), (m,)),
        RowArrangement((rows,), image),
        RowArrangement((rows, 1), image),
    )


# --- The mean in two parts ------------------------------------------------------------------------


class _FirstSumWrong:
    """A layout whose first sum is off by ``error``."""

    def __init__(self, layout: Any, error: Any) -> None:
        self._layout, self._error = layout, error

    def __getattr__(self, name: str) -> Any:
        return getattr(self._layout, name)

    def total(self, block: Array) -> Array:
        total: Array = self._layout.total(block) + self._error
        self._error = 0
        return total


class _FirstSumOfBlocksWrong(_FirstSumWrong):
    """The same where a block has all that its groups need: the first sum of each block is off."""

    def __init__(self, layout: Any, error: Array) -> None:
        super().__init__(layout, 0)
        self._errors = error

    def blocks(self) -> Iterator[tuple[slice, ...]]:
        for block in self._layout.blocks():
            self._error = self._errors[block]
            yield block

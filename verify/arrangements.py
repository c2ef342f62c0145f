"""How the table of a layer's data ([n, c], [n, c, s], [n, g, c, s]) lies in an array.

Kernels take arrays of several axes, oracles tables.  An arrangement lays the one out as the other,
gives the kernel's own description of what it lays out, and finds a group (what is reduced together:
a channel, a row) in it.
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
    """One way to lay tables out."""

    def layout(self, module: Any, x: Array) -> Any:
        """A module's layout for x as it was laid out."""
        ...

    def lay(self, table: Array) -> Array:
        """A table as the cores take x; where it has one entry for all of an axis, it broadcasts."""
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

    def layout(self, module: Any, x: Array) -> Any:
        return module._layout(x, self.axis)

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

    def layout(self, module: Any, x: Array) -> Any:
        """Of the trailing axes the last is named first, as any order will do."""
        return module._layout(x, tuple(-1 - k for k in range(len(self.features))))

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
        return FirstSumOfBlocksWrong(layout, error)


def row_arrangements(rows: int, m: int) -> tuple[RowArrangement, ...]:
    """(N, m), (1, N, m), (N, H, W) with HW = m, and (N, 1, H, W)."""
    image = _image(m)
    return (
        RowArrangement((rows,), (m,)),
        RowArrangement((1, rows), (m,)),
        RowArrangement((rows,), image),
        RowArrangement((rows, 1), image),
    )


@dataclass(frozen=True)
class LineArrangement:
    """Rows along any one axis: the shape of the rows, and where their elements go."""

    rows: tuple[int, ...]
    axis: int

    def layout(self, module: Any, x: Array) -> Any:
        return module._layout(x, self.axis)

    def lay(self, table: Array) -> Array:
        """[n, c] in the shape of x; [n, 0] in the shape that broadcasts against it."""
        return np.moveaxis(table.reshape(*self.rows, table.shape[1]), -1, self.axis)

    def group(self, value: Array, shape: tuple[int, ...], k: int) -> Any:
        own = np.moveaxis(value, self.axis, -1)
        return own.reshape(-1, own.shape[-1])[k]

    def wrong(self, layout: Any, error: Array) -> Any:
        return FirstSumOfBlocksWrong(layout, error)


def line_arrangements(rows: int) -> tuple[LineArrangement, ...]:
    """(N, m), (m, N), and with N = AB (A, m, B)."""
    return (
        LineArrangement((rows,), -1),
        LineArrangement((rows,), 0),
        LineArrangement(_image(rows), 1),
    )


@dataclass(frozen=True)
class SampleArrangement:
    """Samples of channels at positions: the shape of those, and whether the channels come last.

    A table [n, c, s] has rows [n, c], and [n, g, c, s], whose channels are told by a group and a
    place in it, rows [n, g].
    """

    positions: tuple[int, ...]
    last: bool

    def layout(self, module: Any, x: Array) -> Any:
        channels = x.ndim - 1 - len(self.positions)
        first = 1 + len(self.positions) if self.last else 1
        told = x.shape[first : first + channels]
        shape = (*x.shape[:first], prod(told), *x.shape[first + channels :])
        axis = -1 if self.last else 1
        return module._layout(np.empty(shape), *told[:-1], axis)

    def lay(self, table: Array) -> Array:
        whole = table.shape[-1] == prod(self.positions)
        positions = self.positions if whole else tuple(1 for _ in self.positions)
        laid = table.reshape(*table.shape[:-1], *positions)
        channels = range(1, table.ndim - 1)
        return np.moveaxis(laid, channels, [-k for k in reversed(channels)]) if self.last else laid

    def group(self, value: Array, shape: tuple[int, ...], k: int) -> Any:
        told = 1 + len(self.positions) if self.last else 1
        at = np.unravel_index(k, (shape[0], shape[told]))
        index: list[Any] = [slice(None)] * len(shape)
        for axis, position in zip((0, told), at, strict=True):
            index[axis] = position if value.shape[axis] > 1 else 0
        own = np.asarray(value[tuple(index)])
        if own.size == 1:
            return own.reshape(-1)
        whole = [n for axis, n in enumerate(shape) if axis not in (0, told)]
        spread = np.broadcast_to(own, whole)
        in_group = len(shape) - 2 - len(self.positions)  # axes of a group's own channels
        ends = range(-in_group, 0) if self.last else range(in_group)
        return np.moveaxis(spread, list(ends), list(range(in_group))).reshape(-1)

    def wrong(self, layout: Any, error: Array) -> Any:
        return FirstSumOfBlocksWrong(layout, error)


def sample_arrangements(positions: int) -> tuple[SampleArrangement, ...]:
    """(N, C, S), (N, S, C), (N, C, H, W) and (N, H, W, C) with HW = S."""
    shapes = ((positions,), _image(positions))
    return tuple(SampleArrangement(shape, last) for shape in shapes for last in (False, True))


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


class FirstSumOfBlocksWrong(_FirstSumWrong):
    """The same where a block has all that its groups need: the first sum of each block is off, when
    it is first read."""

    def __init__(self, layout: Any, error: Array) -> None:
        super().__init__(layout, 0)
        self._errors, self._read = error, np.zeros(error.shape, bool)

    def blocks(self) -> Iterator[tuple[slice, ...]]:
        yield from self._off(self._layout.blocks())

    def within(self, part: tuple[slice, ...]) -> Iterator[tuple[slice, ...]]:
        yield from self._off(self._layout.within(part))

    def _off(self, blocks: Iterator[tuple[slice, ...]]) -> Iterator[tuple[slice, ...]]:
        for block in blocks:
            self._error = 0 if self._read[block].all() else self._errors[block]
            self._read[block] = True
            yield block

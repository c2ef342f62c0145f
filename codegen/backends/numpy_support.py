"""Array handling that every generated NumPy module carries with it.

Nothing here depends on a formula.  The text below the marker is copied verbatim into each generated
module, so that the module stands alone with NumPy; it is an ordinary module here so that it is
linted, typed and tested like everything else.
"""

from __future__ import annotations

import math
import numbers
import operator
from collections.abc import Callable, Iterator, Sequence
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

# --- copied from here on ---

Array: TypeAlias = npt.NDArray[Any]

_WIDE: Any = np.dtype(np.float64)  # of all computation; rounded once, on storing
_BLOCK = 2**16  # elements of a block: its temporaries stay in the cache
_WORK: Any = 10_000  # how hard to look for overlap before comparing bounds; NumPy types it -1 | 0
_FLOATS = ("float16", "bfloat16", "float32", "float64")


class _Layout:
    """Which axes of an array are reduced, and how it is cut into blocks along them.

    A channel has ``m`` elements; in ``group_shape`` one value for each channel broadcasts against
    the data.  Of ``many`` channels some are computed at a time, so that what is kept of each
    meanwhile takes little memory.
    """

    MOST = 2**14  # channels at a time

    def __init__(self, shape: tuple[int, ...], axis: int) -> None:
        self.shape, self.axis, self.channels = shape, axis, shape[axis]
        self.reduced = tuple(k for k in range(len(shape)) if k != axis)
        self.m = math.prod(shape[k] for k in self.reduced)
        self.group_shape = tuple(n if k == axis else 1 for k, n in enumerate(shape))
        self.many = self.channels > self.MOST

    def some(self, most: int) -> Iterator[tuple[tuple[slice, ...], _Layout]]:
        """Where up to so many channels are, and their own layout, until all were met."""
        steps = max(1, -(-self.channels // most))
        for k in range(steps):
            start, stop = (self.channels * end // steps for end in (k, k + 1))
            shape = (*self.shape[: self.axis], stop - start, *self.shape[self.axis + 1 :])
            own = (*(slice(None) for _ in range(self.axis)), slice(start, stop))
            yield own, _known_layout(shape, self.axis)

    def by_channels(
        self,
        core: Callable[..., tuple[Array, ...]],
        given: Sequence[Any],
        outputs: Sequence[Array],
        results: Sequence[Array] = (),
    ) -> None:
        """A core on some channels at a time; what it returns is rounded once, into ``results``."""
        places = [result.reshape(self.group_shape) for result in results]
        for own, some in self.some(self.MOST):
            values = [self.of(value, own) for value in given]
            made = core(*values, some, *(output[own] for output in outputs))
            for place, one in zip(places, made, strict=True):
                place[own] = one

    def of(self, value: Any, own: tuple[slice, ...]) -> Any:
        """What some channels have of an argument, in float64 if that is one value for each."""
        if not isinstance(value, np.ndarray):
            return value
        own_values: Array = value[own]
        wide = self.many and value.shape == self.group_shape
        return _wide(own_values) if wide else own_values

    def zeros(self) -> Array:
        """Where the totals of blocks are added up."""
        return np.zeros(self.group_shape, _WIDE)

    def total(self, block: Array) -> Array:
        """The sum over the reduced axes, one value for each channel."""
        result: Array = np.add.reduce(block, axis=self.reduced, keepdims=True)
        return result

    def blocks(self) -> Iterator[tuple[slice, ...]]:
        """Indices of about _BLOCK elements each, which meet every element once.

        The first axes are cut, so that what lies together stays together.
        """
        size, cut = math.prod(self.shape), self.reduced[0]
        for cut in self.reduced:
            size //= max(self.shape[cut], 1)  # with one place of this axis, and of those before
            if size <= _BLOCK:
                break
        length = max(1, _BLOCK // max(size, 1))
        index = [slice(None)] * (cut + 1)
        before = [k for k in self.reduced if k < cut]
        for places in np.ndindex(*(self.shape[k] for k in before)):
            for k, place in zip(before, places, strict=True):
                index[k] = slice(place, place + 1)
            for start in range(0, self.shape[cut], length):
                index[cut] = slice(start, start + length)
                yield tuple(index)


_known_layout: Callable[..., _Layout] = lru_cache(maxsize=256)(_Layout)


def _layout(x: Array, axis: int) -> _Layout:
    """The layout of x with its channels along ``axis``; reduced over all other axes."""
    if x.ndim < 2:
        raise ValueError(f"x has shape {x.shape}; (m, C) or (N, C, *spatial) is needed")
    try:
        index = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis is {axis!r}; an integer is needed") from None
    if not -x.ndim <= index < x.ndim:
        raise ValueError(f"axis {index} is out of range for x of shape {x.shape}")
    return _known_layout(x.shape, index % x.ndim)


def _wide(block: Array) -> Array:
    """A block in the type of the computation; never written to, so no copy if it is that type."""
    return block.astype(_WIDE, copy=False)


def _array(name: str, value: npt.ArrayLike | None) -> Array:
    """The value as an array of floats; TypeError naming any other dtype."""
    array = np.asarray(value)
    # Characters are quick to tell; bfloat16 has none of its own in NumPy.
    if array.dtype.char not in "efd" and array.dtype.name not in _FLOATS:
        raise TypeError(f"{name} has dtype {array.dtype}; one of {', '.join(_FLOATS)} is needed")
    return array


def _zero(x: Array) -> Array:
    """Zeros in the shape of x that take the memory of one; not to be written to."""
    return np.broadcast_to(x.dtype.type(0), x.shape)


def _like(name: str, value: npt.ArrayLike, x: Array) -> Array:
    """An array of floats in the shape of x."""
    array = _array(name, value)
    if array.shape != x.shape:
        raise ValueError(f"{name} has shape {array.shape}; the shape of x, {x.shape}, is needed")
    return array


def _per_channel(
    name: str, value: npt.ArrayLike | None, layout: _Layout, default: int | None = None
) -> Array:
    """One value for each channel, in the shape that broadcasts against the data; as float64, which
    is a copy, unless there are many."""
    if value is None and default is not None:
        if layout.many:
            return np.broadcast_to(np.array(default, _WIDE), layout.group_shape)
        return np.full(layout.group_shape, default, _WIDE)
    array = _array(name, value)
    if array.shape != (layout.channels,):
        raise ValueError(
            f"{name} has shape {array.shape}; ({layout.channels},) is needed: the channels are "
            f"axis {layout.axis} of shape {layout.shape}"
        )
    array = array.reshape(layout.group_shape)
    return array if layout.many else array.astype(_WIDE)


def _real(name: str, value: float) -> float:
    """A real number of any kind, unchanged but for its type."""
    exact = isinstance(value, float)  # which is quick to tell
    if not exact and (not isinstance(value, numbers.Real) or isinstance(value, bool)):
        raise TypeError(f"{name} is {value!r}; a real number is needed")
    return float(value)


def _overlap(first: Array, second: Array) -> bool:
    """Whether two arrays share an element; where that is too hard to tell, whether they might."""
    try:
        return bool(np.shares_memory(first, second, _WORK))
    except np.exceptions.TooHardError:
        return bool(np.may_share_memory(first, second))


def _same_memory(first: Array, second: Array) -> bool:
    """Whether two arrays are the same elements in the same order."""
    return (
        first.ctypes.data == second.ctypes.data
        and first.dtype == second.dtype
        and first.shape == second.shape
        and all(
            n == 1 or s == t
            for n, s, t in zip(first.shape, first.strides, second.strides, strict=True)
        )
    )


def _result(
    name: str,
    out: object,
    shape: tuple[int, ...],
    dtype: np.dtype[Any],
    *,
    replaces: Array | None = None,
    apart: Sequence[Array] = (),
) -> Array:
    """``out`` if it can take the result, or a new array.

    It may be exactly the array that it replaces; it may share no memory with any other.
    """
    if out is None:
        return np.empty(shape, dtype)
    if not isinstance(out, np.ndarray):
        raise TypeError(f"out for {name} is a {type(out).__name__}; an array is needed")
    if out.shape != shape:
        raise ValueError(f"out for {name} has shape {out.shape}; {shape} is needed")
    if out.dtype != dtype:
        raise TypeError(f"out for {name} has dtype {out.dtype}; {dtype} is needed")
    if not out.flags.writeable:
        raise ValueError(f"out for {name} is read-only")
    shared = 0 in out.strides and any(
        n > 1 for n, s in zip(shape, out.strides, strict=True) if not s
    )
    if shared and out.size:
        raise ValueError(f"out for {name} has elements that share memory")
    if replaces is not None and _overlap(out, replaces) and not _same_memory(out, replaces):
        raise ValueError(f"out for {name} overlaps an input without being exactly that array")
    for other in apart:
        if _overlap(out, other):
            raise ValueError(f"out for {name} overlaps another array of this call")
    return out


def _results(
    out: Array | Sequence[Array | None] | None,
    shapes: dict[str, tuple[int, ...]],
    dtype: np.dtype[Any],
    *,
    replaces: Array,
    apart: Sequence[Array],
) -> list[Array]:
    """An array for each result; the first of them may be exactly ``replaces``.

    ``out`` is an array for the first, or a tuple with an array or None for each.
    """
    if out is None:
        return [np.empty(shape, dtype) for shape in shapes.values()]
    outs = [out, *[None] * (len(shapes) - 1)] if not isinstance(out, tuple) else list(out)
    if len(outs) != len(shapes):
        raise ValueError(
            f"out has {len(outs)} entries; one for each of {', '.join(shapes)} is needed"
        )
    results: list[Array] = []
    for (name, shape), given in zip(shapes.items(), outs, strict=True):
        if given is None:
            result = np.empty(shape, dtype)
        elif results:
            result = _result(name, given, shape, dtype, apart=[*apart, replaces, *results])
        else:
            result = _result(name, given, shape, dtype, replaces=replaces, apart=apart)
        results.append(result)
    return results

"""Array handling of modules that reduce each channel of each sample, beside that of other rows."""

from __future__ import annotations

import operator

from codegen.backends.numpy_rows_support import _known_layout, _Layout
from codegen.backends.numpy_support import Array

# --- copied from here on ---


def _layout(x: Array, axis: int) -> _Layout:
    """The layout of x whose channels are along ``axis``; a row is a channel of a sample."""
    channel = _channel_axis(x, axis)
    return _known_layout(x.shape, x.shape, (0, channel), (channel,), (x.shape[channel],))


def _channel_axis(x: Array, axis: int) -> int:
    """The axis of the channels, counted from the first; the samples are on axis 0."""
    if x.ndim < 2:
        raise ValueError(f"x has shape {x.shape}; (N, C, *spatial) is needed")
    try:
        index = operator.index(axis)
    except TypeError:
        raise TypeError(f"axis is {axis!r}; an integer is needed") from None
    if not -x.ndim <= index < x.ndim:
        raise ValueError(f"axis {index} is out of range for x of shape {x.shape}")
    if not index % x.ndim:
        raise ValueError(f"axis {index} of x of shape {x.shape} is that of the samples")
    return index % x.ndim

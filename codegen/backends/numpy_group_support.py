"""Array handling of modules that reduce each group of channels of each sample."""

from __future__ import annotations

import operator

from codegen.backends.numpy_instance_support import _channel_axis
from codegen.backends.numpy_rows_support import _known_layout, _Layout
from codegen.backends.numpy_support import Array

# --- copied from here on ---


def _layout(x: Array, groups: int, axis: int) -> _Layout:
    """The layout of x whose channels are along ``axis``; a row is a group of them of a sample."""
    channel = _channel_axis(x, axis)
    try:
        count = operator.index(groups)
    except TypeError:
        raise TypeError(f"groups is {groups!r}; an integer is needed") from None
    channels = x.shape[channel]
    if count < 1 or channels % count:
        raise ValueError(
            f"groups is {count}; a divisor of {channels} is needed, the number of channels of x of "
            f"shape {x.shape}"
        )
    view = (*x.shape[:channel], count, channels // count, *x.shape[channel + 1 :])
    return _known_layout(x.shape, view, (0, channel), (channel, channel + 1), (channels,))


def _grouped(array: Array, layout: _Layout) -> Array:
    """The same elements with the axis of the channels split in two: groups, and what is in one."""
    return array.reshape(layout.view)

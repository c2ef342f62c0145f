"""How the arrays of a layer that reduces rows are read as rows, and which parameters a row has.

A *row* is what shares statistics: the features of a sample (Layer Norm), the positions of one
channel of a sample (Instance Norm), the channels of a group with all their positions (Group Norm).
In C order, with the channels on axis 1, the elements of a row lie side by side.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Shape = tuple[int, ...]


@dataclass(frozen=True)
class RowShape:
    """The shapes of x and of its parameters, read as ``rows`` of ``m`` elements.

    Rows meet the ``sets`` of parameters in turn; ``shared`` neighbours in a row have one element of
    them in common.  ``options`` are what forward is told.
    """

    x: Shape
    vector: Shape
    rows: int
    m: int
    sets: int
    shared: int
    options: Mapping[str, Any]

    def table(self, array: Array) -> Array:
        """An array of x's shape, a row for each row."""
        return array.reshape(self.rows, self.m)

    def spread(self, vector: Array) -> Array:
        """A parameter, with one value for each element of a row: one row for each set."""
        return np.repeat(vector.reshape(self.sets, -1), self.shared, axis=1)


def feature_rows(x: Shape, features: int) -> RowShape:
    """The last so many axes are the features of a row."""
    leading = len(x) - features
    vector = x[leading:]
    axes = tuple(range(-features, 0))
    return RowShape(x, vector, prod(x[:leading]), prod(vector), 1, 1, {"axes": axes})


def channel_rows(x: Shape) -> RowShape:
    """(N, C, *spatial): a row is a channel of a sample."""
    samples, channels, *spatial = x
    positions = prod(spatial)
    return RowShape(x, (channels,), samples * channels, positions, channels, positions, {})


def group_rows(x: Shape, groups: int) -> RowShape:
    """(N, C, *spatial): a row is a group of channels of a sample."""
    samples, channels, *spatial = x
    positions = prod(spatial)
    m = channels // groups * positions
    told = {"groups": groups}
    return RowShape(x, (channels,), samples * groups, m, groups, positions, told)


# --- Tables of hard rows, laid out for each layer -------------------------------------------------


def as_features(table: Shape) -> RowShape:
    """(rows, *features)."""
    return feature_rows(table, len(table) - 1)


def as_channels(table: Shape) -> RowShape:
    """The rows are the channels of two samples, or of one where their number is odd."""
    rows, *spatial = table
    samples = 2 - rows % 2
    return channel_rows((samples, rows // samples, *spatial))


def as_groups(table: Shape) -> RowShape:
    """The rows are groups of two channels, of two samples: of three, or one, where that is odd."""
    rows, m = table[0], prod(table[1:])
    samples, channels = 2 - rows % 2, next((k for k in (2, 3) if m % k == 0), 1)
    groups = rows // samples
    return group_rows((samples, groups * channels, m // channels), groups)

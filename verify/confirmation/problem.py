"""A layer with numbers for everything: what all differentiators are asked about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from derive.expr import Axis, Var, adjoint
from derive.layer import Layer

Floats = NDArray[np.float64]
LENGTHS = {2: (4, 3), 3: (3, 2, 4), 4: (2, 3, 2, 3), 5: (2, 3, 2, 1, 3)}  # of the axes of the data
OTHER = 5  # of an axis that the data do not have


@dataclass(frozen=True)
class Problem:
    """Inputs and parameters by label; ``cotangent`` of the output, ``second`` of each gradient.

    The first order asks for the gradient of Σ cotangent·output with respect to each input, the
    second for that of Σ second·gradient with respect to the cotangent and each input.
    """

    layer: Layer
    sizes: Mapping[str, int]
    given: Mapping[str, Floats]
    cotangent: Floats
    second: Mapping[str, Floats]

    @property
    def inputs(self) -> dict[str, Floats]:
        return {var.label: self.given[var.label] for var in self.layer.inputs}

    @property
    def has_second(self) -> bool:
        """A block of layers keeps its inner adjoints by name, and is not differentiated again."""
        return not self.layer.stages

    def cases(self, order: int) -> int:
        """How many numbers an answer consists of."""
        if order == 2 and not self.has_second:
            return 0
        own = sum(values.size for values in self.inputs.values())
        return own + (self.cotangent.size if order == 2 else 0)


def problem(layer: Layer, seed: int) -> Problem:
    """Random numbers; positive where the layer says so, and ε large enough to matter."""
    rng = np.random.default_rng([seed, *layer.name.encode()])
    sizes = _sizes(layer)

    def draw(var: Var) -> Floats:
        shape = tuple(sizes[axis.size.name] for axis in var.axes)
        low, high = (0.5, 1.5) if var.is_nonnegative else (-2.0, 2.0)
        return rng.uniform(low, high, size=shape)

    given = {var.label: draw(var) for var in (*layer.inputs, *layer.parameters)}
    second = {var.label: draw(adjoint(var)) for var in layer.inputs}
    return Problem(layer, sizes, given, draw(adjoint(layer.output)), second)


def _sizes(layer: Layer) -> dict[str, int]:
    data: tuple[Axis, ...] = layer.data.axes
    lengths = dict(zip((axis.size.name for axis in data), LENGTHS[len(data)], strict=True))
    return {axis.size.name: lengths.get(axis.size.name, OTHER) for axis in layer.axes}

"""What is timed: a layer on one batch of random data, of a shape and a dtype."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from derive.errors import InputError

Array = NDArray[Any]

BATCH, INSTANCE, GROUP = "batch_norm", "instance_norm", "group_norm"
LAYER, RMS, SOFTMAX = "layer_norm", "rms_norm", "softmax"
LAYERS = (BATCH, INSTANCE, GROUP, LAYER, RMS, SOFTMAX)
DTYPES = ("float16", "float32", "float64")
IMAGES = ((32, 64, 56, 56), (64, 256, 14, 14))
TRANSFORMERS = ((8192, 1024), (2048, 4096))
SHAPES = {
    BATCH: ((8192, 1024), (65536, 256), *IMAGES, (256, 100)),
    **dict.fromkeys((INSTANCE, GROUP), (*IMAGES, (8, 32, 7, 7))),
    **dict.fromkeys((LAYER, RMS, SOFTMAX), (*TRANSFORMERS, (65536, 256), (256, 100))),
}
GROUPS = 32  # as in Wu & He 2018, where that divides the channels
EPS = 1e-5
LARGEST = 2**28  # elements


class Axes(NamedTuple):
    """How a layer reads x: the shape that it is seen in, which axes are reduced, and which of them
    γ and β vary over."""

    shape: tuple[int, ...]
    reduced: tuple[int, ...]
    learnt: tuple[int, ...]

    @property
    def m(self) -> int:
        """How many elements are reduced to one."""
        return math.prod(self.shape[k] for k in self.reduced)


def axes_of(layer: str, shape: tuple[int, ...]) -> Axes:
    """Batch, Instance and Group Norm have their channels along axis 1, the others along the last
    axis."""
    positions = tuple(range(2, len(shape)))
    if layer == BATCH:
        return Axes(shape, (0, *positions), (1,))
    if layer == INSTANCE:
        return Axes(shape, positions, (1,))
    if layer == GROUP:
        samples, channels, *places = shape
        groups = groups_of(layer, shape)
        seen = (samples, groups, channels // groups, *places)
        return Axes(seen, tuple(range(2, len(seen))), (1, 2))
    return Axes(shape, (len(shape) - 1,), (len(shape) - 1,))


def groups_of(layer: str, shape: tuple[int, ...]) -> int:
    """Of Group Norm: GROUPS, or what divides both them and the channels; else 0."""
    return math.gcd(GROUPS, shape[1]) if layer == GROUP else 0


@dataclass(frozen=True)
class Problem:
    """A layer's inputs: ``x`` and ``dy`` of one shape, γ and β (RMSNorm has no β, softmax
    neither)."""

    layer: str
    x: Array
    dy: Array
    gamma: Array
    beta: Array

    @property
    def learnt(self) -> tuple[Array, ...]:
        return {SOFTMAX: (), RMS: (self.gamma,)}.get(self.layer, (self.gamma, self.beta))

    @property
    def arguments(self) -> tuple[Any, ...]:
        """What our kernels take after x."""
        return (*self.learnt, self.groups) if self.groups else self.learnt

    @property
    def options(self) -> dict[str, Any]:
        """And by name."""
        return {} if self.layer == SOFTMAX else {"eps": EPS}

    @property
    def axes(self) -> Axes:
        return axes_of(self.layer, self.x.shape)

    @property
    def groups(self) -> int:
        return groups_of(self.layer, self.x.shape)

    def copied(self) -> Problem:
        """The same in memory of its own, which an implementation may overwrite or keep."""
        return Problem(self.layer, *(a.copy() for a in (self.x, self.dy, self.gamma, self.beta)))


def make(
    layer: str, shape: tuple[int, ...], dtype: str, *, mean: float = 0.5, std: float = 1.0
) -> Problem:
    """Normally distributed data, drawn with a fixed seed."""
    rng = np.random.default_rng(0)
    axes = axes_of(layer, shape)
    width = math.prod(axes.shape[k] for k in axes.learnt)

    def normal(*size: int) -> Array:
        wide = np.float32 if np.dtype(dtype).itemsize < 8 else np.float64
        return rng.standard_normal(size, dtype=wide)

    x = (mean + std * normal(*shape)).astype(dtype)
    values = (normal(*shape), 1 + 0.1 * normal(width), normal(width))
    dy, gamma, beta = (np.asarray(value).astype(dtype) for value in values)
    return Problem(layer, x, dy, gamma, beta)


def shape_of(text: str) -> tuple[int, ...]:
    """A shape from text such as 8192x1024.  Raises InputError for anything else."""
    sizes = text.lower().split("x")
    if len(sizes) < 2 or not all(size.isascii() and size.isdigit() for size in sizes):
        raise InputError(f"the shape {text!r} is not sizes with x between them, like 8192x1024")
    shape = tuple(int(size) for size in sizes)
    if not all(shape):
        raise InputError(f"the shape {text} has no elements; every size must be at least 1")
    if math.prod(shape) > LARGEST:
        raise InputError(f"the shape {text} has {math.prod(shape):,} elements; at most {LARGEST:,}")
    return shape

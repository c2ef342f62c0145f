"""What is timed: a layer on one batch of random data, of a shape and a dtype."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derive.errors import InputError

Array = NDArray[Any]

BATCH, ROWS = "batch_norm", ("layer_norm", "rms_norm")
LAYERS = (BATCH, *ROWS)
DTYPES = ("float16", "float32", "float64")
SHAPES = ((8192, 1024), (65536, 256), (32, 64, 56, 56), (64, 256, 14, 14), (256, 100))
EPS = 1e-5
LARGEST = 2**28  # elements


@dataclass(frozen=True)
class Problem:
    """A layer's inputs: ``x`` and ``dy`` of one shape, γ and β (RMSNorm has no β)."""

    layer: str
    x: Array
    dy: Array
    gamma: Array
    beta: Array

    @property
    def learnt(self) -> tuple[Array, ...]:
        return (self.gamma,) if self.layer == "rms_norm" else (self.gamma, self.beta)

    @property
    def channels(self) -> int:
        return len(self.gamma)

    def copied(self) -> Problem:
        """The same in memory of its own, which an implementation may overwrite or keep."""
        return Problem(self.layer, *(a.copy() for a in (self.x, self.dy, self.gamma, self.beta)))


def make(
    layer: str, shape: tuple[int, ...], dtype: str, *, mean: float = 0.5, std: float = 1.0
) -> Problem:
    """Normally distributed data, drawn with a fixed seed."""
    rng = np.random.default_rng(0)
    width = shape[1] if layer == BATCH else shape[-1]

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

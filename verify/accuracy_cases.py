"""The batches of the accuracy table, as data: the contract's list and others of the same kinds.

The arrays are drawn in float64 and rounded to the case's dtype, so a name such as "mean 1e6 std 1"
describes what was drawn; the references start from the rounded values.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from verify.blood_panel import blood_panel

Array = NDArray[Any]
Draw = Callable[[np.random.Generator], Array]


class Tangents(NamedTuple):
    """ẋ in the shape of x, γ̇ and β̇ in that of γ."""

    x_dot: Array
    gamma_dot: Array
    beta_dot: Array


class Statistics(NamedTuple):
    """The mean and the variance of each channel that test mode is given."""

    mean: Array
    var: Array


class Batch(NamedTuple):
    """What a Batch Norm is called with: x and dy of one shape, γ and β of shape (C,)."""

    x: Array
    gamma: Array
    beta: Array
    dy: Array

    def tangents(self, rng: np.random.Generator) -> Tangents:
        """ẋ of the size of each channel's spread, γ̇, and β̇ of the size of β: all of ẏ matters.

        Where dy has a mean beside its spread, so has ẋ.  The channels are on axis 1.
        """
        spread = [float(np.std(column)) for column in columns(self.x.astype(np.float64))]
        scale = [2.0 ** math.frexp(value)[1] if value > 0 else 1.0 for value in spread]
        shape: tuple[int, ...] = self.x.shape
        mean = _mean_by_spread(self.dy.astype(np.float64))
        x_dot = (rng.normal(size=shape) + mean) * np.reshape(
            scale, (1, -1) + (1,) * (self.x.ndim - 2)
        )
        gamma_dot, beta_dot = rng.normal(size=(2, *self.gamma.shape))
        beta_dot *= abs(self.beta.astype(np.float64)).max()
        return Tangents(
            x_dot.astype(self.x.dtype),
            gamma_dot.astype(self.gamma.dtype),
            beta_dot.astype(self.beta.dtype),
        )

    def statistics(self) -> Statistics:
        """The batch's own, as float64 has them: x − μ cancels as it does in training."""
        channels = [column.astype(np.float64) for column in columns(self.x)]
        mean, var = ([float(take(x)) for x in channels] for take in (np.mean, np.var))
        return Statistics(np.array(mean), np.array(var))


def _mean_by_spread(array: Array) -> float:
    spread = float(array.std()) if array.size else 0.0
    return float(array.mean()) / spread if spread > 0 else 0.0


def columns(array: Array) -> list[Array]:
    """One flat vector per channel; (C,) has one element a channel, else the channels are axis 1."""
    if array.ndim == 1:
        return list(array.reshape(-1, 1))
    return list(np.moveaxis(array, 1, 0).reshape(array.shape[1], -1))


@dataclass(frozen=True)
class Case:
    """One batch, (m, C) or (N, C, H, W) with the channels on axis 1.

    ``by_channel`` asks for errors relative to each channel's own size.  ``staged`` is False where
    the textbook form cannot work by its own definition.  ``along``: ∂ℓ/∂x̂ is a multiple of x but
    for a little.
    """

    name: str
    make: Callable[[np.random.Generator], Batch]
    dtype: str
    note: str
    quick: bool = True
    by_channel: bool = False
    staged: bool = True
    eps: float = 1e-5
    along: bool = False


def _case(
    name: str,
    dtype: str,
    note: str,
    x: Draw,
    *,
    parameters: str = "",
    beta_scale: float = 1.0,
    dy_mean: float = 0.0,
    dy_rest: float = 1.0,
    dy_scale: float = 1.0,
    **options: Any,
) -> Case:
    """A case with random γ (either sign), β and dy; ``parameters`` is the dtype of γ and β, if
    another.  ``dy_rest``: what is left of both halves of dy together, if less than 1."""

    def make(rng: np.random.Generator) -> Batch:
        data = np.asarray(x(rng)).astype(dtype)
        channels = data.shape[1]
        gamma = rng.uniform(0.5, 2.0, channels) * rng.choice([-1.0, 1.0], channels)
        beta = rng.normal(size=channels) * np.float64(beta_scale)
        dy: Array = rng.normal(dy_mean, 1.0, size=data.shape) * dy_scale
        if dy_rest < 1:
            half = len(dy) // 2
            dy[half:] = dy_rest * dy[half:] - dy[:half]
        if options.get("along"):
            dy = data + 1e-3 * dy
        wide = np.dtype(parameters or dtype)
        return Batch(data, gamma.astype(wide), beta.astype(wide), dy.astype(dtype))

    return Case(name, make, dtype, note, **options)


def _normal(*shape: int, mean: float = 0.0, std: float = 1.0) -> Draw:
    return lambda rng: rng.normal(mean, std, shape)


def _scaled(factor: float, *shape: int) -> Draw:
    return lambda rng: rng.normal(0.5, 1.0, shape) * factor


def _constant(rows: int, *levels: float) -> Draw:
    return lambda _: np.tile(levels, (rows, 1))


def _beside_constant(rows: int, *levels: float) -> Draw:
    return lambda rng: np.column_stack([_constant(rows, *levels)(rng), rng.normal(size=rows)])


def _outlier(rows: int, size: float) -> Draw:
    def x(rng: np.random.Generator) -> Array:
        data = rng.normal(size=(rows, 5))
        data[rows // 3, 0] = size
        data[rows // 2, 2] = -size
        return data

    return x


def _first_far(rows: int, size: float) -> Draw:
    def x(rng: np.random.Generator) -> Array:
        data = rng.normal(size=(rows, 2))
        data[0] = size
        return data

    return x


def _uniform(rows: int, columns: int, low: float, high: float) -> Draw:
    return lambda rng: rng.uniform(low, high, (rows, columns))


def _nearly_equal(dtype: type[np.floating[Any]]) -> Draw:
    """Two rows, one or a few units in the last place apart."""

    def x(_: np.random.Generator) -> Array:
        first = np.array([1.0, 100.0, 3e4, -7e6], dtype)
        steps = np.array([1, 1, 2, 5], dtype)
        return np.stack([first, first + steps * np.spacing(np.abs(first))])

    return x


def _blood(*shape: int) -> Draw:
    return lambda rng: blood_panel(rng, *shape)


def _beside_huge(rng: np.random.Generator) -> Array:
    return rng.normal(size=(200, 4)) * [1e30, 1.0, 1e-3, 1.0] + [0.0, 5.0, 0.0, -40.0]


def _opposite_outliers(rng: np.random.Generator) -> Array:
    data = rng.normal(size=(200, 3))
    data[1:3, 0] = 1e25, -1e25
    return data


def _two_clusters(rng: np.random.Generator) -> Array:
    return rng.choice([-1e6, 1e6], (200, 3)) + rng.normal(size=(200, 3))


_F16, _F32, _F64 = "float16", "float32", "float64"

# The rows of the contract's table.
LISTED: tuple[Case, ...] = (
    _case("well-conditioned", _F32, "normal data", _normal(256, 5)),
    _case("well-conditioned NCHW", _F32, "images", _normal(4, 3, 8, 6, mean=0.5)),
    _case("mean 1e4 std 1e-2", _F32, "x-mu cancels", _normal(300, 3, mean=1e4, std=1e-2)),
    _case("mean 1e4 std 1e-2 NCHW", _F32, "images", _normal(4, 3, 8, 6, mean=1e4, std=1e-2)),
    _case("mean 1e6 std 1", _F32, "x-mu cancels", _normal(300, 3, mean=1e6)),
    _case("mean 1e6 std 1 NCHW", _F32, "images", _normal(4, 3, 8, 6, mean=1e6)),
    _case("constant columns", _F32, "0.1, 1e7, 1e10: y = beta", _constant(300, 0.1, 1e7, 1e10)),
    _case(
        "constant beside varying",
        _F32,
        "0.1, 1e7, 1e10, N(0,1)",
        _beside_constant(99, 0.1, 1e7, 1e10),
    ),
    _case("outlier 1e8", _F32, "one element of 1e8", _outlier(400, 1e8)),
    _case("scaled 1e19", _F32, "squares overflow float32", _scaled(1e19, 200, 3), beta_scale=0.0),
    _case(
        "scaled 1e-19", _F32, "squares underflow float32", _scaled(1e-19, 200, 3), beta_scale=0.0
    ),
    _case("scaled 1e30", _F32, "squares overflow float32", _scaled(1e30, 200, 3), beta_scale=0.0),
    _case(
        "scaled 1e-30", _F32, "squares underflow float32", _scaled(1e-30, 200, 3), beta_scale=0.0
    ),
    _case(
        "a million rows", _F32, "100 + U(0,1)", _uniform(1_000_000, 2, 100.0, 101.0), quick=False
    ),
    _case("m = 2 nearly equal", _F32, "a few ulp apart", _nearly_equal(np.float32)),
    _case("blood panel", _F32, "units 1e12 to 1e2", _blood(178), by_channel=True),
    _case("blood panel NCHW", _F32, "as images", _blood(6, 5, 5), by_channel=True),
    _case("std 300", _F16, "squares overflow float16", _normal(256, 4, std=300.0)),
    _case("mean 5 std 0.1", _F16, "few significant bits", _normal(256, 4, mean=5.0, std=0.1)),
    _case("70,000 rows", _F16, "m overflows float16", _normal(70_000, 2), quick=False),
)

# Of the same kinds, but not in the contract's list.
SIMILAR: tuple[Case, ...] = (
    _case("negative mean -1e5 std 0.1", _F32, "", _normal(300, 3, mean=-1e5, std=0.1)),
    _case("m = 3", _F32, "mean 1e3", _normal(3, 6, mean=1e3)),
    _case("one huge column", _F32, "1e30 beside 1", _beside_huge, by_channel=True),
    _case("two clusters", _F32, "+-1e6", _two_clusters),
    _case("outliers +-1e25", _F32, "their squares overflow, not their sum", _opposite_outliers),
    _case("subnormal data", _F32, "around 1e-40", _scaled(1e-40, 100, 3), beta_scale=0.0),
    _case("dy with mean 1e4", _F32, "dy-mean(dy) cancels", _normal(200, 3), dy_mean=1e4),
    _case("dy adding up to little", _F32, "sums of dy cancel", _normal(16_000, 4), dy_rest=1e-4),
    _case("dy along x", _F32, "dx cancels", _normal(200, 3), along=True),
    _case("dy along x NCHW", _F32, "images", _normal(4, 3, 8, 6), along=True),
    _case("eps 1e-30", _F32, "var far below 1e-5", _scaled(1e-12, 200, 3), eps=1e-30),
    _case("eps 0", _F32, "var > 0", _normal(200, 3, mean=50.0), eps=0.0),
    _case(
        "eps 0, scaled 1e-18",
        _F32,
        "dx/dx_hat overflows float32",
        _scaled(1e-18, 200, 9),
        eps=0.0,
        dy_scale=1e6,
    ),
    _case("dy along x", _F16, "dx cancels", _normal(200, 3), along=True),
    _case("wider gamma, beta", _F16, "float32", _normal(64, 4, mean=2), parameters=_F32),
    _case("std 300 NCHW", _F16, "", _normal(4, 3, 8, 6, std=300.0)),
    _case("well-conditioned", _F64, "normal data", _normal(100, 5)),
    _case("mean 1e4 std 1e-2", _F64, "", _normal(100, 5, mean=1e4, std=1e-2)),
    _case("mean 1e8 std 1", _F64, "", _normal(100, 5, mean=1e8)),
    _case("mean 1e8 std 1 NCHW", _F64, "", _normal(2, 3, 8, 6, mean=1e8)),
    _case("constant columns", _F64, "0.1, 1e7, 1e10: y = beta", _constant(300, 0.1, 1e7, 1e10)),
    _case("constant beside varying", _F64, "", _beside_constant(99, 0.1, 1e7, 1e10)),
    _case("outlier 1e8", _F64, "", _outlier(100, 1e8)),
    _case("outlier first", _F64, "far from the mean", _first_far(400, 1e8)),
    _case("scaled 1e100", _F64, "", _scaled(1e100, 100, 5), beta_scale=0.0),
    _case(
        "scaled 1e150",
        _F64,
        "r³ underflows when staged",
        _scaled(1e150, 100, 5),
        beta_scale=0.0,
        staged=False,
    ),
    _case("scaled 1e-150", _F64, "", _scaled(1e-150, 100, 5), beta_scale=0.0),
    _case("m = 2 nearly equal", _F64, "a few ulp apart", _nearly_equal(np.float64)),
)

CASES = LISTED + SIMILAR

"""Arrays as large as networks have them: kernels cut them as they cut no small ones."""

from __future__ import annotations

import inspect
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from verify import contract
from verify.contract_sizes import SIZE_CLAUSES
from verify.loading import load
from verify.report import failures
from verify.speed.problem import BATCH, LAYER, RMS, Problem
from verify.speed.textbook import Textbook

# Images, larger and smaller than a block, a few and many at once; long signals; rows and columns.
SHAPES = (
    *((8, 3, 224, 224), (2, 3, 512, 512), (7, 2, 1000, 333), (16, 256, 14, 14)),
    *((3, 40, 20, 20, 20), (2, 3, 100_000), (5, 1, 40_000), (300_000, 3), (900, 1000)),
)
COMPILED = ((8, 3, 224, 224), (16, 256, 14, 14), (900, 1000))
LIMITS = {"float64": 1e-12, "float32": 8 * 2.0**-24, "float16": 2.0**-9}  # the last: 8 u, 2 ulp


def textbook(layer: str, x: np.ndarray, dy: np.ndarray) -> tuple[np.ndarray, ...]:
    """y, dx, dgamma, dbeta in plain float64, which is enough for these data; gamma is 1, beta 0."""
    x, dy = x.astype(np.float64), dy.astype(np.float64)
    book = Textbook(Problem(layer, x, dy, np.ones(x.shape[1]), np.zeros(x.shape[1])))
    return book.forward(), *book.backward()


def check(module: Any, shape: tuple[int, ...], dtype: str, axis: int) -> None:
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal(shape, np.float32).astype(dtype) for _ in "ab")
    y, cache = module.forward(x, axis=axis, out=np.full_like(x, np.nan))
    dx, *sums = module.backward(dy, cache, out=np.full_like(x, np.nan))
    found = *(np.moveaxis(a, axis, 1) for a in (y, dx)), *sums
    due = textbook(BATCH, *(np.moveaxis(a, axis, 1) for a in (x, dy)))
    for name, got, expected in zip(("y", "dx", "dgamma", "dbeta"), found, due, strict=True):
        error = float(abs(got - expected).max() / abs(expected).max())
        assert error <= LIMITS[dtype], name


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize(("dtype", "axis"), [("float32", 1), ("float32", -1), ("float16", 1)])
def test_large_arrays(shape: tuple[int, ...], dtype: str, axis: int) -> None:
    check(import_module("generated.numpy_kernels.batch_norm"), shape, dtype, axis)


@pytest.mark.parametrize("shape", COMPILED, ids=str)
def test_large_arrays_compiled(shape: tuple[int, ...]) -> None:
    pytest.importorskip("numba", reason="numba is not installed: NOT TESTED")
    check(import_module("generated.numba_kernels.batch_norm"), shape, "float32", 1)


@pytest.mark.parametrize("features", [500, 8000, 20_000, 30_000, 40_000, 70_000])
@pytest.mark.parametrize("name", ["layer_norm", "rms_norm", "group_norm", "instance_norm"])
def test_rows_of_any_length(name: str, features: int) -> None:
    """In every dtype, and where one of them is too wide for float32."""
    module: Any = import_module(f"generated.numpy_kernels.{name}")
    rng = np.random.default_rng(0)
    shape = (5, features) if name in (LAYER, RMS) else (2, 4, features // 2)
    rows = {"group_norm": (4, features), "instance_norm": (8, features // 2)}.get(name, shape)
    none = [None] * (1 if name == RMS else 2)
    for dtype in ("float32", "float64", "float16"):
        x, dy = (rng.standard_normal(shape).astype(dtype) for _ in "ab")
        if dtype == "float32":
            x[0] *= 1e25
        y, cache = module.forward(x, *none, *([2] if name == "group_norm" else []))
        found = {
            "y": y,
            "dx": module.backward(dy, cache)[0],
            "y_dot": module.jvp(dy, *none, cache),
            "g_dy": module.double_backward(dy, *none, dy, cache)[0],
        }
        due, dx, *_ = textbook(RMS if name == RMS else LAYER, x.reshape(rows), dy.reshape(rows))
        for what, got in found.items():
            expected = due if what == "y" else dx  # with gamma 1 the Jacobian is symmetric
            error = abs(got.reshape(rows) - expected).max(axis=-1) / abs(expected).max(axis=-1)
            assert error.max() <= LIMITS[dtype], (what, dtype)


def test_a_result_that_is_not_stored_is_noticed() -> None:
    """As where a block's place in the result was a copy of it."""
    source = inspect.getsource(import_module("generated.numpy_kernels.batch_norm"))
    right = "split = math.gcd(size, rows) if n == 1 else 1"
    assert right in source
    wrong = source.replace(right, "split = math.gcd(size, max(1, rows // n))")
    (broken,) = failures(contract.run(load(wrong, "damaged"), clauses=SIZE_CLAUSES, optional=()))
    assert "y is off by inf u" in broken.detail

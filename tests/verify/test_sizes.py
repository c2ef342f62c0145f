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

# Images, larger and smaller than a block, a few and many at once; long signals; rows and columns.
SHAPES = (
    *(
        (8, 3, 224, 224),
        (2, 3, 512, 512),
        (7, 2, 1000, 333),
        (16, 256, 14, 14),
        (3, 40, 20, 20, 20),
    ),
    *((2, 3, 100_000), (5, 1, 40_000), (300_000, 3), (900, 1000)),
)
COMPILED = ((8, 3, 224, 224), (16, 256, 14, 14), (900, 1000))
LIMITS = {"float32": 8 * 2.0**-24, "float16": 2.0**-9}  # 8 u, 2 ulp


def textbook(x: np.ndarray, dy: np.ndarray, axis: int) -> dict[str, np.ndarray]:
    """Plain float64, which is enough for these data."""
    over = tuple(k for k in range(x.ndim) if k != axis)
    x, dy = x.astype(np.float64), dy.astype(np.float64)
    inv_std = 1 / np.sqrt(x.var(axis=over, keepdims=True) + 1e-5)
    y = (x - x.mean(axis=over, keepdims=True)) * inv_std
    along = dy.mean(axis=over, keepdims=True) + y * (dy * y).mean(axis=over, keepdims=True)
    sums = {"dgamma": (dy * y).sum(axis=over), "dbeta": dy.sum(axis=over)}
    return {"y": y, "dx": inv_std * (dy - along), **sums}


def check(module: Any, shape: tuple[int, ...], dtype: str, axis: int) -> None:
    rng = np.random.default_rng(0)
    x, dy = (rng.standard_normal(shape, np.float32).astype(dtype) for _ in "ab")
    y, cache = module.forward(x, axis=axis, out=np.full_like(x, np.nan))
    dx, dgamma, dbeta = module.backward(dy, cache, out=np.full_like(x, np.nan))
    found = {"y": y, "dx": dx, "dgamma": dgamma, "dbeta": dbeta}
    for name, due in textbook(x, dy, axis % x.ndim).items():
        error = float(abs(found[name] - due).max() / abs(due).max())
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
    shape = (5, features) if name in ("layer_norm", "rms_norm") else (2, 4, features // 2)
    reduced = shape if name != "group_norm" else (2, 2, features)
    for dtype in ("float32", "float64", "float16"):
        x, dy = (rng.standard_normal(shape).astype(dtype) for _ in "ab")
        if dtype == "float32":
            x[0] *= 1e25
        none = [None] * (1 if name == "rms_norm" else 2)
        _, cache = module.forward(x, *none, *([2] if name == "group_norm" else []))
        wide, wide_dy = (a.astype(np.float64).reshape(reduced) for a in (x, dy))
        mean = 0 if name == "rms_norm" else wide.mean(axis=-1, keepdims=True)
        size = np.sqrt(((wide - mean) ** 2).mean(axis=-1, keepdims=True) + 1e-5)
        x_hat = (wide - mean) / size
        along = 0 if name == "rms_norm" else wide_dy.mean(axis=-1, keepdims=True)
        due = (wide_dy - along - x_hat * (wide_dy * x_hat).mean(axis=-1, keepdims=True)) / size
        for dx in (
            module.backward(dy, cache)[0],
            module.jvp(dy, *none, cache),
            module.double_backward(dy, *none, dy, cache)[0],
        ):
            error = abs(dx.reshape(reduced) - due).max(axis=-1) / abs(due).max(axis=-1)
            assert error.max() <= {"float64": 1e-12, **LIMITS}[dtype]


def test_a_result_that_is_not_stored_is_noticed() -> None:
    """As where a block's place in the result was a copy of it."""
    source = inspect.getsource(import_module("generated.numpy_kernels.batch_norm"))
    right = "split = math.gcd(size, rows) if n == 1 else 1"
    assert right in source
    wrong = source.replace(right, "split = math.gcd(size, max(1, rows // n))")
    (broken,) = failures(contract.run(load(wrong, "damaged"), clauses=SIZE_CLAUSES, optional=()))
    assert "y is off by inf u" in broken.detail

"""Beside its arrays and the cache a call of Batch Norm takes little memory, whatever its channels.

tracemalloc sees what NumPy allocates.  Compiled code allocates by itself: what it takes is seen
where the same text runs as Python, with as many channels as it is ever called with at a time, in
the function that keeps most of each.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.verify.test_memory import LIMIT, peak
from verify.loading import load

ROOT = Path(__file__).parents[2]
SOURCE = ROOT / "generated" / "numpy_kernels" / "batch_norm.py"
MANY = 1_500_000
SHAPES = (((2, MANY), 1), ((3, 300_000, 2), 1), ((2, 2, 300_000), -1))  # the channels' axis


def held(module: Any, x: np.ndarray, axis: int) -> dict[str, int]:
    """The most bytes that each function takes beside its arguments, its results and the cache."""
    channels = x.shape[axis]
    dy, y, dx = x[::-1], np.empty_like(x), np.empty_like(x)
    gamma, dgamma, dbeta = (np.ones(channels, x.dtype) for _ in range(3))
    found: dict[str, int] = {}

    def measure(name: str, call: Callable[[], Any], *given: np.ndarray) -> Any:
        found[name], results = peak(call, *given)
        return results

    forward = partial(module.forward, x, axis=axis)
    measure("forward without parameters", partial(forward, out=y), x, y)
    _, cache = measure("forward", partial(forward, gamma, gamma, out=y), x, y)
    outs = dx, dgamma, dbeta
    measure("backward", partial(module.backward, dy, cache, out=outs), *outs)
    for what, v, vector in (("", dy, gamma), (" of None", None, None)):
        measure(f"jvp{what}", partial(module.jvp, v, vector, vector, cache))
        twice = partial(module.double_backward, v, vector, vector, dy, cache)
        measure(f"double_backward{what}", twice)
        given = vector, vector, gamma, gamma
        measure(f"infer{what}", partial(module.infer, x, *given, axis=axis, out=y), y)
        test_mode = partial(module.infer_backward, dy, x, vector, gamma, gamma, axis=axis)
        measure(f"infer_backward{what}", test_mode)
        measure(f"fold{what}", partial(module.fold, vector, vector, gamma, gamma))
    measure("running_update", partial(module.running_update, gamma, gamma, cache))
    stack = np.moveaxis(x, axis, -1).reshape(-1, channels)
    measure("population_statistics", partial(module.population_statistics, stack, stack, 2))
    weight = stack.T
    folded = partial(module.fold_linear, weight, gamma, gamma, gamma, gamma, gamma)
    measure("fold_linear", folded)
    return found


def drawn(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.random.default_rng(0).standard_normal(shape, np.float32).astype(dtype)


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_numpy_kernels(dtype: str) -> None:
    module = import_module("generated.numpy_kernels.batch_norm")
    for shape, axis in SHAPES if dtype == "float32" else SHAPES[:1]:
        found = held(module, drawn(shape, dtype), axis)
        assert max(found.values()) < LIMIT, (shape, found)


def test_all_channels_at_once_take_too_much() -> None:
    """Were they taken so, every function would be seen to."""
    once = load(SOURCE.read_text("utf-8").replace("MOST = 2**14", "MOST = 2**30"), "at once")
    found = held(once, drawn((2, MANY), "float32"), 1)
    assert all(size > LIMIT for name, size in found.items() if name != "fold_linear"), found


def test_compiled_kernels() -> None:
    pytest.importorskip("numba", reason="numba is not installed: NOT TESTED")
    module = import_module("generated.numba_kernels.batch_norm")
    x = drawn((2, MANY), "float32")
    held(module, x[:, :30_000], 1)  # what is compiled first
    found = held(module, x, 1)
    assert max(found.values()) < LIMIT, found


def test_what_compiled_code_allocates() -> None:
    pytest.importorskip("numba", reason="numba is not installed: NOT TESTED")
    script = (
        "from generated.numba_kernels import batch_norm\n"
        "from tests.verify.test_memory_channels import drawn, peak\n"
        "x = drawn((2, batch_norm._Layout.MOST), 'float32')\n"
        "_, cache = batch_norm.forward(x)\n"
        "print(peak(lambda: batch_norm.double_backward(x, x[0], x[0], x, cache))[0])"
    )
    paths = {"PYTHONPATH": str(ROOT), "NUMBA_DISABLE_JIT": "1"}
    command = [sys.executable, "-c", script]
    printed = subprocess.run(command, env=os.environ | paths, capture_output=True, text=True)
    assert printed.returncode == 0, printed.stderr
    assert 1e6 < int(printed.stdout) < LIMIT

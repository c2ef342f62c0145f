"""Beside its arrays a kernel of rows takes little memory, however many or large the rows are."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import Any

import numpy as np
import pytest

from derive.layers import LAYERS
from verify import contract_by_row
from verify.contract_large_rows import LARGE_ROWS
from verify.report import failures

LIMIT = 8e6  # bytes
MANY, LARGE = (20_000, 2, 5, 5), (1, 2, 800, 800)
NAMES = ("layer_norm", "rms_norm", "group_norm", "instance_norm")


def data(shape: tuple[int, ...], dtype: str, kind: str) -> np.ndarray:
    """In C order, in Fortran order, every other element, or channels last."""
    size = (*shape[:-1], 2 * shape[-1]) if kind == "strided" else shape
    drawn = np.random.default_rng(0).standard_normal(size, np.float32).astype(dtype)
    if kind == "strided":
        return drawn[..., ::2]
    return np.asarray(drawn, order="F" if kind == "F" else "C")


def peak(function: Callable[[], Any], *given: np.ndarray) -> tuple[int, Any]:
    """The most bytes beside what the call returns and was given, and what it returns."""
    tracemalloc.start()
    try:
        results = function()
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    flat = results if isinstance(results, tuple) else (results,)
    arrays = [a for one in flat for a in (one if isinstance(one, tuple) else (one,))]
    own = [a for a in arrays if isinstance(a, np.ndarray) and not any(a is one for one in given)]
    return most - sum(a.nbytes for a in own), results


def held(module: Any, name: str, x: np.ndarray, *, axis: int) -> dict[str, int]:
    """The most bytes that each function takes beside its arrays, and what parameters take."""
    dy, y, dx = x[::-1], np.empty_like(x), np.empty_like(x)
    options: dict[str, Any] = {"axis": axis} if "axis" in module.Cache._fields else {}
    groups = (1,) if name == "group_norm" else ()
    if not options:
        options["axes"] = (-1,) if len(x) > 1 else (-2, -1)
    learnt = [var.label for var in LAYERS[name].learnt]
    nothing = [None] * len(learnt)
    found = {}
    found["forward"], (_, cache) = peak(
        lambda: module.forward(x, *nothing, *groups, out=y, **options), x, y
    )
    assert cache.x is x
    found["backward"], _ = peak(lambda: module.backward(dy, cache, out=dx), dx)
    for what, v in (("", dy), (" of None", None)):
        found[f"jvp{what}"], _ = peak(partial(module.jvp, v, *nothing, cache))
        twice = partial(module.double_backward, v, *nothing, dy, cache)
        found[f"double_backward{what}"], _ = peak(twice)
    return found


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
@pytest.mark.parametrize("name", NAMES)
def test_numpy_kernels(name: str, dtype: str) -> None:
    module = import_module(f"generated.numpy_kernels.{name}")
    for shape in (MANY, LARGE):
        for kind in ("C", "F", "strided", "last"):
            last = kind == "last"
            shaped = (shape[0], *shape[2:], shape[1]) if last and name in NAMES[2:] else shape
            found = held(module, name, data(shaped, dtype, kind), axis=-1 if last else 1)
            assert max(found.values()) < LIMIT, (shaped, kind, found)


WIDE = {  # of many parameters, and of many rows in float32 whose statistics are found again
    "layer_norm": ((1, 600_000), (16, 2**17), (150_000, 24)),
    "rms_norm": ((1, 600_000), (150_000, 24)),
    "group_norm": ((1, 600_000), (2, 40_000, 24)),
    "instance_norm": ((1, 300_000, 2), (2, 40_000, 24)),
}


@pytest.mark.parametrize("name", NAMES)
def test_many_parameters_and_many_rows(name: str) -> None:
    module = import_module(f"generated.numpy_kernels.{name}")
    for shape in WIDE[name]:
        x = data(shape, "float32", "C")
        groups = (2 if len(shape) == 2 else shape[1] // 2,) if name == "group_norm" else ()
        width = shape[1]
        learnt = [np.ones(width, np.float32) for _ in LAYERS[name].learnt]
        y, dx = np.empty_like(x), np.empty_like(x)
        _, cache = module.forward(x, *learnt, *groups, out=y)
        twice = partial(module.double_backward, x, *learnt, x, cache)
        found = {
            "backward": peak(partial(module.backward, x, cache, out=dx), dx)[0],
            "jvp": peak(partial(module.jvp, x, *learnt, cache))[0],
            "double_backward": peak(twice)[0],
        }
        assert max(found.values()) < LIMIT, (shape, found)


def test_compiled_kernels() -> None:
    pytest.importorskip("numba", reason="numba is not installed: NOT TESTED")
    name = "instance_norm"  # each compiles for some seconds
    module = import_module(f"generated.numba_kernels.{name}")
    assert not failures(contract_by_row.run(module, LAYERS[name], clauses=LARGE_ROWS))
    for shape in (MANY, LARGE):
        for kind in ("C", "F", "strided", "last"):
            last = kind == "last"
            shaped = (shape[0], *shape[2:], shape[1]) if last else shape
            x = data(shaped, "float32", kind)
            held(module, name, x, axis=-1 if last else 1)  # what is compiled first
            found = held(module, name, x, axis=-1 if last else 1)
            assert max(found.values()) < LIMIT, (shaped, kind, found)

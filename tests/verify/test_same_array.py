"""An upstream gradient that is x itself, the same object, is read like any other array."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest

from verify.kernel_paths import ways

LAYERS = ("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm", "softmax")


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("layer", LAYERS)
def test_dy_may_be_x(layer: str, backend: str, dtype: Any) -> None:
    if backend == "numba":
        pytest.importorskip("numba")
    module = importlib.import_module(f"generated.{backend}_kernels.{layer}")
    x = np.random.default_rng(0).normal(1.0, 1.0, (6, 4, 8, 8)).astype(dtype)
    rest = (None, None, 2) if layer == "group_norm" else ()
    for way in ways(module):
        with way:
            _, cache = module.forward(x, *rest)
            found, due = module.backward(x, cache), module.backward(x.copy(), cache)
            for one, other in zip(found, due, strict=True):  # softmax's dx row by row
                assert (one == other).all()
            tangents = (None,) * {"rms_norm": 1, "softmax": 0}.get(layer, 2)
            same, copied = (module.jvp(dot, *tangents, cache) for dot in (x, x.copy()))
            assert (same == copied).all()


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_dy_may_be_x_in_test_mode(backend: str) -> None:
    if backend == "numba":
        pytest.importorskip("numba")
    module = importlib.import_module(f"generated.{backend}_kernels.batch_norm")
    x = np.random.default_rng(0).normal(1.0, 1.0, (6, 4)).astype(np.float32)
    given = np.ones(4), np.full(4, 0.5), np.ones(4)
    for way in ways(module):
        with way:
            found = module.infer_backward(x, x, *given)
            due = module.infer_backward(x.copy(), x, *given)
            assert all((one == other).all() for one, other in zip(found, due, strict=True))

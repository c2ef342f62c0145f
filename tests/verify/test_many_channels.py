"""Of many channels some are computed at a time; each is what it is among few, and in any layout."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np
import pytest

C = 20_011  # more than are computed at a time
FEW = 3_000
UNIT = 2.0**-21  # what float32 may differ by, as sums may be taken in another order


def module_of(backend: str) -> Any:
    if backend == "numba":
        pytest.importorskip("numba", reason="numba is not installed: NOT TESTED")
    module = import_module(f"generated.{backend}_kernels.batch_norm")
    assert module._Layout.MOST < C
    return module


def laid(x: np.ndarray) -> Iterator[np.ndarray]:
    yield x
    yield np.asfortranarray(x)
    yield x.astype(">f4")
    yield np.repeat(x, 2, axis=1)[:, ::2]


def results(module: Any, x: np.ndarray, vectors: np.ndarray, beside: np.ndarray) -> list[Any]:
    """Everything that is computed of each channel; gamma is changed after forward."""
    dy, v = beside
    gamma, beta, mean, var = vectors.copy()
    y, cache = module.forward(x, gamma, beta)
    gamma[:] = np.nan
    gamma = vectors[0]
    found = [y, cache.gamma, cache.mean + cache.mean_rest, cache.var, cache.inv_std]
    found += [*module.backward(dy, cache), *module.running_update(mean, var, cache)]
    found += [module.jvp(v, beta, mean, cache), module.jvp(None, beta, None, cache)]
    found += [*module.double_backward(v, beta, mean, dy, cache)]
    found += [module.infer(x, gamma, None, mean, var)]
    found += [*module.infer_backward(dy, x, gamma, mean, var), *module.fold(None, beta, mean, var)]
    found += [*module.population_statistics(vectors[:2], vectors[2:], 3)]
    weight = x.reshape(len(x), x.shape[1], -1)[0]
    found += [*module.fold_linear(weight, beta, gamma, beta, mean, var)]
    return [np.asarray(one, np.float64) for one in found]


@pytest.mark.parametrize("backend", ["numpy", "numba"])
@pytest.mark.parametrize("shape", [(2, C), (9, C), (3, C, 2)])
def test_each_is_what_it_is_among_few(backend: str, shape: tuple[int, ...]) -> None:
    module, rng = module_of(backend), np.random.default_rng(0)
    drawn = rng.standard_normal((3, *shape), np.float32)
    vectors = rng.uniform(0.5, 2, (4, C)).astype(np.float32)
    every = [
        results(module, drawn[0, :, own], vectors[:, own], drawn[1:, :, own])
        for own in (slice(k, k + FEW) for k in range(0, C, FEW))
    ]
    axes = [next(k for k, n in enumerate(a.shape) if n == FEW) for a in every[0]]
    whole = [np.concatenate(a, k) for a, k in zip(zip(*every, strict=True), axes, strict=True)]
    for x in laid(drawn[0]):
        for got, due in zip(results(module, x, vectors, drawn[1:]), whole, strict=True):
            assert got.shape == due.shape
            assert np.abs(got - due).max() <= UNIT * max(1, np.abs(due).max())


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_results_replace_inputs(backend: str) -> None:
    module, x = module_of(backend), np.random.default_rng(0).standard_normal((5, C))
    y, cache = module.forward(x)
    dx, *gradients = module.backward(x[::-1].copy(), cache)
    own, dy = x.copy(), x[::-1].copy()
    assert module.forward(own, out=own)[0] is own
    assert (own == y).all()
    outs = dy, np.full((C, 2), np.nan)[:, 0], np.full(C, np.nan)[::-1]
    module.backward(dy, cache, out=outs)
    assert all((got == due).all() for got, due in zip(outs, (dx, *gradients), strict=True))


@pytest.mark.parametrize("backend", ["numpy", "numba"])
def test_of_no_elements_all_gradients_are_zero(backend: str) -> None:
    module, x = module_of(backend), np.empty((0, C), np.float32)
    y, cache = module.forward(x)
    _, dgamma, dbeta = module.backward(x, cache)
    *_, g_gamma = module.double_backward(x, None, None, x, cache)
    assert y.shape == x.shape
    assert not any(gradient.any() for gradient in (dgamma, dbeta, g_gamma))

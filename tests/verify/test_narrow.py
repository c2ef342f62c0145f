"""Batches made to be hard for float32, against exact values: y, dx, dγ, dβ and ẏ within 8u, always;
and what a kernel takes of memory beside its arrays."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from generated.numpy_kernels import batch_norm
from verify import accuracy
from verify.accuracy_cases import Batch, Case
from verify.report import failures

Array = Any
Rng = np.random.Generator

DATA: dict[str, Callable[[Rng, tuple[int, ...]], Array]] = {
    "normal": lambda rng, s: rng.normal(size=s),
    "two values": lambda rng, s: rng.choice([-1.0, 1.0], s) * rng.uniform(0.5, 2),
    "rarely another": lambda rng, s: rng.choice([0.0, rng.uniform(0.5, 2)], s, p=[0.9, 0.1]),
    "offset": lambda rng, s: rng.normal(size=s) + 10.0 ** rng.uniform(-2, 7),
    "sorted": lambda rng, s: np.sort(rng.normal(size=s), axis=0),
    "outlier": lambda rng, s: _one_is(rng.normal(size=s), 10.0 ** rng.uniform(1, 9)),
    "constant": lambda rng, s: np.full(s, rng.uniform(-1, 1) * 10.0 ** rng.uniform(-5, 10)),
    "tiny": lambda rng, s: rng.normal(size=s) * 10.0 ** rng.uniform(-38, -2),
    "huge": lambda rng, s: rng.normal(size=s) * 10.0 ** rng.uniform(2, 34),
    "mostly zero": lambda rng, s: np.maximum(rng.normal(size=s) - rng.uniform(0, 2), 0),
    "heavy tails": lambda rng, s: rng.standard_cauchy(s),
    "few units apart": lambda rng, s: 3.0 + 2.0**-22 * rng.integers(0, 3, s),
}

COTANGENTS: dict[str, Callable[[Rng, Array, Array], Array]] = {
    "normal": lambda rng, x, x_hat: rng.normal(size=x.shape),
    "of one sign": lambda rng, x, x_hat: rng.uniform(size=x.shape),
    "with a mean": lambda rng, x, x_hat: rng.normal(size=x.shape) + 10.0 ** rng.uniform(-1, 6),
    "like y": lambda rng, x, x_hat: x_hat + 1e-3 * rng.normal(size=x.shape),
    "adding up to little": lambda rng, x, x_hat: _pair(rng.normal(size=x.shape), rng),
    "orthogonal": lambda rng, x, x_hat: _orthogonal(rng.normal(size=x.shape), x_hat),
    "alternating": lambda rng, x, x_hat: _signs(x.shape) * 1e4 + rng.normal(size=x.shape),
    "tiny": lambda rng, x, x_hat: rng.normal(size=x.shape) * 10.0 ** rng.uniform(-38, 0),
    "huge": lambda rng, x, x_hat: rng.normal(size=x.shape) * 10.0 ** rng.uniform(0, 20),
    "dead": lambda rng, x, x_hat: (
        rng.normal(size=x.shape)
        * (np.arange(x.shape[1]) > 0)[(slice(None), *(None for _ in x.shape[2:]))]
    ),
}

SHAPES = [(40, 3), (300, 2), (33, 5), (64, 1), (4, 3, 7, 5), (1, 2, 600), (40, 30, 20)]


def _one_is(data: Array, value: float) -> Array:
    data.flat[0] = value
    return data


def _signs(shape: tuple[int, ...]) -> Array:
    return np.indices(shape).sum(0) % 2 * 2 - 1


def _axes(x: Array) -> tuple[int, ...]:
    return tuple(k for k in range(x.ndim) if k != 1)


def _pair(dy: Array, rng: Rng) -> Array:
    """Each channel's sum as it was, from terms that are much larger."""
    size = 10.0 ** rng.uniform(0, 6)
    dy[0] += size
    dy[-1] -= size
    return dy


def _orthogonal(dy: Array, x_hat: Array) -> Array:
    """Neither Σ dy nor Σ dy·x̂ is more than rounding."""
    dy = dy - dy.mean(_axes(dy), keepdims=True)
    return dy - x_hat * (dy * x_hat).mean(_axes(dy), keepdims=True)


def _case(data: str, cotangent: str, shape: tuple[int, ...], seed: int) -> Case:
    def make(_: Rng) -> Batch:
        rng = np.random.default_rng(seed)
        x = np.clip(DATA[data](rng, shape), -1e35, 1e35).astype(np.float32)
        wide = x.astype(np.float64)
        spread = np.sqrt(wide.var(_axes(x), keepdims=True) + 1e-5)
        x_hat = (wide - wide.mean(_axes(x), keepdims=True)) / spread
        dy = COTANGENTS[cotangent](rng, x, x_hat).astype(np.float32)
        gamma, beta = rng.normal(size=(2, shape[1])).astype(np.float32)
        return Batch(x, gamma, beta, dy)

    return Case(f"{data}, dy {cotangent}, {shape}, {seed}", make, "float32", "")


class Fast:
    """The functions that are first computed in float32."""

    forward, backward = staticmethod(batch_norm.forward), staticmethod(batch_norm.backward)
    jvp = staticmethod(batch_norm.jvp)


@pytest.mark.parametrize("data", DATA)
@pytest.mark.parametrize("few", [0, batch_norm._AT_ONCE])
def test_float32_loses_nothing(data: str, few: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_norm, "_AT_ONCE", few)
    names = list(COTANGENTS)
    cases = tuple(
        _case(data, name, SHAPES[(k + len(data)) % len(SHAPES)], k) for k, name in enumerate(names)
    )
    results = accuracy.run(Fast, cases=cases)
    assert len(results) == 5 * len(names)
    assert [f"{r.name}: {r.detail} {r.worst}" for r in failures(results)] == []


def test_without_the_second_try_digits_are_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batch_norm, "_AT_ONCE", 0)
    monkeypatch.setattr(batch_norm._Work, "holds", lambda *_: True)
    cases = tuple(
        _case("normal", name, (300, 2), 1) for name in ("with a mean", "like y", "orthogonal")
    )
    lost = failures(accuracy.run(Fast, cases=cases))
    assert {result.name for result in lost} == {f"float32: {case.name}" for case in cases}


# --- Memory --------------------------------------------------------------------------------------

MEBIBYTE = 2**20
LARGE = [(20_000, 128), (300, 10_000), (8, 16, 128, 128), (1, 3, 1000, 800), (2_000_000, 1)]


@pytest.mark.parametrize("shape", LARGE)
@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_a_kernel_takes_little_memory_beside_its_arrays(shape: tuple[int, ...], dtype: str) -> None:
    rng = np.random.default_rng(0)
    x = rng.standard_normal(shape, np.float32).astype(dtype)
    dy, y = x[::-1].copy(), np.empty_like(x)
    channels = shape[1]
    peaks = []
    tracemalloc.start()
    try:
        _, cache = batch_norm.forward(x, out=y)
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.reset_peak()
        batch_norm.backward(dy, cache, out=y)
        peaks.append(tracemalloc.get_traced_memory()[1])
    finally:
        tracemalloc.stop()
    assert max(peaks) < 8 * MEBIBYTE + 100 * channels
    assert cache.x is x
    assert sum(a.nbytes for a in cache[1:] if isinstance(a, np.ndarray)) == 5 * 8 * channels


def test_hard_batches_take_little_memory_too() -> None:
    x = np.random.default_rng(0).normal(1e20, 1e19, (20_000, 128)).astype(np.float32)
    y = np.empty_like(x)
    tracemalloc.start()
    try:
        _, cache = batch_norm.forward(x, out=y)
        batch_norm.backward(np.ones_like(x), cache, out=y)
        peak = tracemalloc.get_traced_memory()[1] - x.nbytes
    finally:
        tracemalloc.stop()
    assert peak < 8 * MEBIBYTE

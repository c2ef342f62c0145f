"""Matrices of lines in float32: how rows are cut, read and summed."""

from __future__ import annotations

from math import prod
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.backends import numpy_lines_support as support
from codegen.backends.numpy_along_support import _over_rows, _plus_along, _times_along
from codegen.backends.numpy_instance_support import _layout as of_channels
from codegen.backends.numpy_lines_support import _in_two, _is_narrow, _Rows, _rows_of
from codegen.backends.numpy_rows_support import _layout
from generated.numpy_kernels import group_norm, instance_norm, layer_norm, rms_norm

Array = np.ndarray[Any, Any]


def all_rows(shape: tuple[int, ...]) -> _Rows:
    (rows,) = _rows_of(_layout(np.empty(shape), (-1,)))
    return rows


@settings(max_examples=80, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=2, max_size=4), st.integers(1, 60), st.data())
def test_matrices_meet_every_row_once_and_whole(
    shape: list[int], size: int, data: st.DataObject
) -> None:
    features = data.draw(st.integers(1, len(shape) - 1))
    met = np.zeros(shape, int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(support, "_MATRIX", size)
        for rows in _rows_of(_layout(met, range(-features, 0))):
            met[rows.index] += 1
            assert met[rows.index].shape[-features:] == tuple(shape[-features:])
            assert prod(rows.at.shape) == met[rows.index].size
    assert (met == 1).all()


@pytest.mark.parametrize("length", [1, 24, 255, 256, 257, 509, 768, 1021, 3136])
def test_sums_of_lines_are_those_of_float64(length: int) -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, 37, length)).astype(np.float32)
    rows = all_rows(one.shape)
    for found, terms in (
        (rows.total(one), one.astype(float)),
        (rows.total(one, other), one.astype(float) * other),
    ):
        assert found.dtype == np.float64
        assert found.shape == (37, 1)
        error = np.abs(found[:, 0] - terms.sum(axis=1))
        assert (error <= 2**-21 * np.sqrt((terms**2).sum(axis=1))).all()


@pytest.mark.parametrize("count", [1, 15, 16, 17, 48])
def test_sums_over_rows_are_those_of_float64(count: int) -> None:
    rng = np.random.default_rng(0)
    one, other = rng.normal(size=(2, count, 30)).astype(np.float32)
    rows, weights = all_rows(one.shape), rng.normal(size=(count, 1))
    expected = (weights * one.astype(float) * other).sum(axis=0)
    np.testing.assert_allclose(_over_rows(rows, weights, one, other)[0], expected, atol=1e-5)
    np.testing.assert_allclose(_over_rows(rows, None, one)[0], one.sum(axis=0), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 24), (64, 768), (7, 100), (16, 9000)])
def test_what_repeats_along_rows(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(0)
    one = rng.normal(size=shape).astype(np.float32)
    values = rng.normal(size=(1, shape[1]))
    rows = all_rows(shape)
    made = _times_along(rows, one, values, np.empty_like(one))
    assert (made == one * values.astype(np.float32)).all()
    assert (_plus_along(rows, made.copy(), values) == made + values.astype(np.float32)).all()


def test_channels_that_come_last_are_read_as_lines() -> None:
    x = np.arange(2 * 5 * 6 * 3, dtype=np.float32).reshape(2, 5, 6, 3)
    (rows,) = _rows_of(of_channels(x, -1))
    assert (rows.read(x) == np.moveaxis(x, -1, 1).reshape(6, 30)).all()
    y = np.empty_like(x)
    assert rows.place(y).base is not y
    rows.store(y, rows.read(x))
    assert (y == x).all()


def test_what_is_narrow() -> None:
    def narrow(shape: tuple[int, ...], dtype: str) -> bool:
        x = np.zeros(shape, dtype)
        return _is_narrow(_layout(x, (-1,)), x)

    assert narrow((3, 24), "float32")
    assert narrow((3, 24), "float16")
    assert not narrow((3, 24), "float64")
    assert not narrow((3, 23), "float32")
    assert not narrow((0, 24), "float32")
    assert narrow((1, 2**18), "float16")
    assert not narrow((1, 2**18 + 1), "float16")


def test_a_mean_in_two_parts() -> None:
    mean, rest, other = _in_two(np.array([1 + 2.0**-30]), np.array([2.0**-60]), np.zeros(1))
    assert mean == 1
    assert rest == 2.0**-30 + 2.0**-60
    assert other == 0


# --- What the kernels make of it -----------------------------------------------------------------


def test_a_mean_found_in_float64_serves_float32() -> None:
    """β beyond what float32 is at ease with leaves forward to float64, and backward not."""
    rng = np.random.default_rng(0)
    x, dy = (1e7 + 1e3 * rng.normal(size=(8, 512))).astype(np.float32), rng.normal(size=(8, 512))
    dy = dy.astype(np.float32)
    _, cache = layer_norm.forward(x, None, np.full(512, 1e25))
    assert (cache.mean.astype(np.float32) == cache.mean).all()
    wide = layer_norm.forward(x.astype(float))[1]
    for found, due in zip(
        layer_norm.backward(dy, cache), layer_norm.backward(dy, wide), strict=True
    ):
        assert np.abs(found - due).max() <= 8 * 2**-24 * np.abs(due).max()


def test_sums_over_rows_that_cancel_are_found_again() -> None:
    """dy has rows in pairs of either sign: what float32 would leave of dβ is noise."""
    rng = np.random.default_rng(0)
    x, dy = rng.normal(size=(2, 600, 64)).astype(np.float32)
    dy[300:] = -dy[:300] + np.float32(1e-4) * dy[300:]
    _, cache = layer_norm.forward(x)
    found = layer_norm.backward(dy, cache)[2]
    due = dy.astype(float).sum(axis=0)
    assert np.abs(found - due).max() <= 2**-23 * np.abs(due).max()


@pytest.mark.parametrize("module", [layer_norm, rms_norm, instance_norm, group_norm])
def test_one_hard_row_leaves_others_alone(module: ModuleType) -> None:
    rng = np.random.default_rng(0)
    shape = (4, 64) if module in (layer_norm, rms_norm) else (4, 2, 8, 8)
    groups = (None,) * 2 + (2,) if module is group_norm else ()
    x = rng.normal(size=shape).astype(np.float32)
    x[2] *= np.float32(1e30)
    y, _ = module.forward(x, *groups)
    alone, _ = module.forward(x[:2], *groups)
    np.testing.assert_allclose(y[:2], alone, atol=1e-6)
    assert np.isfinite(y).all()

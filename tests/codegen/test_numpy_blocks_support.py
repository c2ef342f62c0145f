"""How data are cut into parts and blocks, and what is computed with a block."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from codegen.backends import numpy_blocks_support as support
from codegen.backends.numpy_blocks_support import _Part
from codegen.backends.numpy_half_support import _from_half, _to_half
from codegen.backends.numpy_support import Array, _Layout, _layout

SHAPES = st.lists(st.integers(1, 7), min_size=2, max_size=4)


@st.composite
def cuts(draw: st.DrawFn) -> tuple[Array, int, dict[str, int]]:
    """Data, an axis, and how large rows, blocks and chains are."""
    shape = draw(SHAPES)
    axis = draw(st.integers(0, len(shape) - 1))
    x = np.random.default_rng(0).integers(-9, 10, shape).astype(np.float32)
    sizes = {
        "_COLUMNS": st.integers(1, 40),
        "_ROWS": st.integers(1, 5),
    }
    return x, axis, {name: draw(size) for name, size in sizes.items()}


@pytest.fixture(autouse=True)
def in_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """However few elements there are."""
    monkeypatch.setattr(support, "_AT_ONCE", 0)


def _parts(layout: _Layout) -> Iterator[_Part]:
    for part in support._parts(layout):
        assert isinstance(part, _Part)
        yield part


@contextmanager
def small(sizes: dict[str, int]) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name, size in sizes.items():
            patch.setattr(support, name, size)
        yield


@settings(max_examples=150, deadline=None)
@given(cuts())
def test_blocks_meet_every_element_once_and_sums_are_right(case: Any) -> None:
    x, axis, sizes = case
    layout = _layout(x, axis)
    met = np.zeros(x.shape, int)
    one = np.add.reduce(x, axis=layout.reduced, keepdims=True)
    two = np.add.reduce(x * x, axis=layout.reduced, keepdims=True)
    with small(sizes):
        for part in _parts(layout):
            for work in part.works(x):
                sums, products = work.zeros(), work.zeros()
                for block in work.blocks():
                    met[block.index] += 1
                    values = block.read(x)
                    sums[block.columns] += block.total(values)
                    products[block.columns] += block.total(values, values)
                assert (work.per_channel(sums) == one[part.own]).all()
                assert (work.per_channel(products) == two[part.own]).all()
    assert (met == 2).all()  # in float32 and in float64


@settings(max_examples=100, deadline=None)
@given(cuts(), st.sampled_from(["<f4", ">f4", "<f8", "<f2"]), st.booleans())
@example((np.ones((2, 2, 8), np.float32), 1, {"_COLUMNS": 2, "_ROWS": 4}), "<f4", False)
@example((np.ones((3, 2, 4, 9), np.float32), 1, {"_COLUMNS": 4, "_ROWS": 12}), "<f4", False)
def test_a_block_is_read_and_written_where_it_lies(case: Any, dtype: str, fortran: bool) -> None:
    x, axis, sizes = case
    x = np.asarray(x, dtype, order="F" if fortran else "C")
    layout = _layout(x, axis)
    y = np.empty_like(x)
    scale = np.arange(1.0, 1 + layout.channels).reshape(layout.group_shape)
    with small(sizes):
        for part in _parts(layout):
            for work in part.works(x):
                row = work.row(scale[part.own])
                y[part.own] = np.nan
                for block in work.blocks():
                    product = np.multiply(block.read(x), row[block.columns], block.place(y))
                    block.store(y, product)
                assert (y[part.own] == (x * scale)[part.own]).all()


def test_an_empty_batch_has_no_parts() -> None:
    assert list(_parts(_layout(np.empty((0, 3)), 1))) == []
    assert list(_parts(_layout(np.empty((3, 0)), 1))) == []


def test_parts_share_scratch_that_grows() -> None:
    x = np.zeros((3, 5, 4), np.float32)
    with small({"_COLUMNS": 4, "_ROWS": 3}):
        rooms = []
        for part in _parts(_layout(x, 1)):
            (work, _) = part.works(x)
            for block in work.blocks():
                rooms.append(block.room())
                assert rooms[-1].shape == block.shape
    assert len({id(room.base) for room in rooms}) < len(rooms)


def test_float64_data_are_computed_in_float64_at_once() -> None:
    x = np.zeros((3, 2))
    for part in _parts(_layout(x, 1)):
        (work,) = part.works(x)
        assert (work.dtype, work.wide, work.again) == (np.float64, True, False)


FITS = np.array([1.0, 0.0, 2.0**-90, -(2.0**50)])
ONE = np.ones(4)


@pytest.mark.parametrize(
    ("values", "left", "of_all", "held"),
    [
        (FITS, [], [], True),
        (np.array([np.nan]), [], [], False),
        (np.array([np.inf]), [], [], False),
        (np.array([2.0**61]), [], [], False),
        (np.array([2.0**-101]), [], [], False),
        (FITS, [(ONE, 16 * ONE)], [], True),
        (FITS, [(ONE, np.array([1.0, 1.0, 17.0, 1.0]))], [], False),
        (FITS, [(np.array([np.inf]), ONE[:1])], [], False),
        (FITS, [], [(np.array([0.0, 1.0]), np.array([16.0, 0.0]))], True),
        (FITS, [], [(np.array([0.0, 1.0]), np.array([17.0, 0.0]))], False),
    ],
)
def test_what_holds(values: Array, left: Any, of_all: Any, held: bool) -> None:
    x = np.zeros((3, 2), np.float32)
    (part,) = _parts(_layout(x, 1))
    narrow, _ = part.works(x)
    assert narrow.holds([values], left, of_all) is held


def test_what_is_left_in_one_part_counts_for_the_next() -> None:
    x = np.zeros((3, 8), np.float32)
    with small({"_COLUMNS": 2, "_ROWS": 1}):
        first, second, *_ = (next(part.works(x)) for part in _parts(_layout(x, 1)))
        small_left = [(ONE / 100, ONE)]
        assert not second.holds([FITS], (), small_left)
        assert first.holds([FITS], (), [(ONE, ONE)])
        assert second.holds([FITS], (), small_left)


@pytest.mark.parametrize("wide", [False, True])
def test_a_centre_is_near_the_mean_and_a_float32(wide: bool) -> None:
    x = np.random.default_rng(1).normal(1e6, 1.0, (4000, 3)).astype(np.float32)
    (part,) = _parts(_layout(x, 1))
    work = list(part.works(x))[wide]
    centre = work.centre(x)
    assert centre.dtype == np.float64
    assert (centre.astype(np.float32) == centre).all()
    assert abs(centre - x.mean(axis=0, dtype=np.float64)).max() < (0.04 if wide else 1)


def test_every_float16_is_read_and_written_back_by_its_bits() -> None:
    every = np.arange(2**16, dtype=np.uint16).view(np.float16)
    finite = np.isfinite(every)
    for some in (every, every[finite], every[finite][::-1]):
        read = np.empty(some.shape, np.float32)
        _from_half(some, read)
        with np.errstate(all="ignore"):  # signalling NaN
            assert np.array_equal(read, some.astype(np.float32), equal_nan=True)
    values = every[finite].astype(np.float32)
    made = np.empty(values.shape, np.float16)
    _to_half(values, made, np.empty_like(values))
    assert np.array_equal(made.view(np.uint16), every[finite].view(np.uint16))


@pytest.mark.parametrize("odd", [[], [np.inf], [-np.inf], [np.nan], [65519.0], [-65520.0]])
def test_a_float32_is_rounded_to_the_nearest_float16(odd: list[float]) -> None:
    grid = np.arange(0x7C00, dtype=np.uint16).view(np.float16).astype(np.float32)
    half = (grid[1:] + grid[:-1]) / 2
    near = [np.nextafter(half, np.float32(to)) for to in (-1, 1e9)]
    random = np.random.default_rng(0).normal(size=5000) * 2.0 ** np.arange(5000) ** 0.3
    values = np.concatenate([half, *near, random, odd]).astype(np.float32)
    values = np.concatenate([values, -values])
    with np.errstate(all="ignore"):
        due = values.astype(np.float16)
    made = np.empty(values.shape, np.float16)
    with np.errstate(all="ignore"):
        _to_half(values, made, np.empty_like(values))
    least = np.float16(2.0**-14)  # below it a number is rounded twice
    assert np.array_equal(made[abs(due) >= least], due[abs(due) >= least])
    assert not np.isnan(made).any() or np.isnan(odd).any()
    small = abs(due) < least
    assert (abs(made[small].astype(float) - due[small]) <= 2.0**-24).all()

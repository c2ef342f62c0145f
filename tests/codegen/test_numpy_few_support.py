"""How few elements are read all at once, and where their scratch comes from."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.backends import numpy_few_support as support
from codegen.backends.numpy_blocks_support import _parts
from codegen.backends.numpy_few_support import _AT_ONCE, _SHARE, _Few, _folded
from codegen.backends.numpy_support import _layout

SHAPES = st.lists(st.integers(1, 7), min_size=2, max_size=4)
TYPES = ["<f4", ">f4", "<f8", "<f2", ">f2"]


@pytest.fixture(autouse=True)
def no_scratch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "_spare", threading.local())


@settings(max_examples=150, deadline=None)
@given(SHAPES, st.data(), st.sampled_from(TYPES), st.booleans())
def test_few_elements_are_read_added_up_and_written(
    shape: list[int], data: Any, dtype: str, fortran: bool
) -> None:
    axis = data.draw(st.integers(0, len(shape) - 1))
    x = np.random.default_rng(0).integers(-9, 10, shape).astype(dtype)
    x = np.asarray(x, order="F" if fortran else "C")
    layout, y = _layout(x, axis), np.empty_like(x)
    values = np.arange(1.0, 1 + layout.channels).reshape(layout.group_shape)
    (part,) = _parts(layout)
    (work,) = part.works(x)
    (block,) = work.blocks()
    read = block.read(x)
    one = work.per_channel(block.total(read))
    two = work.per_channel(block.total(read, read))
    less = block.less(read, work.row(values))
    assert block.less(block.read(x), None if less is read else work.row(values)) is less
    made = block.times(less, work.row(values), block.place(y))
    block.store(y, made)
    assert (one == np.add.reduce(x.astype(float), layout.reduced, keepdims=True)).all()
    assert (two == np.add.reduce(x.astype(float) ** 2, layout.reduced, keepdims=True)).all()
    assert (y == (x.astype(float) - values) * values).all()


@given(st.integers(1, 40), st.integers(1, 9), st.integers(1, 9))
def test_rows_are_long_and_few_where_the_batch_can_be_cut_so(n: int, c: int, places: int) -> None:
    shape, (fold, *row), (rows, columns) = _folded((n, c, places), 1)
    assert (shape, row) == ((n, c, places), [c, places])
    assert fold * rows == n
    assert columns == fold * c * places
    assert rows < 16 or fold == 1


def test_scratch_is_kept_by_its_thread_and_never_in_use_twice() -> None:
    layout = _layout(np.zeros((8, 3)), 1)
    first = _Few(layout)
    second = _Few(layout)  # while the first is at work
    assert first.scratch is not second.scratch
    first.give_back()
    third = _Few(layout)
    assert third.scratch is first.scratch
    third.give_back()
    others: list[_Few] = []
    thread = threading.Thread(target=lambda: others.append(_Few(layout)))
    thread.start()
    thread.join()
    assert others[0].scratch is not first.scratch


def test_pieces_of_scratch_do_not_meet() -> None:
    few = _Few(_layout(np.zeros((362, 362)), 1))
    pieces = [few.room(dtype) for dtype in (None, np.float32, np.float32, None, None, None, None)]
    inside = [piece.base is few.scratch for piece in pieces]
    assert inside == [True] * 6 + [False]  # fresh memory after these
    for k, piece in enumerate(pieces):
        piece[...] = k
    assert all((piece == k).all() for k, piece in enumerate(pieces))


def test_more_elements_or_channels_than_few_are_cut_into_blocks() -> None:
    many, most = _AT_ONCE + 1, _AT_ONCE // _SHARE
    shapes = [(_AT_ONCE, 1), (many, 1), (2, most), (2, most + 1)]
    parts = [next(iter(_parts(_layout(np.zeros(shape), 1)))) for shape in shapes]
    assert [isinstance(part, _Few) for part in parts] == [True, False, True, False]


def test_float64_data_are_centred_near_their_means_and_others_at_their_first() -> None:
    x = np.random.default_rng(1).normal(1e6, 1.0, (400, 3))
    few = _Few(_layout(x, 1))
    assert abs(few.centre(x) - x.mean(axis=0)).max() < 1e-8
    single = x.astype(np.float32)
    centre = _Few(_layout(x, 1)).centre(single)
    assert (centre == single[:1]).all()
    assert centre.dtype == np.float64


@pytest.mark.parametrize(
    ("dtype", "mean", "far"),
    [("f8", 0, 0), ("f8", 1, 0), ("f8", 3, 1), ("f4", 20, 0), ("f4", 40, 1), ("f2", 20, 0)],
)
def test_nothing_is_subtracted_where_all_means_are_near_zero(
    dtype: str, mean: float, far: bool
) -> None:
    x = np.random.default_rng(1).normal((0, mean, -mean), 1.0, (400, 3)).astype(dtype)
    few = _Few(_layout(x, 1))
    assert few.centre(x).any() == far
    if not far:
        matrix = few.read(x)
        assert few.total(matrix) is few.sums[id(matrix), id(None)]  # found once


@pytest.mark.parametrize("value", [np.inf, np.nan, 1e200])
def test_where_squares_say_nothing_data_are_centred(value: float) -> None:
    x = np.full((4, 2), value)
    with np.errstate(all="ignore"):
        few = _Few(_layout(x, 1))
        assert few.centre(x) is not few.nothing
        assert few.centre(np.zeros_like(x)) is few.nothing

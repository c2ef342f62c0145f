"""The array handling that generated modules carry: layouts, blocks, overlap, what is refused."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from fractions import Fraction
from math import prod
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.backends import numpy_support
from codegen.backends.numpy_support import (
    Array,
    _array,
    _layout,
    _like,
    _overlap,
    _per_channel,
    _real,
    _result,
    _results,
    _same_memory,
    _wide,
)

FLOAT64 = np.dtype(np.float64)
SHAPES = st.lists(st.integers(0, 6), min_size=2, max_size=4).map(tuple)


@st.composite
def shapes_and_axes(draw: st.DrawFn) -> tuple[tuple[int, ...], int]:
    shape = draw(SHAPES)
    return shape, draw(st.integers(-len(shape), len(shape) - 1))


# --- Layouts and blocks --------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(shapes_and_axes(), st.integers(1, 40))
def test_blocks_meet_every_element_once(case: tuple[tuple[int, ...], int], size: int) -> None:
    shape, axis = case
    layout = _layout(np.empty(shape), axis)
    met = np.zeros(shape, int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_support, "_BLOCK", size)
        blocks = list(layout.blocks())
    for block in blocks:
        met[block] += 1
        assert met[block].size <= max(size, layout.channels)
        assert met[block].shape[layout.axis] == layout.channels
    assert (met == 1).all()
    many = 1 + 4 * met.size / size
    assert len(blocks) <= many or not met.size or layout.channels > size / 2


@settings(max_examples=60, deadline=None)
@given(shapes_and_axes())
def test_a_layout_counts_what_is_reduced(case: tuple[tuple[int, ...], int]) -> None:
    shape, axis = case
    layout = _layout(np.zeros(shape), axis)
    others = [length for k, length in enumerate(shape) if k != axis % len(shape)]
    assert layout.m == prod(others)
    assert layout.channels == shape[axis]
    assert layout.group_shape == np.zeros(shape).sum(axis=layout.reduced, keepdims=True).shape
    assert layout.zeros().shape == layout.group_shape
    assert layout.zeros().dtype == FLOAT64


@settings(max_examples=60, deadline=None)
@given(shapes_and_axes(), st.integers(0, 2**32 - 1), st.integers(1, 20))
def test_totals_are_sums(case: tuple[tuple[int, ...], int], seed: int, size: int) -> None:
    shape, axis = case
    x = np.random.default_rng(seed).integers(-99, 99, shape).astype(float)
    layout = _layout(x, axis)
    expected = np.moveaxis(x, axis, 0).reshape(shape[axis], layout.m).sum(axis=1)
    assert (layout.total(x).ravel() == expected).all()
    total = layout.zeros()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_support, "_BLOCK", size)
        for block in layout.blocks():
            total += layout.total(x[block])
    assert (total == layout.total(x)).all()


def test_a_large_count_does_not_overflow() -> None:
    x = np.broadcast_to(np.float32(0), (2**20, 3, 2**20))
    assert _layout(x, 1).m == 2**40


def test_what_lies_together_is_in_one_block() -> None:
    x = np.broadcast_to(0.0, (3, 2, 2**16))
    assert [x[block].shape for block in _layout(x, 1).blocks()] == [(1, 2, 2**15)] * 6
    images = np.broadcast_to(0.0, (5, 4, 64, 128))
    assert [images[block].shape for block in _layout(images, 1).blocks()] == [
        *[(2, 4, 64, 128)] * 2,
        (1, 4, 64, 128),
    ]


@pytest.mark.parametrize(
    ("shape", "axis", "error", "said"),
    [
        ((3,), 0, ValueError, "x has shape (3,); (m, C) or (N, C, *spatial) is needed"),
        ((), 0, ValueError, "x has shape (); (m, C) or (N, C, *spatial) is needed"),
        ((3, 2), 2, ValueError, "axis 2 is out of range for x of shape (3, 2)"),
        ((3, 2), -3, ValueError, "axis -3 is out of range for x of shape (3, 2)"),
        ((3, 2), 1.0, TypeError, "axis is 1.0; an integer is needed"),
        ((3, 2), None, TypeError, "axis is None; an integer is needed"),
        ((3, 2), (0, 1), TypeError, "axis is (0, 1); an integer is needed"),
    ],
)
def test_no_layout(shape: tuple[int, ...], axis: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as raised:
        _layout(np.empty(shape), axis)
    assert str(raised.value) == said


# --- Values --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ">f4"])
def test_floats_are_taken_as_they_are_and_widened_exactly(dtype: Any) -> None:
    x = np.array([[0.1, -2.5]], dtype)
    assert _array("x", x) is x
    assert _wide(x).dtype == FLOAT64
    assert (_wide(x) == x).all()
    wide = np.ones(3)
    assert _wide(wide) is wide


def test_bfloat16_is_a_float() -> None:
    ml_dtypes = pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed")
    x = np.array([0.5], ml_dtypes.bfloat16)
    assert _array("x", x) is x
    assert _wide(x).tolist() == [0.5]


@pytest.mark.parametrize(
    "value", [[1, 2], [True], [1j], [None], ["a"], np.array([Fraction(1)]), np.longdouble(1), None]
)
def test_other_dtypes_are_named(value: Any) -> None:
    if np.asarray(value).dtype == FLOAT64:
        pytest.skip("long double is float64 here")
    with pytest.raises(TypeError, match=r"^x has dtype \S+; one of float16, bfloat16, float32, f"):
        _array("x", value)


def test_the_shape_of_x() -> None:
    x = np.empty((3, 2))
    assert _like("dy", np.ones((3, 2), np.float16), x).shape == x.shape
    with pytest.raises(ValueError, match=r"^dy has shape \(2, 3\); the shape of x, \(3, 2\), is"):
        _like("dy", np.empty((2, 3)), x)


@pytest.mark.parametrize(("shape", "axis"), [((3, 2), 1), ((4, 2, 5), 1), ((4, 5, 2), -1)])
def test_one_value_for_each_channel(shape: tuple[int, ...], axis: int) -> None:
    layout = _layout(np.empty(shape), axis)
    given_values = np.array([1.5, -2], np.float32)
    taken = _per_channel("gamma", given_values, layout, 1)
    assert taken.dtype == FLOAT64
    assert taken.shape == layout.group_shape
    assert taken.ravel().tolist() == [1.5, -2]
    assert (_per_channel("beta", None, layout, 0) == 0).all()
    assert _per_channel("beta", None, layout, 0).shape == layout.group_shape


def test_a_copy_of_the_values_is_taken() -> None:
    gamma = np.ones(2)
    assert not np.shares_memory(
        _per_channel("gamma", gamma, _layout(np.empty((3, 2)), 1), 1), gamma
    )


@pytest.mark.parametrize("shape", [(), (1,), (3,), (1, 2), (2, 1)])
def test_any_other_shape_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"^gamma has shape .*; \(2,\) is needed: .*\(3, 2\)"):
        _per_channel("gamma", np.ones(shape), _layout(np.empty((3, 2)), 1), 1)


@pytest.mark.parametrize("value", [1, 0.5, -1.0, np.float32(0.5), np.int64(3), Fraction(1, 2)])
def test_real_numbers(value: Any) -> None:
    assert type(_real("eps", value)) is float
    assert _real("eps", value) == value


@pytest.mark.parametrize("value", [None, "1e-5", 1j, True, [1.0], np.ones(1), Decimal(1)])
def test_what_is_not_a_real_number(value: Any) -> None:
    with pytest.raises(TypeError, match=r"^eps is .*; a real number is needed$"):
        _real("eps", value)


# --- Memory --------------------------------------------------------------------------------------

MEMORY = np.arange(40.0)  # each element is its own address


@st.composite
def views(draw: st.DrawFn) -> Array:
    """Any view of MEMORY with up to three axes, reversed, stepped, overlapping itself."""
    shape = draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
    strides = [draw(st.integers(-5, 5)) for _ in shape]
    reach = [(n - 1) * s for n, s in zip(shape, strides, strict=True) if n]
    low, high = sum(min(r, 0) for r in reach), sum(max(r, 0) for r in reach)
    if high - low >= MEMORY.size or 0 in shape:
        return MEMORY[: draw(st.integers(0, 3))]
    start = draw(st.integers(-low, MEMORY.size - 1 - high))
    strides = [s * MEMORY.itemsize for s in strides]
    view: Array = np.lib.stride_tricks.as_strided(MEMORY[start:], shape, strides)
    return view


@settings(max_examples=120, deadline=None)
@given(views(), views())
def test_overlap_is_a_shared_element(first: Array, second: Array) -> None:
    assert _overlap(first, second) == bool(set(first.flat) & set(second.flat))
    assert _overlap(first, first) == bool(first.size)
    assert not _overlap(first, np.arange(40.0))


@settings(max_examples=120, deadline=None)
@given(views(), st.data())
def test_the_same_memory_is_the_same_elements_in_the_same_order(
    first: Array, data: st.DataObject
) -> None:
    others = [views(), st.just(first[:]), st.just(first[::-1]), st.just(first.T)]
    second = data.draw(st.one_of(*others))
    same = first.shape == second.shape and (first == second).all()
    assert _same_memory(first, second) == same or not first.size


def test_one_element_has_no_order() -> None:
    """A stride that is never taken may be anything."""
    row = MEMORY.reshape(5, 8)[2:3]
    again = MEMORY[16:24][None]
    assert row.strides != again.strides
    assert _same_memory(row, again)


def test_other_types_are_not_the_same_elements() -> None:
    assert not _same_memory(MEMORY, MEMORY.view(np.int64))
    assert not _same_memory(MEMORY, MEMORY.view(">f8"))


def test_what_is_too_hard_to_tell_may_overlap(monkeypatch: pytest.MonkeyPatch) -> None:
    even, odd = MEMORY[::2], MEMORY[1::2]
    assert not _overlap(even, odd)

    def hard(*_: object, **__: object) -> bool:
        raise np.exceptions.TooHardError

    monkeypatch.setattr(np, "shares_memory", hard)
    assert _overlap(even, odd)
    assert not _overlap(MEMORY[:5], MEMORY[5:])


# --- out -----------------------------------------------------------------------------------------


def _out(out: object, **options: Any) -> Array:
    return _result("dx", out, (3, 2), FLOAT64, **options)


def test_an_array_that_fits_is_taken() -> None:
    out = np.empty((3, 2))
    assert _out(out) is out
    assert _out(out, replaces=out) is out
    assert _out(out, replaces=np.ones((3, 2)), apart=[np.ones((3, 2))]) is out
    made = _out(None)
    assert (made.shape, made.dtype) == ((3, 2), FLOAT64)


READ_ONLY = np.empty((3, 2))
READ_ONLY.flags.writeable = False
BLOCK = np.empty((4, 2))


@pytest.mark.parametrize(
    ("out", "options", "error", "said"),
    [
        ([[1.0]], {}, TypeError, "out for dx is a list; an array is needed"),
        (np.empty((2, 3)), {}, ValueError, "out for dx has shape (2, 3); (3, 2) is needed"),
        (np.empty((3, 2), "f4"), {}, TypeError, "out for dx has dtype float32; float64 is needed"),
        (np.empty((3, 2), ">f8"), {}, TypeError, "out for dx has dtype >f8; float64 is needed"),
        (READ_ONLY, {}, ValueError, "out for dx is read-only"),
        (
            np.lib.stride_tricks.as_strided(np.empty(2), (3, 2), (0, 8)),
            {},
            ValueError,
            "out for dx has elements that share memory",
        ),
        (
            BLOCK[1:],
            {"replaces": BLOCK[:3]},
            ValueError,
            "out for dx overlaps an input without being exactly that array",
        ),
        (
            BLOCK[:3],
            {"replaces": BLOCK[:3][::-1]},
            ValueError,
            "out for dx overlaps an input without being exactly that array",
        ),
        (
            BLOCK[:3],
            {"apart": [BLOCK[:3]]},
            ValueError,
            "out for dx overlaps another array of this call",
        ),
    ],
)
def test_an_array_that_does_not_fit(
    out: object, options: dict[str, Any], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as raised:
        _out(out, **options)
    assert str(raised.value) == said


def _outs(out: Any, dy: Array, x: Array) -> Sequence[Array]:
    shapes = {"dx": (3, 2), "dgamma": (2,), "dbeta": (2,)}
    return _results(out, shapes, FLOAT64, replaces=dy, apart=[x])


def test_one_array_is_for_the_first_result_and_a_tuple_for_all() -> None:
    dy, x, dx, dbeta = np.ones((3, 2)), np.ones((3, 2)), np.empty((3, 2)), np.empty(2)
    first, second, third = _outs(dx, dy, x)
    assert first is dx
    assert second.shape == third.shape == (2,)
    made, _, third = _outs((None, None, dbeta), dy, x)
    assert third is dbeta
    assert made.shape == (3, 2)
    assert _outs(dy, dy, x)[0] is dy
    assert len(_outs(None, dy, x)) == 3


@pytest.mark.parametrize("length", [0, 1, 2, 4])
def test_a_tuple_of_another_length(length: int) -> None:
    dy, x = np.ones((3, 2)), np.ones((3, 2))
    said = rf"^out has {length} entries; one for each of dx, dgamma, dbeta is needed$"
    with pytest.raises(ValueError, match=said):
        _outs((None,) * length, dy, x)


def test_results_lie_apart_from_each_other_and_from_what_is_read() -> None:
    dy, x, memory = np.ones((3, 2)), np.ones((3, 2)), np.empty((3, 2))
    for out in (
        x,  # backward reads it again
        (None, memory[0], memory[0]),
        (memory, memory[1], None),
        (None, dy[0], None),  # only dx may replace dy
        (None, None, x[2]),
    ):
        with pytest.raises(ValueError, match="overlaps"):
            _outs(out, dy, x)

"""What compiled modules carry: 16-bit floats by their bits, blocks, threads, the guessed centre."""

from __future__ import annotations

import math
import os
import subprocess
import sys
from pathlib import Path
from threading import Lock, get_ident
from typing import Any

import numpy as np
import pytest

pytest.importorskip("numba", reason="numba is not installed: NOT TESTED")

import numba

from codegen.backends import numba_batch_support, numba_support
from codegen.backends.numba_batch_support import (
    _add_up,
    _blocks,
    _by_rows,
    _far,
    _is_left,
    _moderate,
    _near_mean,
    _near_mean_of,
    _read,
    _rows_at_once,
    _share_out,
    _side_by_side,
)
from codegen.backends.numba_support import _from_bits, _to_bits, _together
from codegen.backends.numpy_support import _layout

ROOT = Path(__file__).parents[2]
FORMATS = {"float16": (np.uint16, 10, 15), "bfloat16": (np.int16, 7, 127)}


def narrow(name: str) -> np.dtype[Any]:
    if name == "float16":
        return np.dtype(np.float16)
    return np.dtype(pytest.importorskip("ml_dtypes", reason="ml_dtypes is not installed").bfloat16)


@pytest.mark.parametrize("name", FORMATS)
def test_every_16_bit_float_is_read_and_written_back(name: str) -> None:
    bits, mantissa, bias = FORMATS[name]
    every = np.arange(2**16, dtype=np.uint16)
    load, store = _from_bits(mantissa, bias), _to_bits(mantissa, bias)
    read = np.array([load(one) for one in every.view(bits)])
    with np.errstate(all="ignore"):  # signalling NaN
        assert np.array_equal(read, every.view(narrow(name)).astype(float), equal_nan=True)
    kept = ~np.isnan(read)
    written = np.array([store(one, every) for one in read[kept]]).astype(np.uint16)
    assert np.array_equal(written, every[kept])
    assert np.isnan(load(bits(store(np.nan, every))))


@pytest.mark.parametrize("name", FORMATS)
def test_a_float64_is_rounded_once_to_the_nearest(name: str) -> None:
    """Halfway goes to the even one, and a number just off halfway does not, as it would after
    having been rounded to float32."""
    _, mantissa, bias = FORMATS[name]
    rng = np.random.default_rng(0)
    infinite = 0x7FFF >> mantissa << mantissa
    grid = np.arange(infinite, dtype=np.uint16).view(narrow(name)).astype(float)
    half = (grid[1:] + grid[:-1]) / 2
    random = rng.normal(size=3000) * 2.0 ** rng.integers(-160, 160, 3000)
    near = rng.permutation(half)[:3000]
    wide = np.concatenate([half, near * (1 + 2**-50), near * (1 - 2**-50), random, [np.inf, 0.0]])
    wide = np.concatenate([wide, -wide])
    store = _to_bits(mantissa, bias)
    with np.errstate(all="ignore"):
        written = np.array([store(one, wide) for one in wide]).astype(np.uint16)
    for value, made in zip(wide, written.view(narrow(name)).astype(float), strict=True):
        above = np.searchsorted(grid, abs(value))
        around = [grid[k] for k in (above - 1, above) if 0 <= k < len(grid)]
        if abs(made) == math.inf:
            assert abs(value) >= grid[-1] + (grid[-1] - grid[-2]) / 2
        else:
            assert abs(abs(made) - abs(value)) == min(abs(g - abs(value)) for g in around)
            assert math.copysign(1, made) == math.copysign(1, value)


@pytest.mark.skipif(not numba_support._CONVERTS_HALF, reason="no float16 in this processor")
def test_the_processor_converts_float16_as_the_bits_say() -> None:
    load, store = _from_bits(10, 15), _to_bits(10, 15)
    every = np.arange(2**16, dtype=np.uint16)
    wide = np.array([load(one) for one in every])
    kept = wide[np.isfinite(wide)]
    half = (np.sort(kept)[1:] + np.sort(kept)[:-1]) / 2
    wide = np.concatenate(
        [
            kept,
            half,
            *(np.nextafter(half, to) for to in (-np.inf, np.inf)),
            [65519.9, 1e300, 1e-300],
        ]
    )

    @numba.njit
    def compiled(bits: Any, read: Any, wide: Any, written: Any) -> None:
        for k in range(bits.size):
            read[k] = numba_support._load(bits[k])
        for k in range(wide.size):
            written[k] = numba_support._store(wide[k], written)

    read, written = np.empty(every.size), np.empty(wide.size, np.uint16)
    compiled(every, read, wide, written)
    assert np.array_equal(read, [load(one) for one in every], equal_nan=True)
    assert np.array_equal(written, [store(one, every) for one in wide])
    nan = np.array([np.nan])
    compiled(every[:0], read, nan, written)
    assert np.isnan(load(written[0]))


def test_where_elements_meet_float32_they_are_float32() -> None:
    every = np.arange(2**16, dtype=np.uint16)
    one = np.float32(1)

    @numba.njit
    def compiled(bits: Any, one: Any, read: Any, written: Any) -> None:
        for k in range(bits.size):
            value = numba_support._load_as(one, bits[k]) * one
            read[k] = value
            written[k] = numba_support._store(value, written)

    read, written = np.empty(every.size), np.empty_like(every)
    compiled(every, one, read, written)
    kept = ~np.isnan(read)
    assert np.array_equal(read, every.view(np.float16).astype(float), equal_nan=True)
    assert np.array_equal(written[kept], every[kept])
    assert np.isnan(written.view(np.float16)[~kept]).all()
    wide = np.array([1 + 2.0**-23])
    compiled(wide, one, read, wide.copy())
    assert read[0] == 1 + 2.0**-23
    compiled(wide + 2.0**-50, np.float64(1), read, wide.copy())
    assert read[0] == 1 + 2.0**-23 + 2.0**-50


def test_what_float32_has_room_for() -> None:
    small = np.array([1.0, 0.0, np.nan, -(2.0**60)])
    assert _moderate((small, small))
    assert not _moderate((small, np.array([2.0**61])))
    assert not _moderate((np.array([-np.inf]), small))
    assert _is_left(np.array([1.0]), np.array([16.0]))
    assert not _is_left(np.array([1.0, 1.0]), np.array([1.0, 17.0]))
    assert not _is_left(np.array([np.nan]), np.array([1.0]))


def test_rows_of_several_channels_side_by_side() -> None:
    values = np.array([1.0, 2.0])
    assert _by_rows((7, 2, 3), 2) == (6, (2, 1, 18))  # three rows of six together
    assert _by_rows((9, 100, 1), 2) == (8, (2, 2, 200))  # two rows of a hundred
    assert _by_rows((7, 128, 1), 2) == (6, (2, 3, 128))
    assert _by_rows((7, 2, 100), 2)[0] == 0  # runs
    row = _side_by_side(values, 3, 12)
    assert row.tolist() == [1, 1, 1, 2, 2, 2, 1, 1, 1, 2, 2, 2]
    _add_up(row, 3, values)
    assert values.tolist() == [7, 14]


def test_as_many_rows_at_once_as_suits_the_cache() -> None:
    assert len(_rows_at_once((8192, 1024, 1))) == 4
    assert len(_rows_at_once((65536, 256, 1))) == 2
    assert len(_rows_at_once((256, 100, 1))) == 4


def test_blocks_meet_every_element_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numba_batch_support, "_BLOCK", 7)
    for shape in [(5, 3), (2, 3, 4), (1, 20, 2), (9, 1, 1), (2, 2, 2, 30)]:
        met = np.zeros(shape, int)
        for block in _blocks(shape):
            met[block] += 1
            assert met[block].size <= 7 or met[block].size == 1
        assert (met == 1).all()


@pytest.mark.parametrize(
    ("shape", "shares"),
    [((4000, 100, 1), 2), ((1, 400, 1000), 2), ((1000, 100, 1), 1), ((1, 1, 1), 1)],
)
def test_shares_of_threads(
    shape: tuple[int, ...], shares: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every element is in one share, with the sums and values of its own channels."""
    lock, seen, met = Lock(), [], np.zeros(shape)

    def loop(_: object, array: Any, value: Any, total: Any) -> None:
        with lock:
            seen.append(array.shape)
            array += 1
            total += value

    monkeypatch.setattr(numba, "get_num_threads", lambda: 2)
    total, value = np.zeros(shape[1]), np.arange(shape[1], dtype=float)
    _share_out(loop, [met], 1, [total], [value])
    assert (met == 1).all()
    assert len(seen) == shares
    assert np.array_equal(total, value * (shares if shape[0] > 1 else 1))


def test_tasks_run_in_threads_of_their_own() -> None:
    lock, seen = Lock(), set[int]()

    def task() -> None:
        with lock:
            seen.add(get_ident())

    _together([task])
    assert seen == {get_ident()}
    barrier_passed = []
    _together([lambda: barrier_passed.append(get_ident())] * 3)
    assert len(barrier_passed) == 3
    assert barrier_passed.count(get_ident()) == 1


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*fork:DeprecationWarning")
def test_threads_after_a_fork() -> None:
    """A child has none of its parent's threads, and must not wait for them."""
    tasks = [lambda: None] * 2
    _together(tasks)
    child = os.fork()
    if not child:
        _together(tasks)
        os._exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7


def test_what_does_not_lie_in_order_is_copied() -> None:
    x = np.arange(24.0, dtype=np.float32).reshape(2, 3, 4)
    odd = np.frombuffer(b"\0" + x.tobytes(), np.uint8)[1:].view(np.float32).reshape(x.shape)
    seen: list[Any] = []
    _read(lambda _, array: seen.append(array), _layout(x, 1), (x,), ())
    assert np.shares_memory(seen.pop(), x)
    for other in (np.asfortranarray(x), x[:, :, ::-1], x.astype(">f4"), odd, x.astype(object)):
        _read(lambda _, array: seen.append(array), _layout(other, 1), (other,), ())
        copy = seen.pop()
        assert copy.flags.c_contiguous
        assert copy.flags.aligned
        assert copy.dtype == np.float64
        assert not np.shares_memory(copy, other)
        assert np.array_equal(copy.reshape(other.shape), other.astype(float))
    assert not seen


def test_the_guessed_centre_is_near_the_mean_and_costs_little() -> None:
    rng = np.random.default_rng(0)
    x = 1e6 + rng.normal(size=(5000, 3, 7, 7)).astype(np.float32)
    centre = _near_mean(x, _layout(x, 1))
    assert centre.shape == (3,)
    assert abs(centre - 1e6).max() < 1
    assert _near_mean(x[:0], _layout(x[:0], 1)).tolist() == [0, 0, 0]
    for shape in [(5000, 3, 49), (3, 245_000 // 3, 1), (1, 3, 245_000)]:
        centre = _near_mean_of(x.reshape(-1)[: math.prod(shape)].reshape(shape))
        assert centre.shape == shape[1:2]
        assert abs(centre - 1e6).max() < 5


def test_a_centre_is_far_if_the_mean_square_is_mostly_its_distance() -> None:
    d = np.array([1.0, 1.2, 0.8, 0.9])
    assert _far(np.array([d.mean()]), np.array([d @ d]), d.size)
    assert not _far(np.array([0.1]), np.array([d @ d]), d.size)
    assert not _far(np.array([np.nan]), np.array([np.nan]), d.size)


def test_without_numba_the_module_says_what_is_missing() -> None:
    program = "import sys; sys.modules['numba'] = None; import generated.numba_kernels.batch_norm"
    run = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, encoding="utf-8"
    )
    assert run.returncode == 1
    said = run.stderr.strip().splitlines()[-1]
    assert said.startswith("ImportError: this module needs numba: pip install numba")

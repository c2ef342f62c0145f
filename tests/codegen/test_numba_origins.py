"""Rows that are compiled: the exponential, the place of the largest, and what a loop looks like."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from codegen.backends.numba_origins import numba_origin_core
from codegen.emit import _kernels
from derive.layers.softmax import SOFTMAX

numba = pytest.importorskip("numba", reason="numba is not installed: NOT TESTED")

KERNELS = _kernels(SOFTMAX)
DATA = KERNELS.derivation.layer.data


@pytest.mark.parametrize(("name", "output"), [("forward", "y"), ("backward", "dx")])
def test_the_exponential_is_taken_once_for_each_element(name: str, output: str) -> None:
    text = numba_origin_core(getattr(KERNELS, name), DATA, (output,), "The closed forms")
    compiled, _, _ = text.partition(f"def _{name}_in_pieces")
    assert compiled.count("_exp(") == 1
    assert "np.exp(" not in compiled
    assert text.count(" / ") == 2  # 1/Z, for each row and not for each element


def exponentials(values: Any, of: Any) -> Any:
    from codegen.backends.numba_origins_support import _exp

    def run(values: Any, of: Any, made: Any) -> None:
        for k in range(len(values)):
            made[k] = _exp(values[k], of)

    made = np.empty_like(values)
    numba.njit(error_model="numpy")(run)(values, of, made)
    return made


def test_the_exponential_of_float64() -> None:
    """Within 2 u of NumPy's, which is within one of the truth; whole down to the last number."""
    double = np.empty(0)
    usual = np.concatenate([[0.0], -np.logspace(-300, 2.849, 20_000)])  # exp(-706) is normal
    due = np.exp(usual)
    assert (abs(exponentials(usual, double) - due) <= 2 * 2.0**-52 * due).all()
    small = np.linspace(-746, -706, 1000)
    least = np.maximum(5e-324, 4e-16 * due[-1])
    assert (abs(exponentials(small, double) - np.exp(small)) <= least).all()
    found = exponentials(np.array([-np.inf, np.nan, -1e300, 0.0]), double)
    np.testing.assert_array_equal(found, [0.0, np.nan, 0.0, 1.0])


@pytest.mark.parametrize("dtype", [np.float32, np.uint16, np.int16])
def test_the_exponential_of_narrower_data(dtype: type) -> None:
    """What interpolation at Chebyshev nodes leaves: |f - p| <= max |f^(n)| h^n / (n! 2^(n - 1))."""
    h, n = math.log(2) / 2, 7
    bound = math.exp(2 * h) * h**n / (math.factorial(n) * 2 ** (n - 1))  # relative to exp(-h)
    assert bound < 4e-9 < 2.0**-24 / 14.9
    narrow: Any = np.empty(0, dtype)
    usual = np.concatenate([[0.0], -np.logspace(-300, 2.85, 100_000)])  # to exp(-707.9)
    due = np.exp(usual)
    error = abs(exponentials(usual, narrow) - due) / due
    assert bound / 4 < error.max() <= bound + 4e-13  # k log 2 is rounded: 709 u
    small = exponentials(np.linspace(-720, -707, 1000), narrow)
    assert (small[:500] == 0).all()
    assert (np.diff(small) >= 0).all()
    found = exponentials(np.array([-np.inf, np.nan, -1e300]), narrow)
    np.testing.assert_array_equal(found, [0.0, np.nan, 0.0])


@pytest.mark.parametrize("m", [1, 63, 64, 200])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_largest_and_its_place(m: int, dtype: type) -> None:
    from codegen.backends.numba_origins_support import _largest_in, _place_of

    table: Any = np.random.default_rng(m).integers(-50, 50, (20, m)).astype(dtype)
    table[0], table[3], table[4] = -np.inf, -0.0, 5e-324
    table[5], table[6, m // 2] = -abs(table[5]) - 1, np.inf
    largest = [_largest_in(table, i) for i in range(20)]
    assert largest == table.max(axis=1).tolist()
    places = [_place_of(largest[i], table, i) for i in range(20)]
    assert places == table.argmax(axis=1).tolist()
    table[2] = np.nan
    assert _place_of(_largest_in(table, 2), table, 2) == m - 1

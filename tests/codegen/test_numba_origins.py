"""Rows that are compiled: the exponential, the place of the largest, and what a loop looks like."""

from __future__ import annotations

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


def exponentials(values: Any) -> Any:
    from codegen.backends.numba_origins_support import _exp

    def run(values: Any, made: Any) -> None:
        for k in range(len(values)):
            made[k] = _exp(values[k])

    made = np.empty_like(values)
    numba.njit(error_model="numpy")(run)(values, made)
    return made


def test_the_exponential() -> None:
    """Within 2 u of NumPy's, which is within one of the truth; whole down to the last number."""
    usual = np.concatenate([[0.0], -np.logspace(-300, 2.849, 20_000)])  # exp(-706) is normal
    due = np.exp(usual)
    assert (abs(exponentials(usual) - due) <= 2 * 2.0**-52 * due).all()
    small = np.linspace(-746, -706, 1000)
    assert (abs(exponentials(small) - np.exp(small)) <= np.maximum(5e-324, 4e-16 * due[-1])).all()
    found = exponentials(np.array([-np.inf, np.nan, -1e300, 0.0]))
    np.testing.assert_array_equal(found, [0.0, np.nan, 0.0, 1.0])


@pytest.mark.parametrize("m", [1, 63, 64, 200])
def test_the_place_of_the_largest(m: int) -> None:
    from codegen.backends.numba_origins_support import _LANES, _place_in

    table = np.random.default_rng(m).integers(-50, 50, (20, m)).astype(np.float32)
    table[0] = -np.inf
    lanes = np.empty(_LANES)
    found = [_place_in(table, i, lanes) for i in range(20)]
    assert found == table.argmax(axis=1).tolist()
    table[1, m // 2] = np.nan
    assert 0 <= _place_in(table, 1, lanes) < m
    table[2] = np.nan
    assert 0 <= _place_in(table, 2, lanes) < m

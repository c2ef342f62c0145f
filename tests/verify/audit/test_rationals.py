"""Exact numbers for kernels of others, and what is found with them."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from verify.audit.exactly import batches, compared
from verify.audit.probes import KERNELS
from verify.audit.rationals import Exact, probe_of, written


def exact(p: int, q: int = 1) -> Exact:
    return Exact(Fraction(p, q))


def test_arithmetic_is_exact() -> None:
    third = exact(1, 3)
    assert third + third + third == 1
    assert 1 - third == exact(2, 3)
    assert 2 / third == 6
    assert -third < 0 < abs(-third) <= third
    assert exact(4, 9) ** 0.5 == exact(2, 3)
    assert exact(4, 9) ** -1.5 == exact(27, 8)
    assert np.sqrt(np.array([exact(1, 4)]))[0] == exact(1, 2)
    column = np.array([exact(1), exact(2), exact(6)])
    assert column.mean() == 3
    assert column.var() == exact(14, 3)


def test_constants_are_read_and_computed_floats_are_not() -> None:
    assert exact(6) * (1.0 / 3) == 2
    assert exact(1) * np.float64(-0.5) == exact(-1, 2)
    with pytest.raises(TypeError, match="it computes in floats"):
        exact(1) * (1.0 - 1.0 / 3)
    with pytest.raises(TypeError, match="it computes in floats"):
        exact(1) * np.pi
    with pytest.raises(TypeError):
        exact(1) + "1"
    with pytest.raises(TypeError):
        exact(8) ** (1 / 3)


def test_results_have_to_be_exact() -> None:
    assert written(np.array([exact(1, 3), 2], object)) == ["1/3", "2"]
    with pytest.raises(TypeError, match="it makes a float of exact numbers"):
        written(np.array([0.5], object))


@pytest.mark.parametrize("layer", KERNELS)
def test_one_changed_number_is_noticed(layer: str) -> None:
    """The kernel here computes dbeta alone, or what stands for it."""
    results = []
    for numbers in batches(layer):
        probe = probe_of(layer, numbers)
        assert (probe.x.dtype, probe.x.ndim) == (np.dtype(object), 2)
        results.append({"dbeta": written(probe.dy.sum(axis=0))})
    if layer == "rms_norm":
        return
    assert compared(layer, results) == (sum(len(r["dbeta"]) for r in results), True)
    results[-1]["dbeta"][0] += "1"
    assert compared(layer, results)[1] is False

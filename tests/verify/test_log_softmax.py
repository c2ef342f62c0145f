"""Log-softmax: its kernel, by the same passes as softmax's, holds where exp by itself would not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from mpmath import mp

from codegen import emit
from codegen.backends import BACKENDS
from derive.layers import LAYERS
from verify.contract_target import imported

LIMIT = 8 * 2.0**-24  # as in the kernel contract, for float32
ROWS = {
    "well-conditioned": lambda rng: rng.normal(0, 3, (4, 33)),
    "mean 1e4": lambda rng: rng.normal(1e4, 1, (4, 33)),
    "mean -1e4": lambda rng: rng.normal(-1e4, 1, (4, 33)),
    "std 1e3": lambda rng: rng.normal(0, 1e3, (4, 33)),
    "one 40 above the others": lambda rng: rng.normal(0, 1, (4, 33)) + 40 * (np.arange(33) == 5),
    "more than a block": lambda rng: rng.normal(0, 1, (1, 70_000)),
}


@pytest.fixture(scope="module", params=sorted(BACKENDS))
def kernel(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Any]:
    if request.param == "numba":
        pytest.importorskip("numba", reason="numba is not installed: NOT TESTED")
    path = tmp_path_factory.mktemp(request.param) / "log_softmax.py"
    path.write_text(emit.render(LAYERS["log_softmax"], BACKENDS[request.param]), encoding="utf-8")
    with imported(str(path)) as module:
        yield module


def exact(x: np.ndarray, dy: np.ndarray, x_dot: np.ndarray) -> Iterator[list[Any]]:
    """y, dx and y_dot of one row, in 40 digits."""
    with mp.workdps(40):
        scores, cotangent, tangent = ([mp.mpf(v) for v in row.tolist()] for row in (x, dy, x_dot))
        largest = max(scores)
        log_total = largest + mp.log(mp.fsum(mp.exp(v - largest) for v in scores))
        y = [v - log_total for v in scores]
        p = [mp.exp(v) for v in y]
        total, pushed = mp.fsum(cotangent), mp.fdot(p, tangent)
        yield y
        yield [g - part * total for g, part in zip(cotangent, p, strict=True)]
        yield [v - pushed for v in tangent]


@pytest.mark.parametrize("rows", ROWS)
def test_hard_rows(kernel: Any, rows: str) -> None:
    rng = np.random.default_rng(0)
    x = ROWS[rows](rng).astype(np.float32)
    dy, x_dot = (rng.normal(size=x.shape).astype(np.float32) for _ in "ab")
    y, cache = kernel.forward(x)
    found = y, kernel.backward(dy, cache), kernel.jvp(x_dot, cache)
    for at in range(len(x)):
        for got, due in zip(found, exact(x[at], dy[at], x_dot[at]), strict=True):
            error = max(abs(g - d) for g, d in zip(got[at].tolist(), due, strict=True))
            scaled = float(error / max(map(abs, due)))
            assert scaled <= LIMIT


def test_what_is_masked_has_the_logarithm_of_zero(kernel: Any) -> None:
    x = np.array([[0.0, -np.inf, 0.0], [np.nan, 1.0, 2.0]])
    y, cache = kernel.forward(x)
    np.testing.assert_array_equal(y[0, 1], -np.inf)
    np.testing.assert_allclose(y[0, ::2], -np.log(2))
    assert np.isnan(y[1]).all()
    dx = kernel.backward(np.array([[1.0, 0.0, 0.0], [1.0, 1.0, 1.0]]), cache)
    np.testing.assert_allclose(dx[0], [0.5, 0, -0.5])


def test_the_jacobian_and_the_textbook_form_agree(kernel: Any) -> None:
    rng = np.random.default_rng(1)
    x, dy = rng.normal(size=(2, 3, 5))
    _, cache = kernel.forward(x)
    dx = kernel.backward(dy, cache)
    np.testing.assert_allclose(dx, kernel.backward_staged(dy, cache), atol=1e-14)
    for row in range(3):
        np.testing.assert_allclose(dx[row], dy[row] @ kernel.jacobian(cache, row), atol=1e-14)

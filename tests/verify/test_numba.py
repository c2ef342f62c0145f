"""Compiled kernels under the checks of any others: exact arithmetic, contract, accuracy."""

from __future__ import annotations

import tracemalloc
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest

from derive.layers import LAYERS
from derive.layers.batch_norm import BATCH_NORM
from verify import (
    accuracy,
    accuracy_rows,
    contract,
    exact_deployment,
    exact_second_order,
    kernel_exact,
)
from verify.accuracy_cases import CASES
from verify.exact import confirmed
from verify.references import REFERENCES
from verify.report import failures

numba = pytest.importorskip("numba", reason="numba is not installed: NOT TESTED")

KERNELS = Path(__file__).parents[2] / "generated" / "numba_kernels"
ROWS = ("layer_norm", "rms_norm", "instance_norm", "group_norm")
REFERENCE = REFERENCES["batch_norm"]
HARD = ("mean 1e6 std 1", "constant columns", "outlier 1e8", "blood panel NCHW", "scaled 1e30")


@pytest.fixture(scope="module")
def source() -> str:
    return (KERNELS / "batch_norm.py").read_text(encoding="utf-8")


# --- Exact ---------------------------------------------------------------------------------------


def test_the_text_that_is_compiled_is_exact(source: str) -> None:
    sizes = (2, 3, 4, 6, 9, 12)
    assert confirmed(kernel_exact.check(source, BATCH_NORM, REFERENCE, sizes=sizes))
    assert confirmed(exact_deployment.check(source, sizes=range(2, 5)))
    assert confirmed(exact_second_order.check(source, sizes=range(2, 5)))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("return dy, dy * x_shifted", "return dy, dy * x"),  # in the loops along rows and runs
        ("y = y_per_xshifted * x_shifted", "y = y_per_xshifted * x"),
        ("+ beta  # constant along", "  # constant along"),
        ("mean = _near_mean(x, layout)", "mean = 0 * _near_mean(x, layout); layout = None"),
        ("sum_dy[c] += sum_dy_run", "sum_dy[c] = sum_dy_run"),
        ("sum_dy_k += made[0]", "sum_dy_k += made[1]"),
        ("dx[r, i, k] = _store(made, dx)", "dx[0, i, k] = _store(made, dx)"),
        ("dx[i, c, s] = _store(made, dx)", "dx[i, c, 0] = _store(made, dx)"),
        ("[t[part] for t in totals]", "[t[part] * 1 for t in totals]"),
        ("row[i, c, s] = values[c]", "row[i, c, s] = values[0]"),
        ("total[c] += whole[i, c, s]", "total[c] = whole[i, c, s]"),
        ("_backward_sums_runs(dy[bulk:], x[bulk:]", "_backward_sums_runs(dy[1:], x[1:]"),
        ("dy[:bulk].reshape(shape),", "dy[bulk:].reshape(shape),"),
        ("kept[1, c] = dbeta[c]", "kept[1, c] = dgamma[c]"),
        ("    mean = _near_mean_of(x)", "    mean = 0 * _near_mean_of(x) + gamma; m = m + 1"),
    ],
)
def test_damage_is_noticed_in_exact_arithmetic(source: str, right: str, wrong: str) -> None:
    right = right if right in source else right.removeprefix("y = ")
    wrong = wrong.removeprefix("y = ")
    assert right in source
    damaged = source.replace(right, wrong)
    found = kernel_exact.check(damaged, BATCH_NORM, REFERENCE, sizes=(4, 6, 12))
    assert not confirmed(found)


@pytest.mark.parametrize("name", ROWS)
def test_kernels_of_rows_are_exact(name: str) -> None:
    text = (KERNELS / f"{name}.py").read_text(encoding="utf-8")
    assert confirmed(kernel_exact.check(text, LAYERS[name], REFERENCES[name], sizes=(2, 3, 4)))
    assert confirmed(exact_second_order.check(text, LAYERS[name], sizes=(2, 3)))


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("return dy * gamma, dy * gamma * x_hat", "return dy, dy * gamma * x_hat"),
        ("return dy * x_hat, dy", "return dy * x_hat, x_hat"),
        ("return gamma * x_hat + beta", "return gamma * x_hat"),
        ("sum_dy[own, p] += made[1]", "sum_dy[own, p] = made[1]"),  # layer_norm: side by side
        ("sum_dy[own, p] += sum_dy_p", "sum_dy[own, p] += 2 * sum_dy_p"),  # in runs
        ("var_of[i, g] = var", "var_of[i, g] = mean"),
        ("kept[block] = made", "kept[block] = 2 * made"),
        ("_cut(total, block)[...] += made", "_cut(total, block)[...] = made"),
        ("result[block] = made", "result[block] = -made"),
    ],
)
def test_damage_to_rows_is_noticed_in_exact_arithmetic(right: str, wrong: str) -> None:
    name = "layer_norm" if "made[1]" in right else "group_norm"
    text = (KERNELS / f"{name}.py").read_text(encoding="utf-8")
    assert right in text
    damaged = text.replace(right, wrong)
    assert not confirmed(kernel_exact.check(damaged, LAYERS[name], REFERENCES[name], sizes=(2, 4)))


def test_parts_of_parameters_together_are_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    """What has many parameters is computed part by part, where it lies and copied."""
    from generated.numba_kernels import group_norm

    rng = np.random.default_rng(0)
    for x in (rng.normal(size=(3, 8, 5)), rng.normal(size=(3, 5, 16)).transpose(0, 2, 1)[:, ::2]):
        gamma, dy = rng.normal(size=8), rng.normal(size=x.shape)
        found = []
        for limit in (2**16, 3):
            monkeypatch.setattr(group_norm, "_LEARNT", limit)
            y, cache = group_norm.forward(x, gamma, gamma, 4)
            y_dot = group_norm.jvp(dy, gamma, gamma, cache)
            found.append((y, y_dot, *group_norm.backward(dy, cache)))
        for one, other in zip(*found, strict=True):
            np.testing.assert_allclose(one, other, rtol=1e-12, atol=1e-12)


# --- Checked -------------------------------------------------------------------------------------


@pytest.mark.parametrize("in_one_call", [True, False])  # or reading by reading
@pytest.mark.parametrize("name", HARD)
def test_hard_batches(name: str, in_one_call: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    from generated.numba_kernels import batch_norm

    if not in_one_call:
        monkeypatch.setattr(batch_norm, "_in_one_call", lambda *_: [])
    cases = tuple(case for case in CASES if (case.name, case.dtype) == (name, "float32"))
    assert cases
    assert not failures(accuracy.run(batch_norm, cases=cases, quick=True))


def test_float16_that_cancels_is_not_computed_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    """With m = 2, dx is what eps makes of it, a small part of its terms."""
    from generated.numba_kernels import batch_norm

    rng = np.random.default_rng(0)
    dy = rng.normal(size=(2, 40)).astype(np.float16)
    x = np.array([[3], [4]], np.float16) * np.ones(40, np.float16)
    wide_x, wide_dy = x.astype(np.longdouble), dy.astype(np.longdouble)
    inv_std = 1 / np.sqrt(wide_x.var(0) + np.longdouble(1e-5))
    x_hat = (wide_x - wide_x.mean(0)) * inv_std
    dgamma = (wide_dy * x_hat).sum(0)
    exact = 4096 * inv_std * (wide_dy - wide_dy.mean(0) - x_hat * dgamma / 2)

    def worst() -> float:
        gamma = np.full(40, 4096.0)
        dx, *_ = batch_norm.backward(dy, batch_norm.forward(x, gamma)[1])
        return float((abs(dx - exact).max(0) / abs(exact).max(0)).max())

    assert worst() <= 2**-9
    monkeypatch.setattr(batch_norm, "_in_one_call", lambda *_: [])
    assert worst() <= 2**-9
    monkeypatch.setattr(batch_norm, "_is_left", lambda *_: True)
    assert worst() > 2**-9


def test_hard_batches_of_rows() -> None:
    name = "group_norm"  # which has what the others have; each compiles for some seconds
    module = import_module(f"generated.numba_kernels.{name}")
    cases = tuple(case for case in CASES if case.dtype == "float32" and case.name in HARD)
    assert not failures(accuracy_rows.run(module, LAYERS[name], cases=cases, quick=True))


def test_clauses_of_the_contract() -> None:
    from generated.numba_kernels import batch_norm

    names = {"one_element", "empty", "nan_stays_in_channel"}
    clauses = tuple(clause for clause in contract.CLAUSES if clause.__name__ in names)
    assert {clause.__name__ for clause in clauses} == names
    assert not failures(contract.run(batch_norm, clauses=clauses))


def data(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("shape", [(4000, 300), (3, 40, 70, 70), (1, 300, 3000), (200_000, 3)])
def test_threads_give_the_same_results(shape: tuple[int, ...]) -> None:
    from generated.numba_kernels import batch_norm

    x, dy = data(*shape), data(*shape)
    found = []
    before = numba.get_num_threads()
    try:
        for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(threads)
            y, cache = batch_norm.forward(x)
            found.append((y, *batch_norm.backward(dy, cache)))
    finally:
        numba.set_num_threads(before)
    for one, two in zip(*found, strict=True):
        assert abs(one - two).max() <= 2**-22 * abs(one).max()


def test_data_that_drift_from_their_first_rows() -> None:
    """The guess of the centre is of a few elements, which may be far from the mean of all."""
    from generated.numba_kernels import batch_norm

    x = np.full((4097, 2), 1e4, np.float32)
    x[::257] = -1e6
    y, cache = batch_norm.forward(x)
    wide = x.astype(float)
    assert np.allclose(cache.mean + cache.mean_rest, wide.mean(0), rtol=1e-14)
    assert np.allclose(cache.var, wide.var(0), rtol=1e-13)
    assert np.allclose(y, (wide - wide.mean(0)) / wide.std(0), rtol=1e-6)


@pytest.mark.parametrize("order", ["C", "F"])
def test_little_memory_beside_the_arrays(order: str) -> None:
    from generated.numba_kernels import batch_norm

    x = np.asarray(data(1_000_000, 4), order=order)  # type: ignore[call-overload]  # a literal
    y, dx = np.empty_like(x), np.empty_like(x)
    batch_norm.backward(x, batch_norm.forward(x, out=y)[1], out=dx)
    tracemalloc.start()
    try:
        batch_norm.backward(x, batch_norm.forward(x, out=y)[1], out=dx)
        assert tracemalloc.get_traced_memory()[1] < 8e6
    finally:
        tracemalloc.stop()

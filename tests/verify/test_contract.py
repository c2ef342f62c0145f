"""The kernel contract: the kernel keeps every clause, and each clause is seen to be broken."""

from __future__ import annotations

import builtins
from dataclasses import replace
from functools import cache
from types import SimpleNamespace
from typing import Any

import pytest

from generated.numpy_kernels import batch_norm
from tests.verify import bad_inference, bad_kernels, bad_second_order
from tests.verify.good_kernel import BAD, GOOD, Kernel
from verify import contract
from verify.contract_calls import CALL_CLAUSES, OPTIONAL, REQUIRED
from verify.report import Result, failures

CLAUSE_NAMES = [clause.__name__ for clause in contract.CLAUSES]


def test_the_kernel_keeps_every_clause() -> None:
    results = contract.run(batch_norm)
    assert not failures(results)
    assert len(results) == len(contract.CLAUSES) >= 50
    assert all(result.cases > 0 for result in results if not result.skipped)
    assert all(result.detail for result in results)


@pytest.mark.parametrize("seed", range(1, 6))
def test_the_verdict_does_not_hang_on_the_seed(seed: int) -> None:
    assert not failures(contract.run(batch_norm, seed=seed))


def test_names_are_unique_and_promises_are_stated() -> None:
    assert len(set(CLAUSE_NAMES)) == len(CLAUSE_NAMES)
    assert all(clause.__doc__ for clause in contract.CLAUSES)


def test_same_seed_same_results() -> None:
    assert contract.run(batch_norm, seed=3) == contract.run(batch_norm, seed=3)


def _run(clause: str, kernel: Kernel) -> Result:
    chosen = tuple(one for one in contract.CLAUSES if one.__name__ == clause)
    (result,) = contract.run(kernel, clauses=chosen)
    return result


@cache
def _good(clause: str) -> Result:
    return _run(clause, GOOD)


@pytest.mark.parametrize(
    ("clause", "kernel"),
    [
        pytest.param(clause, kernel, id=f"{clause}-{number}")
        for number, (clause, kernel) in enumerate(BAD)
    ],
)
def test_each_clause_sees_what_breaks_it(clause: str, kernel: Kernel) -> None:
    assert _good(clause).ok
    result = _run(clause, kernel)
    assert result.status == "FAIL", result.detail


def test_every_clause_has_a_kernel_that_breaks_it() -> None:
    assert {clause for clause, _ in BAD} == set(CLAUSE_NAMES)


def test_a_small_damage_fails_few_clauses() -> None:
    """Clauses do not blame a kernel for what another clause is about."""
    for bad, broken in (
        (bad_kernels.nan_leaks, {"nan stays in channel", "var plus eps not positive"}),
        (bad_kernels.overflow_warns, {"no warning"}),
        (
            bad_kernels.empty_refused,
            {"empty", "no warning", "double backward small", "double backward no warning"},
        ),
        (bad_kernels.axis_wraps, {"axis out of range"}),
        (bad_kernels.overlap_accepted, {"out overlaps", "out unfit", "cache outlives y"}),
    ):
        results = contract.run(replace(GOOD, forward=bad))
        assert {result.name for result in failures(results)} == broken


def test_a_small_damage_beside_training_fails_its_own_clause() -> None:
    damages: dict[str, Any] = {
        "infer": bad_inference.infer_takes_any_out,
        "running_update": bad_inference.one_row_always_refused,
        "population_statistics": bad_inference.population_sets_the_error_state,
        "fold_linear": bad_inference.fold_eps_parsed,
        "double_backward": bad_second_order.absent_means_one,
    }
    results = contract.run(replace(GOOD, **damages))
    assert {result.name for result in failures(results)} == {
        "infer out refused",
        "running update one row",
        "statistics no warning",
        "fold eps not real",
        "double backward absent",
    }


def test_an_unexpected_exception_is_a_failure_with_its_message() -> None:
    def forward(*_: Any, **__: Any) -> Any:
        raise RuntimeError("out of order")

    results = contract.run(replace(GOOD, forward=forward), clauses=CALL_CLAUSES)
    assert not any(result.ok for result in results)
    values = next(result for result in results if result.name == "values")
    assert values.detail.startswith("raised RuntimeError: out of order (after forward with x float")


def test_a_missing_function_is_a_failure() -> None:
    class Nothing:
        pass

    results = contract.run(Nothing())  # type: ignore[arg-type] # on purpose: not a kernel
    assert results[0].detail == "there is no function forward"
    assert not any(result.ok for result in results)


def test_optional_functions_that_are_missing_are_skipped_by_name() -> None:
    small = SimpleNamespace(forward=batch_norm.forward, backward=batch_norm.backward)
    results = contract.run(small)
    assert not failures(results)
    skipped = [result for result in results if result.skipped]
    assert [result.name for result in skipped] == list(OPTIONAL)
    assert {result.skipped for result in skipped} == {f"there is no function {n}" for n in OPTIONAL}
    kept = {result.name for result in results if result.ok}
    assert {"values", "no warning", "nan stays in channel"} <= kept
    assert not {"staged form", "infer out", "fold", "statistics shapes"} & kept


@pytest.mark.parametrize("missing", ["jvp", "infer", "fold"])
def test_one_missing_function_is_one_line(missing: str) -> None:
    functions = {name: getattr(GOOD, name) for name in (*REQUIRED, *OPTIONAL) if name != missing}
    results = contract.run(SimpleNamespace(**functions))
    assert not failures(results)
    assert [result.name for result in results if not result.ok] == [missing]


def test_bfloat16_is_skipped_without_ml_dtypes(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = builtins.__import__

    def without(name: str, *rest: Any, **options: Any) -> Any:
        if name == "ml_dtypes":
            raise ImportError(name)
        return usual(name, *rest, **options)

    monkeypatch.setattr(builtins, "__import__", without)
    result = _run("bfloat16", GOOD)
    assert (result.status, result.ok) == ("skipped", False)
    assert result.skipped == "ml_dtypes is not installed"

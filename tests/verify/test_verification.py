"""A verification as a whole: what is right passes in three groups, each damage fails where it must,
and what could not be checked is never a pass."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sympy import Expr

from commands.results import results_object
from derive.derivation import Derivation
from derive.expr import mul
from derive.layers.batch_norm import BATCH_NORM
from derive.trace import CertificationError, Fact, Step
from tests.derive.statements import derivation_of
from verify import accuracy, contract, verification
from verify.data import Matrix
from verify.exact import Counterexample, Outcome
from verify.loading import generated_source, load
from verify.report import Result, failures
from verify.verification import (
    Subject,
    contract_results,
    exact_formulas,
    exact_kernel,
    from_outcomes,
    on_data,
    proved,
    summarised,
    verify,
)

GENERATED = Path(__file__).parents[2] / "generated"
GROUPS = ["proved", "exact", "checked"]


@cache
def source() -> str:
    text = generated_source(GENERATED, "batch_norm")
    assert text is not None
    return text


@cache
def good() -> list[Result]:
    subject = Subject(derivation_of("batch_norm"), source())
    return verify(subject, quick=True, data=matrix(np.arange(24.0).reshape(8, 3) ** 2))


def matrix(values: Any) -> Matrix:
    columns = tuple(f"c{k}" for k in range(values.shape[1]))
    return Matrix("table", values, columns)


def statuses(results: list[Result]) -> dict[str, str]:
    return {result.name: result.status for result in results}


# --- What is right --------------------------------------------------------------------------------


def test_the_committed_kernel_passes_in_three_groups_in_order() -> None:
    groups = [result.group for result in good()]
    assert list(dict.fromkeys(groups)) == GROUPS
    assert groups == sorted(groups, key=GROUPS.index)
    assert {result.status for result in good()} == {"pass"}
    assert not failures(good())


def test_rows_are_data_that_json_can_hold() -> None:
    rows = json.loads(json.dumps(results_object(good()), allow_nan=False))
    assert len(rows) == len(good())
    fields = {"group", "name", "detail", "cases", "worst", "limit", "ok", "unit", "skipped"}
    assert all(set(row) == fields | {"status"} for row in rows)
    assert {row["status"] for row in rows} == {"pass"}
    assert all(row["worst"] <= row["limit"] for row in rows if row["limit"] is not None)


# --- What is wrong --------------------------------------------------------------------------------


def with_step(derivation: Derivation, label: str, change: Callable[[Step], Step]) -> Derivation:
    """The derivation with the last step of one adjoint changed."""
    result = derivation[label]
    damaged = replace(result, closing=(*result.closing[:-1], change(result.closing[-1])))
    adjoints = tuple(damaged if one is result else one for one in derivation.adjoints)
    return replace(derivation, adjoints=adjoints)


def twice(expr: Expr) -> Expr:
    return mul(2, expr)


def test_a_wrong_closed_form_fails_the_proof_and_the_exact_comparison() -> None:
    derivation = derivation_of("batch_norm")
    wrong = with_step(derivation, "dx", lambda step: replace(step, after=twice(step.after)))
    rows = proved(wrong, lowered=False)
    assert [result.name for result in failures(rows)] == ["dl/dx", "identities and facts"]
    assert " is not " in failures(rows)[0].detail
    exact = failures(exact_formulas(wrong, seed=0))
    assert [result.name for result in exact] == ["dl/dx"]
    assert " instead of " in exact[0].detail
    assert "m = " in exact[0].detail


def test_a_step_that_does_not_follow_fails_the_proof_alone() -> None:
    """The closed form is right, so that only the proof of the step can see it."""
    derivation = derivation_of("batch_norm")
    wrong = with_step(derivation, "dx", lambda step: replace(step, before=twice(step.before)))
    assert [r.name for r in failures(proved(wrong, lowered=False))] == ["dl/dx"]
    assert not failures(exact_formulas(wrong, seed=0))


def test_a_wrong_fact_fails_the_proof() -> None:
    derivation = derivation_of("batch_norm")
    (first, *others) = derivation.identities
    wrong = replace(derivation, identities=(Fact(first.lhs, mul(1), first.says), *others))
    names = [result.name for result in failures(proved(wrong, lowered=False))]
    assert names == ["identities and facts"]


def test_a_wrong_jacobian_fails_the_proof_and_the_exact_comparison() -> None:
    derivation = derivation_of("batch_norm")
    jacobian = derivation.jacobian
    assert jacobian is not None
    last = jacobian.entry.closing[-1]
    closing = (*jacobian.entry.closing[:-1], replace(last, after=twice(last.after)))
    entry = replace(jacobian.entry, closing=closing)
    wrong = replace(derivation, jacobian=replace(jacobian, entry=entry))
    assert "dy/dx" in [r.name for r in failures(proved(wrong, lowered=False))]
    assert [r.name for r in failures(exact_formulas(wrong, seed=0))] == ["dy/dx"]


def test_a_lowering_that_changes_the_value_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: Derivation) -> None:
        raise CertificationError("pass 'hoist' changed the value")

    monkeypatch.setattr(verification, "kernels_of", broken)
    wrong = failures(proved(derivation_of("batch_norm"), lowered=True))
    assert [(r.name, r.detail) for r in wrong] == [
        ("kernel programs", "pass 'hoist' changed the value")
    ]


DAMAGES = [
    ("dx_offset = u * (-sum_dy", "dx_offset = u * (sum_dy", "dx"),
    ("dbeta = sum_dy ", "dbeta = 2 * sum_dy ", "dbeta"),
]


@pytest.mark.parametrize(("old", "new", "array"), DAMAGES)
def test_a_damaged_kernel_fails_the_exact_comparison(old: str, new: str, array: str) -> None:
    assert old in source()
    subject = Subject(derivation_of("batch_norm"), source().replace(old, new, 1))
    names = [result.name for result in failures(exact_kernel(subject, seed=0))]
    assert f"kernel backward: {array}" in names
    assert not any("jvp" in name for name in names)


def test_a_kernel_that_accepts_what_it_must_refuse_fails_the_contract() -> None:
    damaged = source().replace("if array.shape != x.shape:", "if False:", 1)
    rows = contract_results(load(damaged, "batch_norm"), BATCH_NORM, seed=0)
    wrong = failures(rows)
    assert damaged != source()
    assert wrong
    assert all(result.name.startswith("contract: ") for result in wrong)
    kept = rows[0].detail.split()
    assert int(kept[0]) == int(kept[2]) - len(wrong)


def test_an_inaccurate_kernel_fails_the_accuracy_table() -> None:
    damaged = source().replace(
        "_WIDE: Any = np.dtype(np.float64)", "_WIDE: Any = np.dtype(np.float32)"
    )
    assert damaged != source()
    rows = summarised(accuracy.run(load(damaged, "batch_norm"), quick=True))
    assert "FAIL" in statuses(rows).values()
    assert all(r.worst is None or r.limit is None or r.worst > r.limit for r in failures(rows))


# --- What was not checked -------------------------------------------------------------------------


def test_without_a_kernel_nothing_about_kernels_passes() -> None:
    stages: list[str] = []
    subject = Subject(derivation_of("softmax"), None)
    rows = verify(subject, data=matrix(np.eye(3)), progress=stages.append)
    assert stages == [
        *("proofs", "exact equalities of the formulas", "exact arithmetic of the kernel"),
        "accuracy in floating point",
    ]
    about = [result for result in rows if "kernel" in result.name]
    assert [(r.group, r.status) for r in about] == [("exact", "skipped"), ("checked", "skipped")]
    assert all("softmax" in result.skipped for result in about)
    assert "checked" not in {result.group for result in rows if result.ok}
    assert not failures(rows)


def test_without_a_reference_nothing_is_exact() -> None:
    derivation = derivation_of("softmax")
    unknown = replace(derivation, layer=replace(derivation.layer, name="unknown"))
    rows = exact_formulas(unknown, seed=0)
    assert [(r.name, r.status) for r in rows] == [("formulas", "skipped")]
    (kernel,) = exact_kernel(Subject(unknown, source()), seed=0)
    assert kernel.skipped == "no reference for unknown yet"


def test_a_skipped_clause_of_the_contract_is_no_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [
        Result("contract", "held", "", 3, None, None, True),
        Result("contract", "absent", "no such dtype", 0, None, None, False, skipped="no dtype"),
    ]
    monkeypatch.setattr(contract, "run", lambda *_, **__: found)
    rows = contract_results(load(source(), "batch_norm"), BATCH_NORM, seed=0)
    assert [(r.name, r.status, r.cases) for r in rows] == [
        ("contract", "pass", 3),
        ("contract: absent", "skipped", 0),
    ]
    monkeypatch.setattr(contract, "run", lambda *_, **__: found[1:])
    rows = contract_results(load(source(), "batch_norm"), BATCH_NORM, seed=0)
    assert "pass" not in statuses(rows).values()


def test_a_claim_is_a_pass_only_if_a_field_had_cases_and_none_failed() -> None:
    wrong = Counterexample((("m", 2),), (("i", 0),), expected="4", got="3")
    table: list[tuple[list[Outcome], str]] = [
        ([Outcome("c", "rational", 4, 0), Outcome("c", "prime", 4, 0)], "pass"),
        ([Outcome("c", "rational", 0, 0, skipped="no root"), Outcome("c", "prime", 4, 0)], "pass"),
        ([Outcome("c", "rational", 0, 0, skipped="no root")], "skipped"),
        ([Outcome("c", "rational", 4, 1, wrong), Outcome("c", "prime", 4, 0)], "FAIL"),
    ]
    for outcomes, status in table:
        (row,) = from_outcomes(outcomes)
        assert row.status == status
        assert (status != "FAIL") or row.detail == "rational, m = 2, i = 0: 3 instead of 4"
    assert from_outcomes(table[2][0])[0].skipped == "no root"


def test_a_result_that_was_skipped_cannot_be_made_a_pass() -> None:
    with pytest.raises(ValueError, match="cannot have passed"):
        Result("exact", "a", "", 1, None, None, True, skipped="why")


# --- The worst of many ----------------------------------------------------------------------------


def test_the_worst_batch_stands_for_all_and_one_failure_fails_the_row() -> None:
    def found(batch: str, worst: float, limit: float, ok: bool = True) -> Result:
        return Result("accuracy", f"float32: {batch}", "dx", 5, worst, limit, ok, "u")

    (row,) = summarised([found("a", 2.0, 8.0), found("b", 3.0, 64.0)])
    assert (row.name, row.worst, row.limit, row.cases) == ("dx float32", 2.0, 8.0, 10)
    assert row.detail.startswith("worst of 2 batches: a")
    (row,) = summarised([found("a", 7.9, 8.0), found("b", 1.0, 8.0, ok=False)])
    assert (row.status, row.worst) == ("FAIL", 1.0)


# --- The user's data ------------------------------------------------------------------------------


def test_data_in_two_precisions() -> None:
    rows = [result for result in good() if result.name.startswith("table ")]
    assert [row.name for row in rows] == ["table float64", "table float32"]
    assert all(row.status == "pass" and row.cases for row in rows)
    assert all(row.detail.startswith("8 x 3; worst: ") for row in rows)


def test_data_that_overflow_float32_are_skipped_there() -> None:
    values = np.array([[1e39, 1.0], [2e39, 2.0], [4e39, 4.0]])
    wide, narrow = on_data(load(source(), "batch_norm"), matrix(values), seed=0)
    assert wide.status == "pass"
    assert (narrow.status, narrow.cases) == ("skipped", 0)
    assert narrow.skipped == "its values overflow float32"


def test_two_rows_are_skipped() -> None:
    for result in on_data(load(source(), "batch_norm"), matrix(np.eye(2)), seed=0):
        assert result.status == "skipped"
        assert "with m = 2" in result.skipped


def test_data_whose_squares_overflow_are_skipped() -> None:
    values = np.random.default_rng(0).normal(size=(8, 2)) * 1e200
    for result in on_data(load(source(), "batch_norm"), matrix(values), seed=0):
        assert result.status == "skipped"
        assert "overflow" in result.skipped


def test_a_damaged_kernel_fails_on_data() -> None:
    damaged = source().replace("dbeta = sum_dy ", "dbeta = 2 * sum_dy ", 1)
    rows = on_data(load(damaged, "batch_norm"), matrix(np.arange(12.0).reshape(6, 2)), seed=0)
    assert [row.status for row in rows] == ["FAIL", "FAIL"]
    assert all("dbeta" in row.detail for row in rows)


def test_source_of_a_layer_without_a_kernel() -> None:
    assert generated_source(GENERATED, "log_softmax") is None

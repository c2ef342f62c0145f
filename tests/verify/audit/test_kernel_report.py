"""From what was observed to the report: what is measured, what is not, and what has no verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from derive.errors import InputError
from tests.verify.audit.trying import observed
from verify.audit import kernel_report
from verify.audit.exactly import batches
from verify.audit.kernel_report import audit, judge
from verify.audit.probes import probes
from verify.audit.sandbox import Observed, Request

CORPUS = Path(__file__).parents[2] / "audit_corpus"
REQUEST = Request(
    f"{CORPUS / 'staged.py'}:bn_backward", "batch_norm", exact=(*batches("batch_norm"),)
)


@pytest.fixture(scope="module")
def right() -> Observed:
    return observed(REQUEST)


def but(found: Observed, name: str, **changes: object) -> Observed:
    """What was observed, with one attempt changed."""
    attempts = (
        replace(a, **changes) if a.name == name else a  # type: ignore[arg-type]  # as given
        for a in found.attempts
    )
    return replace(found, attempts=tuple(attempts))


def test_what_did_not_end_is_not_measured(right: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The verdict stands, and what is missing is said."""
    late = replace(right, ended="it did not end within 5 s, after accuracy")
    answers = iter([right, late])
    monkeypatch.setattr(kernel_report, "observe", lambda _: next(answers))
    report = audit(REQUEST, ("accuracy", "contract"))
    assert report.right
    assert report.warnings[-1] == (
        "not measured (accuracy, contract): it did not end within 5 s, after accuracy"
    )
    assert report.accuracy == ()


def test_a_wrong_kernel_is_not_measured(right: Observed, monkeypatch: pytest.MonkeyPatch) -> None:
    off = {name: array * 2 for name, array in right.attempts[0].results.items()}
    answers = iter([but(right, "plain", results=off)])
    monkeypatch.setattr(kernel_report, "observe", lambda _: next(answers))
    report = audit(REQUEST, ("accuracy", "contract"))
    assert not report.right
    assert report.accuracy == report.contract == ()


@pytest.mark.parametrize("name", [probe.name for probe in probes("batch_norm")])
def test_one_wrong_batch_is_enough(right: Observed, name: str) -> None:
    """Whichever it is; at those with positions, if the kernel gives any results there."""
    found = next(attempt for attempt in right.attempts if attempt.name == name)
    if found.raised:
        pytest.skip("the kernel takes matrices alone")
    dx = found.results["dx"].copy()
    dx.flat[-1] += 1e-6 * abs(dx).max()
    assert judge(right, REQUEST).right
    assert not judge(but(right, name, results={**found.results, "dx": dx}), REQUEST).right


def test_what_raises_on_a_matrix_has_no_verdict(right: Observed) -> None:
    for name in ("plain", "gamma = 1", "m = 256"):
        with pytest.raises(InputError, match=r"on x .*: ValueError: no"):
            judge(but(right, name, results={}, raised="ValueError: no"), REQUEST)


def test_nan_on_a_plain_batch_has_no_verdict_and_is_wrong_elsewhere(right: Observed) -> None:
    plain = right.attempts[0].results
    nan = {**plain, "dgamma": np.full(3, np.nan)}
    with pytest.raises(InputError, match=r"dgamma is not finite \(nan\) on a plain batch"):
        judge(but(right, "plain", results=nan), REQUEST)
    special = next(a.results for a in right.attempts if a.name == "gamma = 1")
    nan = {**special, "dgamma": np.full(3, np.nan)}
    report = judge(but(right, "gamma = 1", results=nan), REQUEST)
    assert [gradient.name for gradient in report.gradients if not gradient.right] == ["dgamma"]


def test_a_missing_attempt_is_no_pass(right: Observed) -> None:
    """Even if the last word was said."""
    missing = replace(right, attempts=right.attempts[:5])
    with pytest.raises(InputError, match="nothing is known"):
        judge(missing, REQUEST)


def test_a_gradient_that_the_layer_does_not_have() -> None:
    request = Request(f"{CORPUS / 'rows.py'}:layernorm_backward", "rms_norm")
    with pytest.raises(InputError, match="rms_norm has no dbeta"):
        judge(observed(request), request)

"""The corpus of other people's kernels: right verdicts, right diagnoses, none missing."""

from __future__ import annotations

import ast
import importlib.util
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

from tests.audit_corpus.expected import CORPUS, RIGHT, WRONG, Expected
from tests.verify.audit.trying import tried
from verify.audit.kernel_report import Report

FOLDER = Path(__file__).parents[2] / "audit_corpus"
HAS_TORCH = importlib.util.find_spec("torch") is not None
RUN = [expected for expected in CORPUS if HAS_TORCH or not expected.needs_torch]


@cache
def audited(expected: Expected) -> Report:
    return tried(f"{FOLDER / expected.file}.py:{expected.name}", expected.layer)


def verdict(is_right: bool) -> str:
    return "right" if is_right else "wrong"


@pytest.mark.parametrize("expected", CORPUS, ids=lambda expected: expected.name)
def test_verdict_and_diagnosis(expected: Expected) -> None:
    if expected not in RUN:
        pytest.skip("PyTorch is not installed")
    report = audited(expected)
    wrong = dict(expected.wrong)
    assert {g.name for g in report.gradients if not g.right} == set(wrong)
    assert not report.unexplained
    named = {
        name: [h.key for h in (diagnosis.hypothesis, *diagnosis.same)]
        for diagnosis in report.diagnoses
        for name in diagnosis.outputs
    }
    named |= {g.name: [("float32 sums", "")] for g in report.gradients if g.rounded}
    assert set(named) == set(wrong)
    for name, mistake in wrong.items():
        assert mistake in named[name], name


def test_confusion(capsys: pytest.CaptureFixture[str]) -> None:
    """No wrong kernel is called right, and no right one wrong."""
    seen = Counter((verdict(not e.wrong), verdict(audited(e).right)) for e in RUN)
    with capsys.disabled():
        print("\ndue / found    right  wrong")
        for due in ("right", "wrong"):
            print(f"{due:14} {seen[due, 'right']:5}  {seen[due, 'wrong']:5}")
    assert seen["right", "wrong"] == seen["wrong", "right"] == 0


def test_most_right_ones_are_exact() -> None:
    """And no wrong one is, but where x has positions, which exact numbers are not tried on."""
    exact = {expected.name for expected in RUN if audited(expected).exact}
    assert len(exact & {expected.name for expected in RIGHT}) >= 18
    wrong = {expected.name for expected in WRONG if expected.file != "images"}
    assert not exact & wrong


def test_every_kernel_of_the_corpus_is_expected() -> None:
    known = {(expected.file, expected.name) for expected in CORPUS}
    for path in FOLDER.glob("*.py"):
        if path.stem in ("__init__", "expected"):
            continue
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                assert node.name.endswith("forward") or (path.stem, node.name) in known


def test_it_is_large_enough_and_balanced() -> None:
    assert len(CORPUS) >= 30
    assert abs(len(RIGHT) - len(WRONG)) <= 4

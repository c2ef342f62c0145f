"""A study's verification: three groups, skipped where something is missing, failing where wrong."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from derive.chart import NotNormalError
from derive.studies import STUDIES
from derive.study import Prover
from verify.folding_price import QUOTIENTS, price_of_folding
from verify.loading import load
from verify.report import Result, failures
from verify.studies import proved, verify

SOURCE = (Path(__file__).parents[2] / "generated/numpy_kernels/batch_norm.py").read_text("utf-8")
KERNEL: Any = load(SOURCE, "batch_norm")


@pytest.mark.parametrize("name", ["training_and_test", "folding"])
def test_a_study_that_is_right(name: str) -> None:
    told: list[str] = []
    results = verify(STUDIES[name], SOURCE, progress=told.append)
    assert [result for result in results if result.status != "pass"] == []
    assert all(result.cases for result in results)
    groups = [*dict.fromkeys(result.group for result in results)]
    assert groups == ["proved", "exact", *["checked"][: name == "folding"]]
    assert told == [
        "proofs",
        "exact equalities",
        *["the price of folding in float32"][: name == "folding"],
    ]


def test_what_is_not_proved_fails() -> None:
    def refuse(*_: object) -> bool:
        raise NotNormalError("no normal form")

    study, sections = STUDIES["folding"], STUDIES["folding"].develop()

    def judged(proves: Prover) -> list[Result]:
        damaged = (replace(sections[0], proves=proves), *sections[1:])
        return proved(replace(study, develop=lambda: damaged))

    for (first, second), said in (
        (judged(lambda *_: False), " is not "),
        (judged(refuse), "no normal form"),
    ):
        assert (first.status, second.status) == ("FAIL", "pass")
        assert said in first.detail


def test_what_cannot_be_checked_is_skipped() -> None:
    *_, price = verify(STUDIES["folding"], None)
    assert (price.group, price.status) == ("checked", "skipped")
    unknown = replace(STUDIES["training_and_test"], name="nothing")
    *_, exact = verify(unknown, SOURCE)
    assert (exact.group, exact.status) == ("exact", "skipped")


# --- The price of folding ------------------------------------------------------------------------


def _by_quotient(results: list[Result]) -> dict[str, tuple[Result, Result]]:
    assert [r.name for r in results] == [
        f"{what}, mean/std {q}" for q in QUOTIENTS for what in ("infer", "scale x + shift")
    ]
    return {q: (results[2 * k], results[2 * k + 1]) for k, q in enumerate(QUOTIENTS)}


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_price_grows_with_the_mean(seed: int) -> None:
    table = _by_quotient(price_of_folding(KERNEL, seed=seed))
    for quotient, (infer, folded) in table.items():
        assert infer.ok
        assert folded.ok
        assert infer.worst is not None
        assert infer.worst < 1  # computed in float64, rounded once
        assert folded.worst is not None
        assert folded.limit is not None
        assert folded.limit == pytest.approx(3 * (1 + float(quotient)) + 3, rel=0.1)
        # The limit is not so generous that nothing could break it.
        assert folded.worst > folded.limit / 20


def _module(**functions: Any) -> ModuleType:
    """Batch Norm's module with some functions replaced."""
    named = {"infer": KERNEL.infer, "fold": KERNEL.fold, **functions}
    return cast(ModuleType, SimpleNamespace(**named))


def _fold(change: float = 0.0, digits: type = np.float32) -> Any:
    def fold(*arguments: Any, **options: Any) -> Any:
        scale, shift = KERNEL.fold(*arguments, **options)
        coarse = (scale * (1 + change)).astype(digits).astype(np.float32)
        return coarse, shift

    return fold


@pytest.mark.parametrize("fold", [_fold(1e-5), _fold(digits=np.float16)])
def test_a_factor_with_fewer_digits_is_seen(fold: Any) -> None:
    results = price_of_folding(_module(fold=fold))
    assert {result.name for result in failures(results)} == {
        f"scale x + shift, mean/std {quotient}" for quotient in QUOTIENTS
    }


def test_a_kernel_that_raises_or_returns_something_else_has_failed() -> None:
    def wide(*arguments: Any, **options: Any) -> Any:
        return KERNEL.infer(*arguments, **options).astype(np.float64)

    results = price_of_folding(_module(fold=lambda *_, **__: 1 / 0, infer=wide))
    assert len(failures(results)) == len(results)
    assert {result.detail for result in results} == {
        "raised ZeroDivisionError: division by zero",
        "raised TypeError: y is float64 (1000, 8)",
    }

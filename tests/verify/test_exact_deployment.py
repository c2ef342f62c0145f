"""The cores beside training: equal to what is written by hand, and seen to differ."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from verify.damages import DEPLOYMENT_CORES, mutants
from verify.exact import Outcome, confirmed
from verify.exact_deployment import Sample, check, compare, linear_layer, prepare
from verify.fields import FIELDS
from verify.loading import load

SOURCE = (Path(__file__).parents[2] / "generated/numpy_kernels/batch_norm.py").read_text("utf-8")
CLAIMS = [
    "infer: y",
    *("infer_backward: dx", "infer_backward: dgamma", "infer_backward: dbeta"),
    *("fold: scale x + shift", "fold_linear: linear layer", "fold_linear: convolution"),
    *("running_biased: mean", "running_biased: var"),
    *("running_unbiased: mean", "running_unbiased: var"),
    *("population: mean", "population: var"),
]


@cache
def _samples() -> tuple[Sample, ...]:
    return prepare(sizes=[4])


def _failures(source: str) -> list[Outcome]:
    outcomes = compare(load(source, "damaged"), _samples())
    return [outcome for outcome in outcomes if outcome.failures]


def _failed(old: str, new: str, within: str) -> dict[str, str]:
    """What the damage to one core makes of each claim that fails."""
    before, start, rest = SOURCE.partition(f"\ndef {within}(")
    assert old in rest
    found = _failures(before + start + rest.replace(old, new, 1))
    failed = [{o.claim for o in found if o.field == over.name} for over in FIELDS]
    assert failed[0] == failed[1]
    return {o.claim: o.counterexample.got for o in found if o.counterexample}


def test_the_committed_kernel_is_confirmed() -> None:
    outcomes = check(SOURCE)
    assert confirmed(outcomes)
    assert [o for o in outcomes if o.failures or o.skipped] == []
    assert [o.claim for o in outcomes] == [*CLAIMS, *CLAIMS]
    assert {o.field for o in outcomes} == {over.name for over in FIELDS}
    assert all(o.cases >= 11 * 2 for o in outcomes)  # sizes, channels
    assert sum(o.cases for o in outcomes) >= 4000


def test_points_depend_on_the_seed_alone() -> None:
    assert check(SOURCE, sizes=[2]) == check(SOURCE, sizes=[2])
    damaged = SOURCE.replace("y_offset = beta  # constant", "y_offset = 2 * beta  # c")
    examples = {check(damaged, sizes=[2], seed=seed)[0].counterexample for seed in (0, 0, 1)}
    assert len(examples) == 2


@pytest.mark.parametrize(
    ("core", "old", "new", "claims"),
    [
        ("_infer_part", "= beta  #", "= gamma  #", {"infer: y"}),
        ("_infer_part", "block.less(x_block, mean_row", "block.less(x_block, None", {"infer: y"}),
        ("_infer_part", "np.sqrt(variance + eps)", "(np.sqrt(variance) + eps)", {"infer: y"}),
        ("_infer_backward_part", "= gamma * inv_std  #", "= gamma  #", {"infer_backward: dx"}),
        ("_infer_backward_part", "= sum_dy_xhat", "= sum_dy", {"infer_backward: dgamma"}),
        (
            "_infer_backward_part",
            "block.plus(sum_dy, dy_block)",
            "block.plus(work.zeros(), dy_block)",
            {"infer_backward: dbeta"},
        ),
        ("_fold", "scale = gamma * inv_std", "scale = inv_std", {CLAIMS[4]}),
        ("_fold", " - gamma * inv_std * mean", "", {CLAIMS[4]}),
        ("_fold", "beta - gamma", "beta + gamma", {CLAIMS[4]}),
        ("_fold_linear", "bias * gamma * inv_std", "bias", {*CLAIMS[5:7]}),
        ("_fold_linear", "= gamma * inv_std * weight", "= gamma * weight", {*CLAIMS[5:7]}),
        ("_running_biased", "(1 - momentum) * mean", "mean", {"running_biased: mean"}),
        ("_running_biased", "momentum * var", "momentum * variance", {"running_biased: var"}),
        ("_running_unbiased", "(m - 1)", "m", {"running_unbiased: var"}),
        ("_population", "(m - 1)", "m", {"population: var"}),
        (
            "_population",
            "(mu, axis=0, dtype=_WIDE) / batches",
            "(mu, axis=0, dtype=_WIDE)",
            {"population: mean"},
        ),
    ],
)
def test_a_wrong_core_fails_its_own_claims_alone(
    core: str, old: str, new: str, claims: set[str]
) -> None:
    assert set(_failed(old, new, core)) == claims


def test_what_raises_has_failed() -> None:
    assert _failed("eps: Any", "speed: Any", "_fold") == {
        "fold: scale x + shift": "raised KeyError: 'speed'"
    }
    missing = _failures(SOURCE.replace("def _population(", "def _everybody("))
    assert {o.claim for o in missing} == {"population: mean", "population: var"}
    floats = _failed("(1 - momentum) * variance", "(1.0 - momentum) * variance", "_running_biased")
    assert set(floats) == {"running_biased: mean", "running_biased: var"}
    assert "TypeError" in floats["running_biased: var"]
    written = _failed("store(y,", "store(x,", "_infer_part")  # inputs are read-only
    assert written["infer: y"].startswith("raised ValueError")
    means = "np.mean(mu, axis=0)"
    assert "population: mean" in _failed(
        "np.add.reduce(mu, axis=0, dtype=_WIDE)", means, "_population"
    )
    number = _failed("return population_mean, population_var", "return 1, 0.5", "_population")
    assert number == {"population: mean": "shape ()", "population: var": "shape ()"}


def test_what_is_not_written_is_seen() -> None:
    assert _failed("block.place(dx)", "block.room()", "_infer_backward_part") == {
        "infer_backward: dx": "None"
    }


def test_nothing_compared_is_not_confirmed() -> None:
    assert not confirmed(check(SOURCE, sizes=[]))


def test_every_core_is_damaged_and_some_of_that_put_to_the_test() -> None:
    """That all of them are caught is for test_mutation."""
    chosen = [m for m in mutants(SOURCE) if any(f" in {c}" in m.name for c in DEPLOYMENT_CORES)]
    for core in DEPLOYMENT_CORES:
        assert sum(f" in {core}" in mutant.name for mutant in chosen) >= 30
    assert [mutant.name for mutant in chosen[::10] if not _failures(mutant.source)] == []


def test_the_linear_layer_that_is_folded_into() -> None:
    rng = np.random.default_rng(0)
    weight, bias, data = (rng.integers(-9, 9, shape) for shape in ((2, 3), (2,), (5, 3)))
    assert (linear_layer(weight, bias, data) == data @ weight.T + bias).all()
    weight, data = rng.integers(-9, 9, (2, 3, 2, 2)), rng.integers(-9, 9, (4, 3, 2, 3))
    windows = np.lib.stride_tricks.sliding_window_view(data, (2, 2), axis=(2, 3))
    expected = np.einsum("nkijpq,ckpq->nijc", windows, weight) + bias
    assert (linear_layer(weight, bias, data) == expected.reshape(-1, 2)).all()

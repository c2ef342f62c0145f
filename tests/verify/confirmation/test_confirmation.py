"""Whoever is installed is asked, a wrong answer is seen, and the page counts what there is."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from derive.layers import LAYERS
from derive.layers.batch_norm import BATCH_NORM
from verify.confirmation import __main__ as command
from verify.confirmation import automatic, ours
from verify.confirmation.page import WITNESSES, Witness, compare, page, planned
from verify.confirmation.problem import Problem, problem

PYTORCH, JAX, DIFFERENCES, KERNEL = WITNESSES
# The command asks about all; these are some of each kind.
SLOWLY = (
    "batch_norm",
    "layer_norm",
    "weight_standardisation",
    "softmax_cross_entropy",
    "block_tanh",
)


def asked(name: str, *witnesses: Witness) -> None:
    """Everybody agrees, about as many numbers as the page says."""
    for found in compare(name, witnesses, seed=0):
        assert found.agrees, found
        assert 2 * found.cases == planned(name, found.witness, found.order)


@pytest.mark.parametrize("name", SLOWLY)
def test_finite_differences_agree(name: str) -> None:
    asked(name, DIFFERENCES)


@pytest.mark.parametrize("name", ours.KERNELS)
def test_kernels_agree(name: str) -> None:
    asked(name, KERNEL)


@pytest.mark.parametrize("name", ["rms_norm", "block_sigmoid"])
def test_jax_agrees(name: str) -> None:
    pytest.importorskip("jax")
    asked(name, JAX)


@pytest.mark.parametrize("name", LAYERS)
def test_pytorch_agrees(name: str) -> None:
    pytest.importorskip("torch")
    asked(name, PYTORCH)


def test_every_layer_is_asked_about() -> None:
    assert set(automatic.FORWARDS) == set(LAYERS)
    assert set(automatic.OWN) < set(LAYERS)


def test_the_formulas_for_others_are_the_references() -> None:
    """They are written for arrays of any library, and NumPy's are such."""
    for name in LAYERS:
        given = problem(LAYERS[name], 0)
        output = ours._values(given)[LAYERS[name].output.label]
        found = automatic.FORWARDS[name](np, given.given)
        assert np.allclose(found, ours._array(output).astype(float), rtol=1e-12, atol=0), name


# --- What is wrong is seen ------------------------------------------------------------------------


def wrong(change: Any) -> Witness:
    """Our kernel, its answers changed."""

    def answers(of: Problem) -> Any:
        return tuple(change(dict(answer)) for answer in ours.kernel(of))

    return Witness("wrong", "", KERNEL.limit, answers)


def scaled(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "beta": answer["beta"] * (1 + 1e-9) + 1e-9}


def without_beta(answer: dict[str, Any]) -> dict[str, Any]:
    del answer["beta"]
    return answer


def transposed(answer: dict[str, Any]) -> dict[str, Any]:
    return {**answer, "x": answer["x"].T}


@pytest.mark.parametrize("change", [scaled, without_beta, transposed])
def test_a_wrong_answer_is_seen(change: Any) -> None:
    orders = [c.order for c in compare("batch_norm", [wrong(change)], 0) if not c.agrees]
    assert orders == [1, 2]


def test_a_closed_form_that_is_off_by_a_hair_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """By finite differences, and by no float64."""
    first = ours.first

    def off(derivation: Any, of: Problem) -> Any:
        found = first(derivation, of)
        return {**found, "x": found["x"] * (1 + ours.reals().number(10) ** -25)}

    monkeypatch.setattr(ours, "first", off)
    seen = [c for c in compare("softmax", [DIFFERENCES], 0) if not c.agrees]
    assert [c.order for c in seen] == [1]
    assert all(c.agrees for c in compare("batch_norm", [KERNEL], 0))


# --- The page -------------------------------------------------------------------------------------


def test_the_page_is_what_would_be_written() -> None:
    written = command.PAGE.read_text(encoding="utf-8")
    assert written == page(), "python -m verify.confirmation writes it, with PyTorch and JAX"
    assert planned(BATCH_NORM.name, PYTORCH, 2) == 60


def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    usual = importlib.util.find_spec

    def find_spec(name: str, *rest: Any) -> Any:
        return None if name in ("torch", "jax") else usual(name, *rest)

    monkeypatch.setattr(importlib.util, "find_spec", find_spec)
    monkeypatch.setattr(command, "LAYERS", {"softmax": LAYERS["softmax"]})


def test_the_drift_is_found_where_nobody_is_installed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    alone(monkeypatch)
    assert command.main(["--check"]) == 0
    shown = capsys.readouterr()
    assert shown.err == "not installed, so not asked: PyTorch, JAX\n"
    assert shown.out.splitlines()[-1] == f"{command.PAGE}: up to date"
    assert command.main(["--check", "--out", str(tmp_path / "none.md")]) == 1


def test_the_page_is_not_written_for_those_who_were_not_asked(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    alone(monkeypatch)
    path = tmp_path / "page.md"
    assert command.main(["--out", str(path)]) == 2
    assert not path.exists()


def test_a_disagreement_is_a_failure(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    alone(monkeypatch)
    strict = Witness("strict", "", 0.0, DIFFERENCES.answers)
    monkeypatch.setattr(command, "WITNESSES", (strict,))
    assert command.main(["--check"]) == 1
    assert "softmax: strict, 1st: DISAGREE" in capsys.readouterr().out

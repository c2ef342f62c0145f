"""``audit kernel``: what is printed, as text and as JSON, and the exit codes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.audit_corpus.expected import RIGHT as RIGHT_ONES
from tests.audit_corpus.expected import WRONG as WRONG_ONES
from tests.cli.calling import call, is_one_line_of_error
from tests.verify.audit.trying import observed

ROOT = Path(__file__).parents[2]
CORPUS = ROOT / "tests" / "audit_corpus"
WRONG = f"{CORPUS / 'one_line.py'}:batchnorm_backward_no_xhat"
RIGHT = f"{CORPUS / 'staged.py'}:bn_backward"


@pytest.fixture
def _here(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a process of its own, which takes a second to start."""
    monkeypatch.setattr("verify.audit.kernel_report.observe", observed)


def test_a_wrong_kernel() -> None:
    shown = call("audit", "kernel", WRONG)
    assert shown.status == 1
    assert "dx: factor missing. In ∂ℓ/∂xᵢ the factor x̂ᵢ is missing." in shown.lines
    derivation, kernel = (shown.out.partition(f"  the {w}:\n")[2] for w in ("derivation", "kernel"))
    assert derivation.splitlines()[1].endswith("∂ℓ    ⎞"[2:]) or "x̂ⱼ⎟" in derivation
    assert "x̂ⱼ⎟" not in kernel.split("\n\n")[0]
    assert shown.lines[-1] == "dx WRONG"
    assert all(len(line) <= 80 for line in shown.lines)
    assert "accuracy" not in shown.out  # of a wrong formula there is none


@pytest.mark.usefixtures("_here")
def test_a_right_kernel_with_all_that_is_measured() -> None:
    shown = call("audit", "kernel", RIGHT, "--speed")
    assert shown.status == 0
    assert shown.lines[-1] == "right: dx, dgamma, dbeta"
    text = " ".join(shown.out.split())
    assert "Both are right: Σᵢ (xᵢ − μ_B) = 0, by the definition of μ_B." in text
    assert "batches within the kernel contract" in text
    assert "warning: contract, " in text
    assert "speed: " in text
    assert all(len(line) <= 80 for line in shown.lines)


@pytest.mark.usefixtures("_here")
def test_ascii() -> None:
    shown = call("audit", "kernel", WRONG, "--quick", encoding="ascii")
    assert shown.status == 1
    assert "\\u" not in shown.out
    assert "dx: factor missing. In dl/dx_i the factor " in shown.out


@pytest.mark.usefixtures("_here")
def test_json() -> None:
    shown = call("audit", "kernel", WRONG, "--json")
    assert shown.status == 1
    found = json.loads(shown.out)
    assert (found["schema"], found["verdict"], found["layer"]) == (1, "wrong", "batch_norm")
    assert [gradient["right"] for gradient in found["gradients"]] == [False, True, True]
    (diagnosis,) = found["diagnoses"]
    assert (diagnosis["mistake"], diagnosis["line"]) == ("factor missing", "dx")
    assert diagnosis["derivation"] != diagnosis["kernel"]
    right = json.loads(call("audit", "kernel", RIGHT, "--json", "--quick").out)
    assert (right["verdict"], right["diagnoses"]) == ("right", [])
    assert "Both are right" in right["form"]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((f"{CORPUS / 'one_line.py'}:nothing",), "has no nothing; it has batchnorm_forward, "),
        ((RIGHT, "--args", "dy,q"), "--args knows dy, x, gamma, "),
        ((RIGHT, "--layer", "softmax"), "'softmax' is not one of"),
    ],
)
@pytest.mark.usefixtures("_here")
def test_one_line_of_error(arguments: tuple[str, ...], said: str) -> None:
    shown = call("audit", "kernel", *arguments)
    assert shown.status == 2
    assert said in shown.err
    errors = [line for line in shown.err.splitlines() if line.startswith("backnorm: error")]
    assert len(errors) == 1
    assert shown.out == ""


@pytest.mark.usefixtures("_here")
def test_a_hint_of_the_layer(tmp_path: Path) -> None:
    shown = call("audit", "kernel", f"{CORPUS / 'rows.py'}:layernorm_backward", "--quick")
    assert shown.status == 1
    assert "It is right for layer_norm: --layer layer_norm" in shown.out
    assert not is_one_line_of_error(shown)


def test_the_page_shows_what_is_printed(monkeypatch: pytest.MonkeyPatch) -> None:
    """And says how large the corpus is."""
    monkeypatch.setattr("verify.audit.kernel_report.observe", observed)
    monkeypatch.chdir(ROOT)
    page = (ROOT / "docs" / "audit_kernel.md").read_text(encoding="utf-8")
    (found,) = re.findall(r"<!-- output of: (.*?) -->\n```text\n(.*?)\n```", page, re.DOTALL)
    assert call(*found[0].split()).out.rstrip() == found[1]
    assert f"has {len(RIGHT_ONES)} right and {len(WRONG_ONES)} wrong backward passes" in page


def test_help_says_that_code_is_executed() -> None:
    shown = call("audit", "kernel", "--help")
    assert shown.status == 0
    assert "EXECUTED" in shown.out
    assert all(len(line) <= 80 for line in shown.lines)

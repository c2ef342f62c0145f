"""``audit formula``: verdicts, exit codes, files of formulas, and what is refused."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest

from tests.cli.calling import ROOT, call, is_one_line_of_error

BETA = r"\frac{\partial\ell}{\partial\beta} = \sum_{i=1}^m \frac{\partial\ell}{\partial y_i}"


@pytest.mark.parametrize(
    ("formula", "status", "verdict"),
    [
        (BETA, 0, "equal for every size: proved"),
        ("dbeta = np.sum(dy, axis=0)", 0, "equal for every size: proved"),
        (
            "dl/dmu = -sum[i](dl/dx_hat[i])/sqrt(var + eps)",
            0,
            "equal for every size: proved, through an identity",
        ),
        (r"\sum_i \hat{x}_i^2 = m", 1, "equal under a condition: eps = 0"),
        ("dl/dgamma = sum[i](dl/dy[i]*x[i])", 1, "not equal"),
    ],
)
def test_the_verdict_and_its_exit_code(formula: str, status: int, verdict: str) -> None:
    shown = call("audit", "formula", formula)
    assert (shown.status, shown.err) == (status, "")
    assert shown.lines[0].startswith("read as: ")
    assert shown.lines[1] == verdict
    assert all(len(line) <= 80 for line in shown.lines)


def test_the_whole_answer() -> None:
    shown = call("audit", "formula", "dx = gamma*inv_std/m*(m*dy - dbeta)", encoding="ascii")
    assert shown.lines == [
        "read as: dx = gamma*inv_std/m*(m*dy - dbeta)",
        "not equal",
        "It holds where there is one element, m = 1, and not for more.",
        "The right side is off by gamma x_hat_i/(m sqrt(sigma^2_B + eps)) sum_j dl/dy_j",
        "x_hat_j.",
        "At m = 2, x = (0, 1), gamma = 1, eps = 3/4, dy = (0, 1), i = 1 the right side",
        "gives -1/2, and right is -3/8.",
        "The derivation gives dl/dx_i = gamma/(m sqrt(sigma^2_B + eps)) (m dl/dy_i -",
        "sum_j dl/dy_j - x_hat_i sum_j dl/dy_j x_hat_j).",
    ]


def test_an_index_along_another_axis_is_told() -> None:
    shown = call("audit", "formula", r"y^{(k)} = \gamma^{(k)} \hat{x}^{(k)} + \beta^{(k)}")
    assert shown.lines[1] == "where k runs along c (C)"
    assert shown.status == 0


def test_what_cannot_be_read_is_refused_at_its_place() -> None:
    shown = call("audit", "formula", r"y_i = 1/2 x_i")
    assert (shown.status, shown.out) == (2, "")
    said, line, caret = shown.err.splitlines()
    assert said.startswith("backnorm: error: formula:1:11: does this divide as well?")
    assert line[caret.index("^") :] == "x_i"


def test_layers_notations_and_names() -> None:
    lamp = r"\frac{\partial e}{\partial b} = \sum_{t=1}^k \frac{\partial e}{\partial y_t}"
    assert call("audit", "formula", lamp, "--notation", "lamp").status == 0
    assert call("audit", "formula", "dbeta = dy.sum(axis=0)", "layer_norm").status == 0
    named = ("audit", "formula", "db = np.sum(dout, axis=0)/N*N")
    given = ("--name", "db=dl/dbeta", "--name", "dout=dl/dy", "--name", "N=m")
    assert call(*named, *given).status == 0
    for wrong in ("N", "=m", "N="):
        shown = call(*named, "--name", wrong)
        assert shown.status == 2
        assert is_one_line_of_error(shown)
    shown = call(*named, "--name", "N=gama")
    assert shown.status == 2
    assert "N cannot stand for gama, which is no quantity; did you mean gamma?" in shown.err
    assert call("audit", "formula", "y = x", "batchnorm").status == 2
    assert call("audit", "formula", "y = x", "higher_orders").status == 2


def test_a_file_has_one_on_each_line(tmp_path: Path) -> None:
    path = tmp_path / "paper.tex"
    rows = "\\begin{aligned}\n\\mu &= 1 \\\\\n&= 0\n\\end{aligned}\n"
    path.write_text(f"% the paper\n\n{BETA}\n{rows}", encoding="utf-8")
    shown = call("audit", "formula", str(path))
    assert shown.status == 1
    verdicts = [line for line in shown.lines if line.startswith(("equal", "not equal"))]
    assert verdicts == ["equal for every size: proved", "not equal", "not equal"]
    path.write_text(f"{BETA}\ny_i = 1/2 x_i\n", encoding="utf-8")
    shown = call("audit", "formula", str(path))
    assert shown.status == 2
    assert "refused: paper.tex:2:11: does this divide as well?" in shown.out
    assert call("audit", "formula", str(tmp_path / "none.tex")).status == 2
    assert call("audit", "formula", str(tmp_path)).status == 2


def test_verdicts_as_data(tmp_path: Path) -> None:
    path = tmp_path / "formulas.txt"
    path.write_text("dbeta = np.sum(dy, axis=0)\ndbeta = 0\ndbeta = x y\n", encoding="utf-8")
    shown = call("audit", "formula", str(path), "--json")
    data = json.loads(shown.out)
    assert shown.status == 2
    assert [each["verdict"] for each in data["formulas"]] == ["equal", "not equal", "refused"]
    assert data["formulas"][1]["counterexample"]["right"] == "0"
    assert data["formulas"][2]["caret"].strip() == "^"


GUIDE = (ROOT / "docs" / "audit_formula.md").read_text(encoding="utf-8")
SHOWN = re.findall(r"<!-- output of: (.*?) -->\n```text\n(.*?)```", GUIDE, re.DOTALL)
REFUSED = ["y_i = 1/2 x_i", "y_i = x_ij", r"y_i = {x_i + \mu}\gamma", r"y_i = \gamma(x_i)"]


@pytest.mark.parametrize(("command", "output"), SHOWN)
def test_the_guide_shows_what_is_printed(command: str, output: str) -> None:
    assert call(*shlex.split(command)).out == output


@pytest.mark.parametrize("formula", REFUSED)
def test_the_guide_says_what_is_refused(formula: str) -> None:
    assert call("audit", "formula", formula).status == 2


@pytest.mark.parametrize(
    "formula",
    [
        "",
        "=",
        "y_i = " + "x" * 10_000,
        "y = " + "(" * 500 + "x" + ")" * 500,
        "y = __import__('os').system('true')",
        "y = \N{CYRILLIC SMALL LETTER HA}",
        "y = x\x00",
    ],
)
def test_bad_input_gets_one_clear_line(formula: str) -> None:
    shown = call("audit", "formula", formula)
    assert (shown.status, shown.out) == (2, "")
    said = shown.err.splitlines()[0]
    assert said.startswith("backnorm: error: ")
    assert "internal error" not in said
    assert all(len(line) <= 80 for line in shown.err.splitlines()[1:])

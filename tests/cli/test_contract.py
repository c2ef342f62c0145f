"""``contract``: any module is held to the kernel contract; what cannot be tried gets one line."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.cli.calling import call, is_one_line_of_error
from verify.contract import CLAUSES
from verify.contract_calls import OPTIONAL
from verify.report import Result

OURS = "generated.numpy_kernels.batch_norm"
WRONG = f"""
from dataclasses import dataclass

from {OURS} import forward
from {OURS} import backward as right
from beside import doubled

print("hello")


@dataclass
class Looks:
    itself: int = 0


def backward(dy, cache, *, out=None):
    dx, dgamma, dbeta = right(dy, cache, out=out)
    return dx, doubled(dgamma), dbeta
"""


def test_our_own_kernel_keeps_the_contract() -> None:
    """By the name that the help mentions."""
    shown = call("verify", "contract", OURS, "--quick", "--json", "--seed", "3")
    assert shown.status == 0
    content = json.loads(shown.out)
    assert (content["schema"], content["target"], content["seed"]) == (1, OURS, 3)
    assert {result["status"] for result in content["results"]} == {"pass"}
    groups = [result["group"] for result in content["results"]]
    assert groups.count("contract") == len(CLAUSES)
    assert groups.count("accuracy") >= 30


def test_a_wrong_module_in_a_file(tmp_path: Path) -> None:
    (tmp_path / "wrong.py").write_text(WRONG)
    (tmp_path / "beside.py").write_text("def doubled(value):\n    return value * 2\n")
    before = list(sys.path), set(sys.modules)
    shown = call("contract", str(tmp_path / "wrong.py"), "--quick")
    assert shown.status == 1
    assert shown.lines[0].split() == ["clause", "cases", "worst", "limit", "result"]
    assert all(len(line) <= 80 for line in shown.lines[: shown.lines.index("")] if ":" not in line)
    named = {line.split("  ")[1]: line.split()[-1] for line in shown.lines if line[:2] == "  "}
    assert (named["values"], named["out unfit"], named["jvp"]) == ("FAIL", "pass", "skipped")
    assert named["float32: blood panel"] == "FAIL"
    reasons = [line for line in shown.lines if line.startswith("FAIL: contract values: ")]
    assert len(reasons) == 1
    assert "dgamma is off by" in reasons[0]
    for name in OPTIONAL:
        assert f"skipped: contract {name}: there is no function {name}" in shown.lines
    assert shown.lines[-1].endswith(f" FAILED, {len(OPTIONAL)} skipped")
    # What the module prints is no result, and Python looks for modules where it did before.
    assert "hello" not in shown.out
    assert "hello" in shown.err
    assert sys.path == before[0]
    assert set(sys.modules) - before[1] <= {"beside"}


def test_a_module_of_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kernels").mkdir()
    (tmp_path / "kernels" / "bn.py").write_text(f"from {OURS} import *\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("verify.contract.run", lambda *_, **__: [])
    monkeypatch.setattr("verify.accuracy.run", lambda *_, **__: [])
    assert call("contract", "kernels.bn").status == 0
    assert call("contract", "kernels/bn.py").status == 0
    shown = call("contract", "kernels.batch_norm")
    assert "there is no module kernels.batch_norm" in shown.err
    monkeypatch.delitem(sys.modules, "kernels")
    monkeypatch.delitem(sys.modules, "kernels.bn")


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("def forward(): ...", "has no function backward; forward and backward are needed"),
        ("backward = forward = 3", "has no function forward"),
        ("1 / 0", "cannot be imported: ZeroDivisionError: division by zero"),
        ("import no_such_library", "cannot be imported: ModuleNotFoundError: No module named"),
        ("def (", "cannot be imported: SyntaxError"),
        ("raise SystemExit", "cannot be imported: SystemExit"),
        ("raise ValueError('two\\nlines')", "cannot be imported: ValueError: two lines"),
        ("text = '\xff'", "cannot be imported: SyntaxError"),
        ("\0", "cannot be imported: SyntaxError"),
    ],
)
def test_a_file_that_cannot_be_tried(tmp_path: Path, content: str, said: str) -> None:
    path = tmp_path / "kernel.py"
    path.write_bytes(content.encode("latin-1"))
    shown = call("contract", str(path))
    assert shown.status == 2
    assert is_one_line_of_error(shown)
    assert f"{path} {said}" in shown.err


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("no_such.py", "no_such.py does not exist; the path of a .py file or the name of a module"),
        ("no_such_module", "there is no module no_such_module"),
        ("json.no_such", "there is no module json.no_such"),
        ("json", "json has no function forward"),
        ("a b", "'a b' is no name of a module"),
        (".", "is a directory"),
        (__file__.removesuffix(".py") + ".txt", "does not exist"),
        (str(Path(__file__).parents[2] / "LICENSE"), "is no .py file"),
    ],
)
def test_a_target_that_is_none(target: str, said: str) -> None:
    shown = call("contract", target)
    assert shown.status == 2
    assert is_one_line_of_error(shown)
    assert said in shown.err


def test_an_unreadable_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "kernel.py"
    path.write_text("")

    def refused(*_: object) -> bytes:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("importlib.machinery.SourceFileLoader.get_data", refused)
    shown = call("contract", str(path))
    assert shown.status == 2
    assert f"{path} cannot be read: Permission denied" in shown.err


def test_the_table_fits(monkeypatch: pytest.MonkeyPatch) -> None:
    long = Result("accuracy", "float32: negative mean -1e5 std 0.1", "y", 9_999, 1e300, 2e14, False)
    monkeypatch.setattr("verify.contract.run", lambda *_, **__: [])
    monkeypatch.setattr("verify.accuracy.run", lambda *_, **__: [long])
    shown = call("contract", OURS)
    assert shown.status == 1
    assert "1.0e+300" in shown.lines[2]
    assert all(len(line) <= 80 for line in shown.lines)


def test_help_says_that_code_is_executed() -> None:
    shown = call("contract", "--help")
    assert shown.status == 0
    assert "Its code is EXECUTED" in shown.out

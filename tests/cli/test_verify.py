"""``verify`` and ``run``: the table, the exit status, JSON, and the mutation score."""

from __future__ import annotations

import json
import shutil
from functools import partial
from pathlib import Path

import pytest

from commands import results as printed
from tests.cli.calling import ROOT, call, process
from verify import mutation, mutation_proofs
from verify.damages import Mutant, mutants
from verify.mutation import EQUIVALENT
from verify.mutation_proofs import Fate, Tally
from verify.report import Result

KERNEL = "numpy_kernels/batch_norm.py"
SOURCE = (ROOT / "generated" / KERNEL).read_text(encoding="utf-8")
GUARANTEES = ["proved", "exact", "checked"]
HARMLESS = Mutant("nothing changed", 1, SOURCE)


def result(name: str, *, ok: bool = True, worst: float | None = None, skipped: str = "") -> Result:
    return Result("checked", name, "μ is wrong", 12_345, worst, 8.0, ok, "u", skipped)


def test_a_kernel_that_is_wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "factor dropped in _backward_part: "
    damaged = next(mutant for mutant in mutants(SOURCE) if mutant.name.startswith(name))
    (tmp_path / KERNEL).parent.mkdir()
    (tmp_path / KERNEL).write_text(damaged.source, encoding="utf-8")
    monkeypatch.setattr("commands.verify.generated_folder", lambda: tmp_path)
    for slow in ("accuracy", "contract"):  # the exact comparison is enough
        monkeypatch.setattr(f"verify.{slow}.run", lambda *_, **__: [])
    shown = call("verify")
    assert shown.status == 1
    assert "FAILED" in shown.lines[-1]
    assert any(line.startswith("FAIL: exact kernel backward: ") for line in shown.lines)


@pytest.mark.parametrize("columns", [40, 60, 80])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
def test_a_table_fits(columns: int, encoding: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [result("dl/dx", worst=0.5), result("kernel backward_staged: dgamma", worst=7.25)]
    monkeypatch.setattr("verify.verification.verify", lambda *_, **__: found)
    shown = call("verify", encoding=encoding, COLUMNS=str(columns))
    assert shown.status == 0
    assert shown.lines[1] == "checked"
    assert shown.lines[2].startswith("  dl/dx" if encoding == "ascii" else "  ∂ℓ/∂x")
    assert ("limit" in shown.lines[0]) == (columns == 80)
    for line in shown.lines:
        assert line == line.rstrip()
        assert len(line) <= columns


def test_what_did_not_pass_is_explained(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [result("a", ok=False), result("b", ok=False, skipped="no such library"), result("c")]
    monkeypatch.setattr("verify.verification.verify", lambda *_, **__: found)
    shown = call("verify", encoding="ascii")
    assert shown.status == 1
    assert r"FAIL: checked a: \u03bc is wrong" in shown.lines
    assert shown.lines[-1].endswith("1 FAILED, 1 skipped")
    assert shown.err == ""


def test_the_whole_job_fails_where_a_check_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a layer without a kernel, as one would be written."""
    monkeypatch.setattr("verify.verification.verify", lambda *_, **__: [result("a", ok=False)])
    shown = call("run", "softmax")
    assert shown.status == 1
    assert shown.lines[0] == "Softmax"
    assert shown.lines[-1].endswith("1 FAILED")


def test_nothing_is_read_as_markup(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [result("x[0] [b]a[/b] :smile:")]
    monkeypatch.setattr("verify.verification.verify", lambda *_, **__: found)
    assert any(line.startswith("  x[0] [b]a[/b] :smile: ") for line in call("verify").lines)


def test_a_skipped_check_alone_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [result("b", ok=False, skipped="no such library")]
    monkeypatch.setattr("verify.verification.verify", lambda *_, **__: found)
    assert call("verify").status == 0


def test_json_holds_what_is_not_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [result("a", ok=False, worst=float("inf")), result("b", worst=0.5)]
    monkeypatch.setattr("verify.verification.verify", lambda *_, **__: found)
    shown = call("verify", "--json", "--seed", "3")
    data = json.loads(shown.out)
    assert shown.status == 1
    assert (data["schema"], data["layer"], data["seed"]) == (1, "batch_norm", 3)
    assert [row["worst"] for row in data["results"]] == ["inf", 0.5]
    assert [row["status"] for row in data["results"]] == ["FAIL", "pass"]


# --- Mutants -------------------------------------------------------------------------------------


def few(monkeypatch: pytest.MonkeyPatch, *more: Mutant) -> None:
    """Two damages that are noticed, one that breaks no promise, and more; the quickest check."""
    names = (
        "factor dropped in _backward_part: ",
        "sign flipped in _statistics: ",
        next(iter(EQUIVALENT)),
    )
    every = tuple(mutants(SOURCE))
    chosen = [next(m for m in every if m.name.startswith(name)) for name in names]
    quick = partial(mutation.score, only=[*chosen, *more], checks=("exact",))
    monkeypatch.setattr(mutation, "score", quick)
    formulas = Tally(
        "formulas", ("exact",), (Fate("dx := 2 dx", "exact", detail="2 instead of 1"),)
    )
    certificates = Tally("certificates", ("replay",), (Fate("facts: 1 more", "replay"),))
    monkeypatch.setattr(mutation_proofs, "formulas", lambda *_, **__: formulas)
    monkeypatch.setattr(mutation_proofs, "certificates", lambda *_, **__: certificates)


def test_the_mutation_score(monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch)
    shown = call("verify", "--mutants")
    name, why = next(iter(EQUIVALENT.items()))
    assert shown.status == 0
    assert shown.lines[0].split() == ["check", "damages", "caught"]
    assert [line.split() for line in shown.lines[1:3]] == [["kernels", "3"], ["exact", "2"]]
    assert f"not caught: {name}: {why}" in shown.lines
    assert shown.lines[-3:] == [
        "kernels: 3 damages, 2 caught, 1 that change nothing promised, none survived",
        "formulas: 1 damages, 1 caught, 0 that change nothing promised, none survived",
        "certificates: 1 damages, 1 caught, 0 that change nothing promised, none survived",
    ]


def test_a_survivor_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch, HARMLESS)
    shown = call("verify", "--mutants")
    assert shown.status == 1
    assert any(line.startswith("SURVIVED: kernels: nothing changed: ") for line in shown.lines)
    assert "1 SURVIVED" in shown.out


def test_the_mutation_score_as_json(monkeypatch: pytest.MonkeyPatch) -> None:
    few(monkeypatch, HARMLESS)
    shown = call("verify", "--mutants", "--json")
    rows = json.loads(shown.out)["mutants"]
    assert shown.status == 1
    assert [row["caught_by"] for row in rows] == ["exact", "exact", "", "", "exact", "replay"]
    assert {row["kind"] for row in rows} == {"kernels", "formulas", "certificates"}
    assert all(row["detail"] for row in rows[:3])


def test_a_score_needs_a_kernel_that_passes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / KERNEL).parent.mkdir()
    (tmp_path / KERNEL).write_text("y = 1\n", encoding="utf-8")
    monkeypatch.setattr("commands.verify.generated_folder", lambda: tmp_path)
    shown = call("verify", "--mutants")
    assert shown.status in (1, 2)
    assert shown.out == ""


def test_survivors_are_told_from_what_breaks_no_promise() -> None:
    score = mutation.Score(tuple(mutation.Verdict(m, "", "") for m in (HARMLESS,)))
    assert [mutant.name for mutant in score.survivors] == ["nothing changed"]
    tally = mutation_proofs.kernels(score)
    assert [fate.name for fate in tally.survivors] == ["nothing changed"]
    assert printed.tallies_object([tally]) == [
        {"kind": "kernels", "name": "nothing changed", "caught_by": "", "detail": ""}
    ]


# --- The whole job -------------------------------------------------------------------------------


def test_the_whole_job_in_another_place(tmp_path: Path) -> None:
    """In a copy of the checkout, whose kernel is out of date, and on its own data."""
    for name in ("codegen", "commands", "data", "derive", "generated", "verify"):
        shutil.copytree(ROOT / name, tmp_path / name)
    shutil.copy(ROOT / "cli.py", tmp_path)
    kernel = tmp_path / "generated" / KERNEL
    kernel.write_text(SOURCE + "# a remark\n", encoding="utf-8")
    shown = process("run", root=tmp_path, variables={"PYTHONIOENCODING": "utf-8"})
    assert shown.status == 0, shown.err
    assert shown.lines[0] == "Batch Normalisation"
    assert f"generated/{KERNEL}: rewritten" in shown.lines
    assert any(line.startswith("  wine.csv float64") for line in shown.lines)
    assert shown.lines[-1].endswith(": all passed")
    assert [line for line in shown.lines if line in GUARANTEES] == GUARANTEES
    for line in shown.lines:
        assert line == line.rstrip()
        assert len(line) <= 80
    assert "\x1b" not in shown.out + shown.err
    assert shown.err.startswith("... deriving batch_norm\n... generating kernels\n... proofs\n")
    assert kernel.read_text(encoding="utf-8") == SOURCE

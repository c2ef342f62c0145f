"""``verify`` with the name of a study in the place of a layer's."""

from __future__ import annotations

import json

import click
import pytest

from commands.options import complete_layer_or_study, layer_names, study_names
from commands.verify import command
from derive.studies import STUDIES
from tests.cli.calling import call, is_one_line_of_error
from verify.report import Result


def test_folding_and_its_price() -> None:
    shown = call("verify", "folding")
    assert shown.status == 0
    assert [line for line in shown.lines if not line.startswith(" ")][:-2] == [
        shown.lines[0],
        *("proved", "exact", "checked"),
    ]
    assert any(line.startswith("  scale x + shift, mean/std 1e4 ") for line in shown.lines)
    assert shown.lines[-1].endswith(": all passed")
    assert all(len(line) <= 80 for line in shown.lines)
    assert shown.err.splitlines()[0] == "... proofs"


@pytest.mark.parametrize("name", STUDIES)
def test_a_study_as_json(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    found = [Result("exact", "a", "wrong", 1, None, None, False)]
    monkeypatch.setattr("verify.studies.verify", lambda *_, **__: found)
    shown = call("verify", name, "--json", "--seed", "2")
    data = json.loads(shown.out)
    assert shown.status == 1
    assert (data["schema"], data["study"], data["seed"]) == (1, name, 2)
    assert "layer" not in data
    assert data["results"][0]["status"] == "FAIL"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["foldin"], "did you mean folding?"),
        (["running"], "did you mean running_statistics?"),
        (["qqq"], "studies: training_and_test, running_statistics, folding, higher_orders)"),
        (["folding", "--quick"], "--quick and --mutants go with a layer, not with a study"),
        (["folding", "--mutants"], "--quick and --mutants go with a layer, not with a study"),
        (["folding", "--data", "wine"], "--data, --quick and --mutants go with a layer"),
    ],
)
def test_wrong_usage(arguments: list[str], said: str) -> None:
    shown = call("verify", *arguments)
    assert shown.status == 2
    assert is_one_line_of_error(shown), shown
    assert said in shown.err


def test_completion_offers_layers_and_studies() -> None:
    context = click.Context(command)
    (subject, *_) = command.params
    assert complete_layer_or_study(context, subject, "") == [*layer_names(), *study_names()]
    assert complete_layer_or_study(context, subject, "fold") == ["folding"]

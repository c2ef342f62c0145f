"""JSON for other tools: as docs/export.schema.json describes it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from derive.render.blocks import Equation
from derive.render.json_form import SCHEMA, json_object, json_text
from derive.studies import STUDIES
from tests.derive.render.documents import KINDS, equations, published, published_study

jsonschema = pytest.importorskip("jsonschema", reason="NOT TESTED: there is no jsonschema here")
FILE = Path(__file__).parents[3] / "docs" / "export.schema.json"
VALIDATOR = jsonschema.Draft202012Validator(json.loads(FILE.read_text(encoding="utf-8")))


def misshapen(data: Any) -> list[str]:
    return [error.message for error in VALIDATOR.iter_errors(data)]


def test_the_schema_is_one_and_has_this_number() -> None:
    jsonschema.Draft202012Validator.check_schema(VALIDATOR.schema)
    assert VALIDATOR.schema["properties"]["schema"]["const"] == SCHEMA


@pytest.mark.parametrize(("layer", "name"), KINDS)
def test_json(layer: str, name: str) -> None:
    document = published(layer, name)
    data = json.loads(json_text(document))
    assert misshapen(data) == []
    assert (data["schema"], data["layer"], data["notation"]) == (SCHEMA, layer, name)
    assert data["certified_steps"] == document.certified > 0
    assert len(data["blocks"]) == len(document.blocks)
    rules = [block["rule"] for block in data["blocks"] if "rule" in block]
    assert rules == [equation.rule for equation in equations(document.blocks) if equation.rule]
    labels = [block["label"] for block in data["blocks"] if "label" in block]
    assert len(set(labels)) == len(labels)


@pytest.mark.parametrize("name", STUDIES)
def test_json_of_a_study(name: str) -> None:
    data = json_object(published_study(name))
    assert misshapen(data) == []
    assert data["study"] == name


def test_json_that_is_not_as_documented_is_seen() -> None:
    data = json_object(published("softmax"))
    assert data["notation"] == "paper"
    assert not misshapen(data)
    first, *others = data["blocks"]
    for damaged in (
        {k: v for k, v in data.items() if k != "notation"},
        {k: v for k, v in data.items() if k != "layer"},
        {**data, "schema": "1"},
        {**data, "more": 1},
        {**data, "blocks": [{**first, "about": None}, *others]},
        {**data, "blocks": [{"heading": "x"}]},
        {**data, "blocks": [{**others[1], "rule": "collect", "guarantee": "checked"}]},
        {**data, "blocks": [{**others[1], "rule": "collect"}]},
        {**data, "blocks": [{**others[1], "ascii": "∂"}]},
    ):
        assert misshapen(damaged)


def test_labels_do_not_depend_on_the_notation() -> None:
    def labels(name: str) -> list[str]:
        blocks = json_object(published("rms_norm", name))["blocks"]
        return [block["label"] for block in blocks if "label" in block]

    assert labels("paper") == labels("plain") == labels("lamp")
    assert set(labels("paper")) <= set(labels("code"))  # which names roots, too
    assert "rms_norm:closed-forms:dx" in labels("paper")


def test_every_equation_is_given_whole() -> None:
    """Also the left side of a chain's later steps, which is invisible in print."""
    document = published("batch_norm")
    given = [block for block in json_object(document)["blocks"] if "ascii" in block]
    assert all(" = " in block["ascii"] for block in given)
    assert any(isinstance(b, Equation) and b.continued for b in document.blocks)

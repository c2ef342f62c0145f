"""Notebooks: as their format wants them, and run from the first cell to the last."""

from __future__ import annotations

import json
import os
from pathlib import Path
from unittest.mock import patch

import pytest

from codegen.notebook import notebook
from derive.render.seal import is_sealed, sealed
from tests.derive.render.documents import published, published_study

ROOT = Path(__file__).parents[2]
nbformat = pytest.importorskip("nbformat", reason="no nbformat here: notebooks are not checked")


def cells(layer: str, kind: str) -> list[str]:
    found = json.loads(notebook(published(layer)))["cells"]
    return ["".join(cell["source"]) for cell in found if cell["cell_type"] == kind]


@pytest.mark.parametrize("layer", ["batch_norm", "rms_norm", "softmax", "block"])
def test_the_format(layer: str) -> None:
    text = notebook(published(layer))
    nbformat.validate(nbformat.reads(text, as_version=4))
    assert is_sealed(sealed(text.encode()))
    assert not is_sealed(sealed(text.encode()) + b" ")


def test_a_cell_for_each_section() -> None:
    title, *sections = cells("batch_norm", "markdown")
    assert title.startswith("# Batch Normalisation\n\nIoffe")
    assert [text.partition("\n")[0] for text in sections[:3]] == [
        *("## Symbols", "## Definitions", "## Staged adjoints")
    ]
    assert not any("```" in text or "$`" in text for text in sections)


def test_cells_that_run() -> None:
    assert len(cells("layer_norm", "code")) == 4
    assert len(cells("log_softmax", "code")) == 1  # it has no kernel
    assert "code" not in {
        c["cell_type"] for c in json.loads(notebook(published_study("folding")))["cells"]
    }


def test_the_code_runs_by_itself() -> None:
    """Without Jupyter: each layer with a kernel, its cells one after the other."""
    for layer in ("batch_norm", "layer_norm", "rms_norm", "softmax"):
        exec("\n".join(cells(layer, "code")), {})


def test_it_runs_in_jupyter(tmp_path: Path) -> None:
    nbclient = pytest.importorskip("nbclient", reason="no nbclient here: no notebook is run")
    pytest.importorskip("ipykernel", reason="no ipykernel here: no notebook is run")
    read = nbformat.reads(notebook(published("rms_norm")), as_version=4)
    with patch.dict(os.environ, {"PYTHONPATH": str(ROOT), "IPYTHONDIR": str(tmp_path)}):
        nbclient.NotebookClient(read, timeout=120).execute()
    shown = [output for cell in read.cells for output in cell.get("outputs", [])]
    assert any("text/latex" in output.data for output in shown)
    slope, by_gradient = eval(shown[-1].data["text/plain"], {"np": __import__("numpy")})
    assert slope == pytest.approx(by_gradient)

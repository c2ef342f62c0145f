"""A publication as a notebook: the derivation in cells of text, and cells that run.

The cells that run derive the layer anew, and compute with its generated kernel where it has one:
forward, backward, and a comparison of the gradient with differences of the loss.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from codegen.emit import KERNEL_LAYERS
from derive.layer import Layer
from derive.layers import LAYERS
from derive.layers.block import BLOCK
from derive.render.markdown import JUPYTER, paragraphs
from derive.render.publication import Publication
from derive.render.seal import MARK

_DERIVE = """\
# The derivation as an object: it shows itself, and so does each of its steps.
from derive.derivation import derive
from derive.layers import LAYERS

derivation = derive(LAYERS["{name}"])
derivation["{gradient}"].steps[-1]"""

_FORWARD = """\
# The kernel that is generated from this derivation; it needs NumPy alone.
import numpy as np
from generated.numpy_kernels import {name}

rng = np.random.default_rng(0)
x, dy = rng.normal(size=(2, 32, 4))
{draws}y, cache = {name}.forward(x{given})
y.shape"""

_BACKWARD = """\
{gradients} = {name}.backward(dy, cache)
dx[:2]"""

_COMPARE = """\
# The slope of the loss in a random direction: by differences, and by the gradient.
v, h = rng.normal(size=x.shape), 1e-5


def loss(x):
    return (dy * {name}.forward(x{given})[0]).sum()


slope = (loss(x + h * v) - loss(x - h * v)) / (2 * h)
assert np.isclose(slope, (dx * v).sum())
slope, (dx * v).sum()"""


def notebook(published: Publication) -> str:
    """The notebook in version 4.5 of its format, without outputs."""
    cells = [*_text(published), *(("code", source) for source in _code(published))]
    data = {
        "cells": [_cell(kind, text, place) for place, (kind, text) in enumerate(cells, start=1)],
        "metadata": {
            "backnorm": {"made": MARK},
            "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
            "language_info": {"name": "python"},
        },
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    return json.dumps(data, indent=1) + "\n"


def _cell(kind: str, source: str, place: int) -> dict[str, Any]:
    outputs: dict[str, Any] = {"execution_count": None, "outputs": []} if kind == "code" else {}
    lines = source.splitlines(keepends=True)
    return {"cell_type": kind, "id": f"cell-{place}", "metadata": {}, **outputs, "source": lines}


def _text(published: Publication) -> Iterator[tuple[str, str]]:
    """One cell for the title and one for each section."""
    section: list[str] = []
    for paragraph in paragraphs(published, JUPYTER):
        if paragraph.startswith("## "):
            yield "markdown", "\n\n".join(section)
            section = []
        section.append(paragraph)
    yield "markdown", "\n\n".join(section)


def _code(published: Publication) -> Iterator[str]:
    layer = published.subject
    if not isinstance(layer, Layer) or LAYERS.get(layer.name) is not layer:
        return
    gradient = f"d{layer.data.label}"
    yield _DERIVE.format(name=layer.name, gradient=gradient)
    if layer.name not in KERNEL_LAYERS or layer == BLOCK:  # whose kernel has weights and layouts
        return
    given = [var.label for var in layer.learnt]
    names = {
        "name": layer.name,
        "given": "".join(f", {label}" for label in given),
        "draws": "".join(f"{label} = rng.normal(size=4)\n" for label in given),
        "gradients": ", ".join((gradient, *(f"d{label}" for label in given))),
    }
    yield from (cell.format(**names) for cell in (_FORWARD, _BACKWARD, _COMPARE))

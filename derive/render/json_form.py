"""A publication as plain data, for other tools; docs/export.schema.json describes them."""

from __future__ import annotations

import json
from typing import Any

from derive.render.blocks import Block, Heading, Symbols, Words
from derive.render.latex import to_latex
from derive.render.latex_rows import latex_words
from derive.render.publication import Publication
from derive.render.seal import MARK
from derive.render.text import to_line
from derive.render.tree import Node

SCHEMA = 1  # raised when a field changes its meaning


def json_text(published: Publication) -> str:
    """The object as text in ASCII, which any stream carries."""
    return json.dumps(json_object(published), indent=1) + "\n"


def json_object(published: Publication) -> dict[str, Any]:
    """What it is a document of, and its blocks.

    These are headings ({"heading", "about"}), sentences ({"words", "latex"}), a table ({"symbols"})
    and equations: {"label", "text", "ascii", "latex"} of the whole equation, "reason", and for a
    certified step its "rule" and "guarantee".
    """
    title = Heading(published.title, published.source)
    return {
        "schema": SCHEMA,
        "made": MARK,
        published.kind: published.name,
        "title": published.title,
        "source": published.source,
        "certified_steps": published.certified,
        "notation": published.notation.name,
        "blocks": [_block(block, label) for block, label in ((title, ""), *published.body)],
    }


def _block(block: Block, label: str) -> dict[str, Any]:
    if isinstance(block, Heading):
        return {"heading": block.title, "about": block.about}
    if isinstance(block, Words):
        return {"words": _plain_words(block), "latex": latex_words(block)}
    if isinstance(block, Symbols):
        rows = ({**_formula(tree), "means": _plain_words(means)} for tree, means in block.rows)
        return {"symbols": list(rows)}
    data: dict[str, Any] = {"label": label, **_formula(block.tree)}
    data["reason"] = _plain_words(block.reason) if block.reason else ""
    if block.rule:
        data |= {"rule": block.rule, "guarantee": "proved"}
    return data


def _formula(tree: Node) -> dict[str, Any]:
    return {"text": to_line(tree), "ascii": to_line(tree, ascii=True), "latex": to_latex(tree)}


def _plain_words(block: Words) -> str:
    return block.template.format(*(to_line(tree) for tree in block.formulas))

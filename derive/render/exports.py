"""A document as LaTeX, and as JSON for other tools."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from derive.render.document import Block, Heading, Words
from derive.render.latex import to_latex
from derive.render.latex_document import latex, latex_words
from derive.render.notation import Notation
from derive.render.notation_file import PAPER
from derive.render.text import to_line
from derive.render.tree import Node

__all__ = ["SCHEMA", "json_object", "latex"]

SCHEMA = 1  # of the JSON form; raised when a field changes its meaning


def json_object(
    about: Mapping[str, Any], blocks: tuple[Block, ...], notation: Notation = PAPER
) -> dict[str, Any]:
    """The document as plain data; ``notation`` is the one that the blocks are in.

    ``about`` says what it is a document of: its name, its title, its source.
    ``blocks`` lists headings ({"heading", "about"}), sentences ({"words"}) and equations: {"text",
    "ascii", "latex"} of the whole equation, "reason", and for a certified step its "rule" and
    "guarantee".
    """
    return {
        "schema": SCHEMA,
        **about,
        "notation": notation.name,
        "blocks": [_json_block(block) for block in blocks],
    }


def _json_block(block: Block) -> dict[str, Any]:
    if isinstance(block, Heading):
        return {"heading": block.title, "about": block.about}
    if isinstance(block, Words):
        return {"words": _plain_words(block), "latex": latex_words(block)}
    data: dict[str, Any] = _formula(block.tree)
    data["reason"] = _plain_words(block.reason) if block.reason else ""
    if block.rule:
        data |= {"rule": block.rule, "guarantee": "proved"}
    return data


def _formula(tree: Node) -> dict[str, Any]:
    return {"text": to_line(tree), "ascii": to_line(tree, ascii=True), "latex": to_latex(tree)}


def _plain_words(block: Words) -> str:
    return block.template.format(*(to_line(tree) for tree in block.formulas))

"""A document as LaTeX, and as JSON for other tools."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from derive.derivation import Derivation
from derive.render.document import Block, Equation, Heading, Words
from derive.render.latex import to_latex
from derive.render.text import to_line
from derive.render.tree import Node

SCHEMA = 1  # of the JSON form; raised when a field changes its meaning


def latex(blocks: tuple[Block, ...]) -> str:
    """A fragment for a document that loads amsmath: sections of aligned equations."""
    return "\n".join(_latex_lines(blocks)) + "\n"


def _latex_lines(blocks: tuple[Block, ...]) -> Iterator[str]:
    run: list[str] = []
    for block in blocks:
        if isinstance(block, Equation):
            run.append(_latex_row(block))
            continue
        yield from _aligned(run)
        run = []
        if isinstance(block, Heading):
            about = f" {block.about[0].upper()}{block.about[1:]}." if block.about else ""
            yield f"\\paragraph{{{_escaped(block.title)}}}{_escaped(about)}"
        else:
            yield f"\\noindent {_latex_words(block)}.\n"
    yield from _aligned(run)


def _escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "&%#_$" else letter for letter in text)


def _aligned(rows: list[str]) -> Iterator[str]:
    if rows:
        yield "\\begin{align*}"
        yield " \\\\\n".join(rows)
        yield "\\end{align*}"


def _latex_row(block: Equation) -> str:
    left = "" if block.continued else to_latex(block.tree.left) + " "
    reason = f" && \\text{{{_latex_words(block.reason)}}}" if block.reason else ""
    return f"  {left}&= {to_latex(block.tree.right)}{reason}"


def _latex_words(block: Words) -> str:
    return block.template.format(*(f"${to_latex(tree)}$" for tree in block.formulas))


def json_object(derivation: Derivation, blocks: tuple[Block, ...]) -> dict[str, Any]:
    """The document as plain data.

    ``blocks`` lists headings ({"heading", "about"}), sentences ({"words"}) and equations: {"text",
    "ascii", "latex"} of the whole equation, "reason", and for a certified step its "rule" and
    "guarantee".
    """
    return {
        "schema": SCHEMA,
        "layer": derivation.layer.name,
        "title": derivation.layer.title,
        "source": derivation.layer.source,
        "certified_steps": sum(1 for _ in derivation.steps()),
        "blocks": [_json_block(block) for block in blocks],
    }


def _json_block(block: Block) -> dict[str, Any]:
    if isinstance(block, Heading):
        return {"heading": block.title, "about": block.about}
    if isinstance(block, Words):
        return {"words": _plain_words(block), "latex": _latex_words(block)}
    data: dict[str, Any] = _formula(block.tree)
    data["reason"] = _plain_words(block.reason) if block.reason else ""
    if block.rule:
        data |= {"rule": block.rule, "guarantee": "proved"}
    return data


def _formula(tree: Node) -> dict[str, Any]:
    return {"text": to_line(tree), "ascii": to_line(tree, ascii=True), "latex": to_latex(tree)}


def _plain_words(block: Words) -> str:
    return block.template.format(*(to_line(tree) for tree in block.formulas))

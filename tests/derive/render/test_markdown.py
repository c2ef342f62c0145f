"""Markdown: fences that parse, formulas that balance, words that are read as they stand."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from derive.layers import LAYERS
from derive.render.blocks import Heading, Symbols, Words
from derive.render.markdown import JUPYTER, markdown
from tests.derive.render.documents import KINDS, equations, published, published_study
from tests.derive.render.latex_faults import faults
from tests.derive.render.test_latex_document import unsized


def fences(text: str) -> list[str]:
    """The contents of ```math fences; whatever else is fenced is a fault."""
    found: list[str] = []
    inside: list[str] | None = None
    for line in text.splitlines():
        if inside is None:
            assert not line.startswith("```") or line == "```math", line
            inside = [] if line == "```math" else None
        elif line == "```":
            found.append("\n".join(inside))
            inside = None
        else:
            inside.append(line)
    assert inside is None, "a fence is left open"
    return found


@pytest.mark.parametrize(("layer", "name"), KINDS)
def test_fences_parse(layer: str, name: str) -> None:
    document = published(layer, name)
    text = markdown(document)
    shown = fences(text)
    for fence in shown:
        assert fence.startswith("\\begin{aligned}\n")
        assert fence.endswith("\n\\end{aligned}")
        assert [fault for row in fence.splitlines()[1:-1] for fault in faults(unsized(row))] == []
        assert not re.search(r"\\label|\\notag|\\operatorname|\n\n", fence)
    whole = sum(len(re.findall(r"(?<!\d)= ", fence)) for fence in shown)
    assert whole >= len(equations(document.blocks))
    titles = [block.title for block in document.blocks if isinstance(block, Heading)]
    assert re.findall("^##? (.*)$", text, re.MULTILINE) == [
        title.replace("_", r"\_") for title in titles
    ]


def test_formulas_in_line() -> None:
    document = published("batch_norm")
    sentences = [b for b in document.blocks if isinstance(b, Words)]
    (table,) = (b for b in document.blocks if isinstance(b, Symbols))
    sentences += [meaning for _, meaning in table.rows]
    text = markdown(document)
    assert "R has the eigenvalue $`0`$ once" in text
    assert (
        text.count("$`")
        == text.count("`$")
        == (len(table.rows) + sum(len(s.formulas) for s in sentences))
    )
    other = markdown(document, JUPYTER)
    assert "`" not in other
    assert "R has the eigenvalue $0$ once" in other
    assert other.count("$$\n\\begin{aligned}") == text.count("```math")


def test_words_of_others_are_no_markup() -> None:
    document = published("softmax")
    layer = replace(LAYERS["softmax"], title="*A* <b>", source="$x$ [y](z)")
    text = markdown(replace(document, subject=layer))
    assert "\n# \\*A\\* \\<b\\>\n\n\\$x\\$ \\[y\\](z).\n" in text


def test_a_study() -> None:
    assert len(fences(markdown(published_study("folding")))) > 3


@pytest.mark.parametrize("text", ["```math\nx", "```python\n```", "```\n```"])
def test_a_bad_fence_is_seen(text: str) -> None:
    with pytest.raises(AssertionError):
        fences(text)

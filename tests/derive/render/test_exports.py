"""A document as LaTeX that TeX accepts, and as JSON that other tools can read."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from derive.derivation import Derivation
from derive.render import measure, notation, to_latex
from derive.render.document import Block, Equation, Heading
from derive.render.exports import SCHEMA, json_object, latex
from derive.render.latex_document import LINE
from derive.render.notation_file import NAMES
from derive.render.tree import Node
from derive.studies import STUDIES
from tests.derive.render.documents import FIRST, KINDS, document_of, equations, study_of
from tests.derive.render.latex_faults import faults
from tests.derive.statements import derivation_of

needs_pdflatex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="there is no pdflatex here"
)


def every_document() -> Iterator[tuple[Block, ...]]:
    for study, name in product(STUDIES, NAMES):
        yield study_of(study, name)
    for layer, name in KINDS:
        yield document_of(layer, name)
        if layer in FIRST:
            yield document_of(layer, name, form="summary")
            yield document_of(layer, name, form="jacobian", steps=False)


# --- LaTeX ----------------------------------------------------------------------------------------


def unbalanced(text: str) -> list[str]:
    """Faults within formulas, and environments that don't match."""
    found = [fault for row in text.splitlines() for fault in faults(unsized(row))]
    stack: list[str] = []
    for kind, name in re.findall(r"\\(begin|end)\{([a-z*]+)\}", text):
        if kind == "begin":
            stack.append(name)
        elif not stack or stack.pop() != name:
            found.append(f"\\end{{{name}}} ends nothing")
    return found + stack


def unsized(row: str) -> str:
    r"""Without \Bigl( and \Bigr), which need not match within a row."""
    return row.replace(r"\Bigl(", "").replace(r"\Bigr)", "")


@pytest.mark.parametrize(("layer", "name"), KINDS)
def test_fragments_balance(layer: str, name: str) -> None:
    text = latex(document_of(layer, name))
    assert text.isascii()
    assert not unbalanced(text)
    assert text.count(r"\Bigl(") == text.count(r"\Bigr)")
    assert "\n\n\n" not in text


@pytest.mark.parametrize(
    "text", [r"\begin{align*}", r"\end{align*}", r"\begin{a}\end{b}", "{x", r"\left(x"]
)
def test_what_is_unbalanced_is_seen(text: str) -> None:
    assert unbalanced(text)


def test_a_fragment_holds_every_formula_and_reason() -> None:
    blocks = document_of("batch_norm")
    text = latex(blocks, width=10_000)  # nothing is broken
    for block in equations(blocks):
        assert to_latex(block.tree.right) in text
        assert not block.reason or block.reason.template.split("{}")[0] in text
    assert [b.title for b in blocks if isinstance(b, Heading)] == re.findall(
        r"\\paragraph\{(.*?)\}", text
    )


def test_reasons_stand_in_a_column_where_they_fit() -> None:
    definitions = latex(document_of("batch_norm", form="summary")).split(r"\end{align*}")[0]
    assert definitions.count("&&") == 4
    narrow = latex(document_of("batch_norm", form="summary"), width=200)
    assert r"\\" + "\n  &\\quad \\text{mini-batch variance}" in narrow


def test_nothing_is_lost_where_lines_are_broken() -> None:
    """A broken equation is the whole one but for breaks, indents and the size of parentheses."""

    def plain(text: str) -> str:
        for old, new in ((r"\Bigl(", "("), (r"\Bigr)", ")"), (r"\left(", "("), (r"\right)", ")")):
            text = text.replace(old, new)
        return re.sub(r"\\\\|&|\\q?quad|\s", "", text)

    for name in ("paper", "code"):
        blocks = document_of("layer_norm", name)
        whole, broken = latex(blocks, width=10_000), latex(blocks, width=250)
        assert broken.count(r"\quad") > whole.count(r"\quad") + 20
        assert formulas_of(plain(broken)) == formulas_of(plain(whole))


def formulas_of(text: str) -> str:
    """Without the environments, which differ where wide equations stand alone."""
    return text.replace(r"\begin{align*}", "").replace(r"\end{align*}", "")


# --- TeX ------------------------------------------------------------------------------------------


def compiled(body: str, folder: Path) -> str:
    """What pdflatex says about a document of the article class."""
    (folder / "document.tex").write_text(
        "\\documentclass{article}\n\\usepackage{amsmath}\n\\begin{document}\n"
        + body
        + "\\end{document}\n",
        encoding="ascii",
    )
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "document.tex"]
    done = subprocess.run(command, cwd=folder, capture_output=True, check=False, timeout=120)
    return done.stdout.decode("latin-1")


def complaints(log: str) -> list[str]:
    """Errors, missing characters, lines that are too wide."""
    lines = [
        line
        for line in log.splitlines()
        if line.startswith(("!", "Overfull")) or "Missing character" in line or "Warning" in line
    ]
    return [line for line in lines if "No file document.aux" not in line]


@needs_pdflatex
def test_every_document_compiles_and_fits_the_line(tmp_path: Path) -> None:
    body = "\n\\newpage\n".join(map(latex, every_document()))
    log = compiled(body, tmp_path)
    assert complaints(log) == []
    assert "Output written on document.pdf" in log


@needs_pdflatex
@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("\\begin{align*} x \\end{align}\n", "!"),
        ("$x_a_b$\n", "! Double subscript"),
        (f"\\noindent $%\n{'x + ' * 3}\\hbox{{{'wide ' * 40}}}$\n", "Overfull"),
        ("{\\fontencoding{OML}\\selectfont\\tracinglostchars=2 \\char200}\n", "Missing character"),
        (r"\noindent\ref{nothing}", "Warning"),
    ],
)
def test_what_tex_complains_of_is_seen(body: str, says: str, tmp_path: Path) -> None:
    assert any(says in line for line in complaints(compiled(body, tmp_path)))


@needs_pdflatex
def test_documents_would_not_fit_unbroken(tmp_path: Path) -> None:
    body = latex(document_of("layer_norm"), width=2 * LINE)
    assert any("Overfull" in line for line in complaints(compiled(body, tmp_path)))


@needs_pdflatex
def test_the_measure_of_widths(tmp_path: Path) -> None:
    """Never much less than TeX's own width, and not wildly more."""
    boxes: dict[str, float] = {}
    for layer, name in (("batch_norm", "paper"), ("layer_norm", "code"), ("block", "layer")):
        for block in equations(document_of(layer, name)):
            sides: tuple[Node, ...] = (block.tree.left, block.tree.right)
            boxes |= {f"$\\displaystyle {to_latex(side)}$": measure.width(side) for side in sides}
            told = block.reason.formulas if block.reason else ()
            boxes |= {f"${to_latex(f)}$": measure.width(f, measure.INLINE) for f in told}
    rows = [f"\\setbox0=\\hbox{{{box}}}\\typeout{{WIDTH \\the\\wd0}}" for box in boxes]
    log = compiled("\n".join(rows), tmp_path)
    true = [float(number) for number in re.findall(r"WIDTH ([\d.]+)pt", log)]
    assert len(true) == len(boxes)
    for (box, estimate), width in zip(boxes.items(), true, strict=True):
        assert width - 1.5 <= estimate <= 1.6 * width + 8, box
    assert sum(boxes.values()) < 1.35 * sum(true)


# --- JSON -----------------------------------------------------------------------------------------

FIELDS = {
    "schema": int,
    "layer": str,
    "title": str,
    "source": str,
    "notation": str,
    "certified_steps": int,
    "blocks": list,
}
EQUATION = {"text", "ascii", "latex", "reason"}


def about(derivation: Derivation) -> dict[str, Any]:
    """What the command line says of a layer."""
    layer = derivation.layer
    count = sum(1 for _ in derivation.steps())
    named = {"layer": layer.name, "title": layer.title, "source": layer.source}
    return {**named, "certified_steps": count}


def misshapen(data: dict[str, Any]) -> list[str]:
    """What is not as :func:`json_object` documents it."""
    found = [name for name, kind in FIELDS.items() if not isinstance(data.get(name), kind)]
    found += sorted(set(data) - set(FIELDS))
    for block in data.get("blocks", []):
        keys = set(block)
        known = keys in ({"heading", "about"}, {"words", "latex"}, EQUATION)
        step = keys == EQUATION | {"rule", "guarantee"} and block["guarantee"] == "proved"
        if not (known or step) or not all(isinstance(value, str) for value in block.values()):
            found.append(f"block {block}")
        elif "ascii" in block and not (block["ascii"].isascii() and block["latex"].isascii()):
            found.append(f"not ASCII: {block}")
    return found


@pytest.mark.parametrize(("layer", "name"), KINDS)
def test_json(layer: str, name: str) -> None:
    derivation, blocks = derivation_of(layer), document_of(layer, name)
    text = json.dumps(json_object(about(derivation), blocks, notation(name)), allow_nan=False)
    data = json.loads(text)
    assert misshapen(data) == []
    assert (data["schema"], data["layer"], data["notation"]) == (SCHEMA, layer, name)
    assert data["certified_steps"] == sum(1 for _ in derivation.steps())
    assert len(data["blocks"]) == len(blocks)
    rules = [block["rule"] for block in data["blocks"] if "rule" in block]
    assert rules == [equation.rule for equation in equations(blocks) if equation.rule]


def test_json_that_is_not_as_documented_is_seen() -> None:
    data = json_object(about(derivation_of("softmax")), document_of("softmax"))
    assert data["notation"] == "paper"
    assert not misshapen(data)
    first, *others = data["blocks"]
    for damaged in (
        {k: v for k, v in data.items() if k != "notation"},
        {**data, "schema": "1"},
        {**data, "more": 1},
        {**data, "blocks": [{**first, "about": None}, *others]},
        {**data, "blocks": [{"heading": "x"}]},
        {**data, "blocks": [{**others[1], "rule": "collect", "guarantee": "checked"}]},
        {**data, "blocks": [{**others[1], "ascii": "∂"}]},
    ):
        assert misshapen(damaged)


def test_every_equation_is_given_whole() -> None:
    """Also the left side of a chain's later steps, which is invisible in print."""
    blocks = document_of("batch_norm")
    data = json_object(about(derivation_of("batch_norm")), blocks)
    given = [block for block in data["blocks"] if "ascii" in block]
    assert all(" = " in block["ascii"] for block in given)
    assert any(isinstance(b, Equation) and b.continued for b in blocks)

"""LaTeX that TeX accepts, with all that the document says, numbered and labelled."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from derive.render import measure, to_latex
from derive.render.blocks import Heading
from derive.render.latex_document import LINE, latex, standalone
from derive.render.tree import Node
from tests.derive.render.documents import KINDS, document_of, equations, publications, published
from tests.derive.render.latex_faults import faults

needs_pdflatex = pytest.mark.skipif(
    shutil.which("pdflatex") is None, reason="no pdflatex here: no document is compiled"
)


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
    text = latex(published(layer, name))
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
    whole = published("batch_norm")
    text = latex(whole, width=10_000)  # nothing is broken
    for block in equations(whole.blocks):
        assert to_latex(block.tree.right) in text
        assert not block.reason or block.reason.template.split("{}")[0] in text
    assert [b.title for b in whole.blocks if isinstance(b, Heading)] == re.findall(
        r"\\paragraph\{(.*?)\}", text
    )


def test_reasons_stand_in_a_column_where_they_fit() -> None:
    definitions = latex(published("batch_norm", form="summary")).split(r"\end{align}")[0]
    assert definitions.count("&&") == 4
    narrow = latex(published("batch_norm", form="summary"), width=200)
    assert r"\\*" + "\n  &\\quad \\text{mini-batch variance}" in narrow


def test_nothing_is_lost_where_lines_are_broken() -> None:
    """A broken equation is the whole one but for breaks, indents and the size of parentheses."""

    def plain(text: str) -> str:
        for old, new in ((r"\Bigl(", "("), (r"\Bigr)", ")"), (r"\left(", "("), (r"\right)", ")")):
            text = text.replace(old, new)
        text = text.replace("smallmatrix", "pmatrix").replace(r"(\begin{pm", r"\begin{pm")
        text = text.replace(r"\end{pmatrix})", r"\end{pmatrix}")
        text = re.sub(r"\\label\{.*?\}|\\notag|^%.*", "", text)
        return re.sub(r"\\\\\*?|&|\\q?quad|\s", "", text)

    for name in ("paper", "code"):
        document = published("layer_norm", name)
        whole, broken = latex(document, width=10_000), latex(document, width=250)
        assert broken.count(r"\quad") > whole.count(r"\quad") + 20
        assert formulas_of(plain(broken)) == formulas_of(plain(whole))


def formulas_of(text: str) -> str:
    """Without the environments, which differ where wide equations stand alone."""
    return text.replace(r"\begin{align}", "").replace(r"\end{align}", "")


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
    first = ("No file document.aux", "Label(s) may have changed")  # what a first run says
    return [line for line in lines if not any(said in line for said in first)]


@needs_pdflatex
def test_every_document_compiles_and_fits_the_line(tmp_path: Path) -> None:
    body = "\n\\newpage\n".join(map(latex, publications()))
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
    body = latex(published("layer_norm"), width=2 * LINE)
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


@needs_pdflatex
def test_every_equation_can_be_referred_to(tmp_path: Path) -> None:
    document = published("rms_norm")
    labels = re.findall(r"\\label\{(.*?)\}", latex(document))
    assert len(set(labels)) == len(labels) == len(equations(document.blocks))
    assert "rms_norm:closed-forms:dx" in labels
    body = latex(document) + "".join(f"\n\\noindent (\\ref{{{label}}})" for label in labels)
    assert any("undefined" in line for line in complaints(compiled(body, tmp_path)))
    assert complaints(compiled(body, tmp_path)) == []  # the second run knows them


@needs_pdflatex
def test_a_whole_document_compiles(tmp_path: Path) -> None:
    (tmp_path / "whole.tex").write_text(standalone(published("layer_norm")), encoding="ascii")
    command = ["pdflatex", "-interaction=nonstopmode", "-halt-on-error", "whole.tex"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=120)
    log = done.stdout.decode("latin-1").replace("No file whole.aux", "")
    assert complaints(log) == []

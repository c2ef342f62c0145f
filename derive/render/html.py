"""A publication as one self-contained page: MathML that browsers set, no script, no address.

The page is XML as well as HTML.  Each step opens and closes, and so does each formula's LaTeX,
which one click selects whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from html import escape
from pathlib import Path

from derive.render.blocks import Block, Equation, Heading, Symbols, Words
from derive.render.latex import to_latex
from derive.render.mathml import relation, to_mathml
from derive.render.publication import Publication
from derive.render.seal import MARK

FRAME, FORMULAS = (Path(__file__).parent / name for name in ("page.css", "formulas.css"))


def html(published: Publication) -> str:
    """The whole page."""
    return "\n".join(_page(published)) + "\n"


def _page(published: Publication) -> Iterator[str]:
    yield f"<!DOCTYPE html>\n<!-- {MARK} -->"
    yield '<html lang="en">\n<head>\n<meta charset="utf-8"/>'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1"/>'
    yield f"<title>{escape(published.title)}</title>"
    style = "".join(path.read_text(encoding="utf-8") for path in (FRAME, FORMULAS))
    yield f"<style>\n{style}</style>\n</head>\n<body>"
    yield from _header(published)
    yield from article(published)
    yield "</body>\n</html>"


def _header(published: Publication) -> Iterator[str]:
    yield f"<header>\n<h1>{escape(published.title)}</h1>"
    if published.source:
        yield f'<p class="about">{escape(published.source)}</p>'
    if published.certified:
        yield f"<p>{published.certified} steps, each proved for every size by normal form.</p>"
    yield "</header>"


def article(published: Publication) -> Iterator[str]:
    """The contents and the sections, for a page of any kind."""
    yield from _contents(published)
    yield "<main>"
    yield from _sections(published)
    yield "</main>"


def _contents(published: Publication) -> Iterator[str]:
    yield '<nav>\n<details class="contents" open="">\n<summary>Contents</summary>\n<ol>'
    for heading, label in published.headings():
        yield f'<li><a href="#{label}">{escape(heading.title)}</a></li>'
    yield "</ol>\n</details>\n</nav>"


def _sections(published: Publication) -> Iterator[str]:
    opened = False
    for block, label in published.body:
        if isinstance(block, Heading):
            yield "</section>\n" * opened + f'<section id="{label}">'
            yield f"<h2>{escape(block.title)}</h2>"
            if block.about:
                yield f'<p class="about">{_sentence(block.about)}</p>'
            opened = True
        else:
            yield from _block(block, label)
    yield "</section>" * opened


def _sentence(about: str) -> str:
    return escape(f"{about[0].upper()}{about[1:]}.")


def _block(block: Block, label: str) -> Iterator[str]:
    if isinstance(block, Words):
        yield f"<p>{_words(block)}.</p>"
    elif isinstance(block, Symbols):
        yield '<table class="symbols">'
        for tree, meaning in block.rows:
            name = to_mathml(tree, display=False)
            yield f"<tr><td>{name}</td><td>{_words(meaning)}</td></tr>"
        yield "</table>"
    elif isinstance(block, Equation):
        yield from _step(block, label) if block.continued else _equation(block, label)


def _equation(block: Equation, label: str) -> Iterator[str]:
    yield f'<div class="equation" id="{label}">'
    yield _formula(to_mathml(block.tree), block)
    if block.reason:
        yield f'<p class="reason">{_words(block.reason)}</p>'
    yield "</div>"


def _step(block: Equation, label: str) -> Iterator[str]:
    """A later equation of a chain: its left side is that of the first."""
    reason = _words(block.reason) if block.reason else "then"
    yield f'<details class="step" id="{label}" open="">\n<summary>{reason}</summary>'
    yield f"{_formula(relation(block.tree.right), block)}\n</details>"


def _formula(mathml: str, block: Equation) -> str:
    """A formula that scrolls where it is too wide, and the LaTeX of the equation."""
    code = f"<code>{escape(to_latex(block.tree))}</code>"
    latex = f'<details class="latex"><summary>LaTeX</summary>{code}</details>'
    return f'<div class="line">\n<div class="formula">{mathml}</div>\n{latex}\n</div>'


def _words(block: Words) -> str:
    """A sentence with its formulas in line."""
    formulas = (to_mathml(tree, display=False) for tree in block.formulas)
    return escape(block.template).format(*formulas)

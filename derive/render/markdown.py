"""A publication as Markdown, with formulas as GitHub or as Jupyter reads them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from derive.render.blocks import Heading, Symbols, Words
from derive.render.latex import to_latex
from derive.render.latex_rows import lines, runs
from derive.render.publication import Publication
from derive.render.seal import MARK
from derive.render.tree import Node

LINE = 560.0  # points: about what a page of GitHub or a notebook shows


@dataclass(frozen=True)
class Dialect:
    """What stands around a formula in line, and around one that is set apart."""

    inline: tuple[str, str]
    display: tuple[str, str]


GITHUB = Dialect(("$`", "`$"), ("```math\n", "\n```"))
JUPYTER = Dialect(("$", "$"), ("$$\n", "\n$$"))


def markdown(published: Publication, dialect: Dialect = GITHUB) -> str:
    """The whole, from its title on."""
    return "\n\n".join([f"<!-- {MARK} -->", *paragraphs(published, dialect)]) + "\n"


def paragraphs(published: Publication, dialect: Dialect) -> Iterator[str]:
    """One after the other; a blank line belongs between them."""
    yield f"# {_escaped(published.title)}"
    if published.source:
        yield f"{_escaped(published.source)}."
    for part in runs(published.body, LINE):
        if isinstance(part, Heading):
            yield f"## {_escaped(part.title)}"
            if part.about:
                yield f"{_escaped(part.about[0].upper() + part.about[1:])}."
        elif isinstance(part, Words):
            yield f"{_words(part, dialect)}."
        elif isinstance(part, Symbols):
            yield "\n".join(_table(part, dialect))
        else:
            rows = " \\\\\n".join(f"  {line.text}" for line in lines(part, LINE))
            before, after = dialect.display
            yield f"{before}\\begin{{aligned}}\n{_allowed(rows)}\n\\end{{aligned}}{after}"


def _table(symbols: Symbols, dialect: Dialect) -> Iterator[str]:
    yield from ("| symbol | what it stands for |", "|---|---|")
    for tree, meaning in symbols.rows:
        yield f"| {_formula(tree, dialect)} | {_words(meaning, dialect)} |"


def _words(block: Words, dialect: Dialect) -> str:
    formulas = (_formula(tree, dialect) for tree in block.formulas)
    return _escaped(block.template).format(*formulas)


def _formula(tree: Node, dialect: Dialect) -> str:
    before, after = dialect.inline
    return f"{before}{_allowed(to_latex(tree))}{after}"


def _allowed(latex: str) -> str:
    r"""GitHub refuses \operatorname, by which one could redefine others."""
    return re.sub(r"\\operatorname\{(\w+)\}", r"\\mathop{\\mathrm{\1}}", latex)


def _escaped(text: str) -> str:
    """Words that are to be read as they stand; the braces of a template are left alone."""
    return re.sub(r"([\\`*_\[\]<>#|$])", r"\\\1", text)

"""A publication as LaTeX: a fragment that any document can take in, or a whole document.

Every equation has a number and a label; its lines fit the article class.  The macros are those of
amsmath.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from derive.render.blocks import Heading, Symbols, Words
from derive.render.latex import to_latex
from derive.render.latex_rows import Line, escaped, latex_words, lines, runs
from derive.render.publication import Publication
from derive.render.seal import MARK

LINE = 345.0  # points: the article class at 10 pt
NUMBER = 30.0  # of them for an equation's number, (123), and the space before it


_PREAMBLE = r"""\documentclass{article}
\usepackage{amsmath}
\allowdisplaybreaks
\pdftrailerid{}
\pdfobjcompresslevel=0
\pdfinfo{/Creator (MARK)}
\begin{document}
"""


def latex(published: Publication, width: float = LINE) -> str:
    """A fragment for a document that loads amsmath; ``width`` is its line's, in points."""
    lines = [f"% {MARK}", *_fragment(published, width - NUMBER, ("paragraph", "paragraph"))]
    return "\n".join(lines) + "\n"


def standalone(published: Publication) -> str:
    """A whole document of the article class."""
    lines = _fragment(published, LINE - NUMBER, ("section*", "subsection*"))
    return _PREAMBLE.replace("MARK", MARK) + "\n".join(lines) + "\n\\end{document}\n"


def _fragment(published: Publication, width: float, levels: tuple[str, str]) -> Iterator[str]:
    title, section = levels
    yield _heading(title, published.title, published.source)
    for part in runs(published.body, width):
        if isinstance(part, Heading):
            yield _heading(section, part.title, part.about)
        elif isinstance(part, Words):
            # A formula in line may be hard to break: better far apart than in the margin.
            yield f"\\par{{\\sloppy\\noindent {latex_words(part)}.\\par}}"
        elif isinstance(part, Symbols):
            yield from _table(part)
        else:
            yield from _numbered(lines(part, width))


def _heading(level: str, title: str, about: str) -> str:
    sentence = f" {about[0].upper()}{about[1:]}." if about else ""
    return f"\\{level}{{{escaped(title)}}}{escaped(sentence)}"


def _table(symbols: Symbols) -> Iterator[str]:
    yield "\\begin{center}\\renewcommand{\\arraystretch}{1.4}"
    yield "\\begin{tabular}{lp{0.7\\linewidth}}"
    for tree, meaning in symbols.rows:
        yield f"  ${to_latex(tree)}$ & {latex_words(meaning)} \\\\"
    yield "\\end{tabular}\\end{center}"


def _numbered(rows: Sequence[Line]) -> Iterator[str]:
    yield "\\begin{align}"
    for row, following in zip(rows, (*rows[1:], None), strict=True):
        # An equation is not torn apart at the end of a page.
        end = "" if following is None else r" \\*" if following.goes_on else r" \\"
        yield f"  {row.text} {_number(row.label)}{end}"
    yield "\\end{align}"


def _number(label: str) -> str:
    return f"\\label{{{label}}}" if label else "\\notag"

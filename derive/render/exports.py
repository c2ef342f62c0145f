"""The formats that a publication is exported in; add a printer and a line here."""

from __future__ import annotations

from collections.abc import Callable

from derive.render.html import html
from derive.render.json_form import json_text
from derive.render.latex_document import latex, standalone
from derive.render.markdown import markdown
from derive.render.pdf import pdf
from derive.render.publication import Publication
from derive.render.seal import sealed

Format = Callable[[Publication], str | bytes]

FORMATS: dict[str, Format] = {
    "latex": latex,
    "standalone": standalone,  # LaTeX, too: the fragment as a whole document
    "pdf": lambda published: pdf(standalone(published)),
    "html": html,
    "markdown": markdown,
    "json": json_text,
}


def exported(published: Publication, render: Format) -> bytes:
    """The file in a format, with the mark by which it is known again."""
    content = render(published)
    return sealed(content.encode() if isinstance(content, str) else content)

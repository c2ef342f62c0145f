"""The site's pages that the program writes: one for each derivation and study, with its pictures.

A hook of MkDocs.  They are made anew whenever the site is built, so that they cannot drift.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import matplotlib
from mkdocs.structure.files import File

from derive.layer import Layer
from derive.layers import LAYERS
from derive.render.html import FORMULAS, article
from derive.render.publication import Publication, publication
from derive.studies import STUDIES
from derive.study import Study
from plots import computational_graph, jacobian

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from mkdocs.config.defaults import MkDocsConfig
    from mkdocs.structure.files import Files

SUBJECTS: dict[str, dict[str, Layer | Study]] = {"Layers": {**LAYERS}, "Studies": {**STUDIES}}


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Every derivation is in the navigation."""
    for kind, subjects in SUBJECTS.items():
        pages: list[Any] = [{one.title: path(name)} for name, one in subjects.items()]
        config.nav = [*(config.nav or []), {kind: pages}]
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The pages, the pictures and the style of formulas."""
    for name, content in contents():
        files.append(File.generated(config, name, content=content))
    return files


def path(name: str) -> str:
    return f"derivations/{name}.md"


def contents() -> Iterator[tuple[str, str | bytes]]:
    """Each generated file, by its path below docs/."""
    yield "formulas.css", FORMULAS.read_text(encoding="utf-8")
    yield "pictures/jacobian.svg", svg(jacobian.figure())
    for subjects in SUBJECTS.values():
        for name, subject in subjects.items():
            if isinstance(subject, Layer):
                yield f"pictures/{name}.svg", svg(computational_graph.figure(subject))
            yield path(name), page(publication(subject))


def page(published: Publication) -> str:
    """A page in Markdown; the derivation stands in it as HTML."""
    source = f"{published.source}. " if published.source else ""
    about = f"{source}`backnorm derive {published.name}` prints it, `backnorm export` writes it."
    parts = [f"# {published.title}", about]
    if isinstance(published.subject, Layer):
        parts.append(f"![The computational graph](../pictures/{published.name}.svg)")
    if published.name == "batch_norm":
        parts.append("R of the Jacobian u·R for a batch of eight:")
        parts.append("![R as a heat map](../pictures/jacobian.svg)")
    parts.append('<div class="derivation">\n' + "\n".join(article(published)) + "\n</div>")
    return "\n\n".join(parts) + "\n"


def svg(figure: Figure) -> bytes:
    """The same bytes every time: neither a date nor random names."""
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "backnorm"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None})
    return buffer.getvalue()

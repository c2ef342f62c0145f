"""The documentation's site: every page is in it, and each derivation's page is made as it is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from derive.layers import LAYERS
from derive.studies import STUDIES
from tests.derive.render.documents import published
from tests.derive.render.test_mathml import malformed

DOCS = Path(__file__).parents[1] / "docs"
CONFIG = (DOCS.parent / "mkdocs.yml").read_text(encoding="utf-8")


def test_every_page_is_in_the_navigation() -> None:
    listed = re.findall(r": (\w+\.md)$", CONFIG, re.MULTILINE)
    assert sorted(listed) == sorted(path.name for path in DOCS.glob("*.md"))


def test_links_lead_somewhere() -> None:
    for page in DOCS.glob("*.md"):
        for target in re.findall(r"\]\(([^)#`]+\.(?:md|json))\)", page.read_text(encoding="utf-8")):
            assert (DOCS / target).is_file(), f"{page.name}: {target}"


def test_pages_of_derivations() -> None:
    pytest.importorskip("mkdocs", reason="no mkdocs here: the site's pages are not made")
    from docs import pages

    listed = [name for subjects in pages.SUBJECTS.values() for name in subjects]
    assert listed == [*LAYERS, *STUDIES]
    document = published("batch_norm")
    page = pages.page(document)
    assert page.startswith("# Batch Normalisation\n\nIoffe")
    for picture in ("batch_norm", "jacobian"):
        assert f"](../pictures/{picture}.svg)" in page
    formulas = re.findall("<math.*?</math>", page)
    assert len(formulas) > 80
    assert not any(malformed(formula) for formula in formulas)


def test_pictures_are_reproducible() -> None:
    pytest.importorskip("mkdocs", reason="no mkdocs here: the site's pictures are not drawn")
    from docs import pages
    from plots import computational_graph

    first, second = (pages.svg(computational_graph.figure(LAYERS["rms_norm"])) for _ in range(2))
    assert first == second
    assert first.startswith(b"<?xml")

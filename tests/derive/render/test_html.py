"""The page: XML, self-contained, with every formula, reason and source of the document."""

from __future__ import annotations

import re
from html import unescape
from xml.etree import ElementTree

import pytest

from derive.render import to_latex
from derive.render.html import html
from derive.render.mathml import to_mathml
from tests.derive.render.documents import KINDS, equations, published, published_study
from tests.derive.render.test_mathml import malformed


def faults(page: str) -> list[str]:
    """What a page must not have: bad XML, scripts, anything from elsewhere, dangling anchors."""
    root = ElementTree.fromstring(page.replace("<!DOCTYPE html>", "", 1))
    ids = [element.attrib["id"] for element in root.iter() if "id" in element.attrib]
    found = ["an id twice"] * (len(set(ids)) < len(ids))
    for element in root.iter():
        found += [f"{name}=" for name in element.attrib if name.startswith("on")]
        for name in {"src", "href", "srcset", "data", "action", "poster"} & set(element.attrib):
            where = element.attrib[name]
            if name != "href" or not where.startswith("#") or where[1:] not in ids:
                found.append(f"{name}={where}")
        if element.tag in ("script", "link", "iframe", "object", "img", "base"):
            found.append(element.tag)
    found += re.findall(r"https?:|//\w|url\(|@import|@font-face", page)
    return found


@pytest.mark.parametrize(("layer", "name"), KINDS)
def test_a_page_is_self_contained(layer: str, name: str) -> None:
    page = html(published(layer, name))
    assert faults(page) == []
    assert page.count("<math") == page.count("</math>") > 8


@pytest.mark.parametrize(
    "damage",
    [
        "<script/>",
        '<p onclick="x"/>',
        '<a href="https://x.org">x</a>',
        '<a href="#nowhere">x</a>',
        '<img src="x.png"/>',
        "<style>p { background: url(x) }</style>",
        '<p id="batch_norm:facts"/>',
    ],
)
def test_what_a_page_must_not_have_is_seen(damage: str) -> None:
    assert faults(html(published("batch_norm")).replace("</main>", f"{damage}</main>"))


@pytest.mark.parametrize("layer", ["batch_norm", "softmax", "block"])
def test_a_page_has_every_formula_and_its_source(layer: str) -> None:
    document = published(layer)
    page = html(document)
    sources = [unescape(code) for code in re.findall("<code>(.*?)</code>", page)]
    assert sources == [to_latex(equation.tree) for equation in equations(document.blocks)]
    for equation in equations(document.blocks):
        assert equation.continued or to_mathml(equation.tree) in page
        for formula in equation.reason.formulas if equation.reason else ():
            assert to_mathml(formula, display=False) in page


def test_each_step_opens_and_closes() -> None:
    document = published("batch_norm")
    steps = [equation for equation in equations(document.blocks) if equation.continued]
    page = html(document)
    assert page.count('<details class="step"') == len(steps) > 10
    assert page.count('open="">\n<summary>') == len(steps) + 1  # and the contents
    assert [label for _, label in document.headings()] == re.findall('<li><a href="#(.*?)"', page)


def test_a_study_and_a_layer_without_proofs() -> None:
    assert faults(html(published_study("folding"))) == []


def test_every_formula_of_a_page_is_well_formed() -> None:
    for mathml in re.findall("<math.*?</math>", html(published("layer_norm", "code"))):
        assert malformed(mathml) == []

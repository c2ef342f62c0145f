"""Pages as a browser shows them, on a phone and on a desk."""

from __future__ import annotations

from pathlib import Path

from derive.render.html import html
from tests.derive.render.browser import look, needs_browser
from tests.derive.render.documents import published, published_study

PHONE, DESK = 375, 1280

pytestmark = needs_browser

DAMAGES = [
    ("</main>", "<math></math></main>", "empty"),
    ("overflow-x: auto; overflow-y: hidden", "", "too wide"),
    ("</main>", '<p style="width: 900px">wide</p></main>', "the page is"),
    ("</main>", '<img src="https://example.org/x.png"/></main>', "it asks for https"),
    ("</style>", "mfrac { display: flex } </style>", "not stacked"),
    ("</style>", "::details-content { content-visibility: visible } </style>", "closed steps"),
]


def test_every_formula_is_set_and_can_be_read(tmp_path: Path) -> None:
    kinds = (("batch_norm", "paper"), ("layer_norm", "code"), ("rms_norm", "layer"))
    documents = [published(*kind) for kind in kinds] + [published_study("higher_orders")]
    pages = [(html(document), width) for document in documents for width in (PHONE, DESK)]
    shown, said = look(pages, tmp_path)
    assert said == []
    assert len(shown) == len(pages)
    for (page, width), seen in zip(pages, shown, strict=True):
        assert seen.faults() == []
        assert width - 20 <= seen.measured["width"] <= width
        assert len(seen.measured["formulas"]) == page.count("<math")
        assert seen.measured["steps"] == page.count('<details class="step"')
        assert seen.measured["fractions"] == page.count("<mfrac") > 10


def test_what_a_reader_would_stumble_over_is_seen(tmp_path: Path) -> None:
    page = html(published("batch_norm"))
    assert all(old in page for old, _, _ in DAMAGES)
    speaking = page.replace("</main>", "<script>console.error('no')</script></main>")
    pages = [(page.replace(old, new), PHONE) for old, new, _ in DAMAGES] + [(speaking, PHONE)]
    shown, said = look(pages, tmp_path)
    assert any("no" in line for line in said)
    for (_, _, says), seen in zip(DAMAGES, shown, strict=False):
        assert any(says in fault for fault in seen.faults())

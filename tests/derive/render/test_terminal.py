"""The terminal's lines: widths, alphabets, reasons beside formulas or below them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

import pytest

from derive.render import PAPER, formula
from derive.render.blocks import Block, Equation, Heading, Words
from derive.render.line import columns
from derive.render.notation import same
from derive.render.terminal import GAP, Line, Span, lines, words, wrapped
from derive.render.tree import Equation as Tree
from derive.render.tree import Name, Number
from derive.studies import STUDIES
from tests.derive.render.documents import FIRST, KINDS, document_of, equations, study_of
from tests.derive.render.formulas import x

# Each width in one alphabet; where formulas fit best, and in README, both.
TERMINALS = [(40, True), (60, False), (80, False), (80, True), (100, True)]


def text_of(line: Line) -> str:
    return "".join(span.text for span in line)


def shown(blocks: Sequence[Block], width: int = 80, ascii: bool = False) -> list[str]:
    return [text_of(line) for line in lines(tuple(blocks), width=width, ascii=ascii)]


def unclean(rows: Sequence[str], width: int, ascii: bool) -> list[str]:
    """The lines that are too wide, end in blanks, or are in the wrong alphabet."""
    boxes = set("│┌┐└┘├┤┃|") - (set("|") if ascii else set())  # | is a tall bracket in ASCII
    return [
        row
        for row in rows
        if columns(row) > width
        or row != row.rstrip()
        or (ascii and not row.isascii())
        or set(row) & boxes
    ]


@pytest.mark.parametrize(("layer", "notation"), KINDS)
def test_lines_are_clean(layer: str, notation: str) -> None:
    blocks = document_of(layer, notation)
    for width, ascii in TERMINALS if layer in FIRST else TERMINALS[:3:2]:
        assert not unclean(shown(blocks, width, ascii), width, ascii)


@pytest.mark.parametrize("study", STUDIES)
def test_lines_of_studies_are_clean(study: str) -> None:
    for notation in ("paper", "code"):
        for width, ascii in TERMINALS:
            assert not unclean(shown(study_of(study, notation), width, ascii), width, ascii)


@pytest.mark.parametrize(
    ("row", "ascii"),
    [("x" * 81, False), ("x ", False), ("x̂", True), ("│ x", False), ("幅" * 41, False)],
)
def test_unclean_lines_are_seen(row: str, ascii: bool) -> None:
    assert unclean([row], 80, ascii)


def test_narrower_than_forty_columns_is_as_forty() -> None:
    blocks = document_of("batch_norm")
    assert shown(blocks, 5) == shown(blocks, 40)


# --- Reasons --------------------------------------------------------------------------------------


def place_of_reason(block: Equation, width: int, ascii: bool = False) -> str:
    """Where the reason stands: "beside", "below", "none"; or "lost"."""
    rows = list(lines((block,), width=width, ascii=ascii))
    spans = [span for row in rows for span in row if span.style == "reason"]
    told = " ".join(" ".join(span.text.split()) for span in spans)
    if block.reason is None:
        return "none" if not spans else "lost"
    if told != " ".join(words(block.reason, ascii).split()):
        return "lost"
    beside = [row for row in rows if len(row) == 2]
    if not beside:
        return "below"
    ((formula_span, reason),) = beside
    free = len(formula_span.text) - len(formula_span.text.rstrip())
    ok = len(spans) == 1 and free >= GAP and reason.style == "reason"
    return "beside" if ok and re.search(" = ", formula_span.text) else "lost"


@pytest.mark.parametrize("width", [40, 60, 80, 100])
@pytest.mark.parametrize("layer", ["batch_norm", "layer_norm", "softmax"])
def test_every_reason_is_told(layer: str, width: int) -> None:
    places = [place_of_reason(block, width) for block in equations(document_of(layer))]
    assert "lost" not in places
    assert "beside" in places
    assert "below" in places or (layer == "softmax" and width >= 80)


def test_most_reasons_stand_beside_their_formulas_in_80_columns() -> None:
    places = [place_of_reason(block, 80) for block in equations(document_of("batch_norm"))]
    assert places.count("beside") > 2 * places.count("below")


def test_a_reason_that_is_not_told_is_seen() -> None:
    """The check must not be satisfied by a reason of other words."""
    block = next(b for b in equations(document_of("batch_norm")) if b.reason and b.rule)
    other = replace(block, reason=Words("something else"))
    rows = shown((other,))
    assert block.reason is not None
    assert words(block.reason, False) not in "\n".join(rows)


def test_the_equals_signs_of_a_chain_stand_below_each_other() -> None:
    for layer in ("batch_norm", "softmax"):
        column = 0
        for block in equations(document_of(layer)):
            formulas = (line[0].text for line in lines((block,)) if line)
            row = next(row for row in formulas if re.search("(^| )= ", row) and "if" not in row)
            here = columns(row[: row.index("= ")])
            if not block.continued:
                column = here
            assert here == column


# --- Headings and sentences -----------------------------------------------------------------------


def test_headings() -> None:
    blocks = [Heading("Title", "source"), Heading("Part", "about it"), Heading("Next")]
    assert shown(blocks) == ["Title", "source", "", "Part: about it", "", "", "Next", ""]
    styles = [span.style for line in lines(tuple(blocks)) for span in line]
    assert styles == ["title", "about", "heading", "about", "heading"]


def test_what_is_said_about_a_part_gives_way_to_the_width() -> None:
    part = Heading("Part", "a" * 40)
    assert shown([Heading("T"), part], 80)[-2] == f"Part: {'a' * 40}"
    assert shown([Heading("T"), part], 40)[-2] == "Part"


def test_a_long_title_is_wrapped() -> None:
    rows = shown([Heading("word " * 12, "source " * 12)], 40)
    assert not unclean(rows, 40, False)
    assert " ".join(rows).split() == ["word"] * 12 + ["source"] * 12


def test_a_heading_follows_an_equation_after_one_blank_line() -> None:
    rows = shown(document_of("batch_norm"))
    for before, row, after in zip(rows, rows[1:], rows[2:], strict=False):
        if row.startswith(("Identities", "Closed forms", "Facts")):
            assert (before, after) == ("", "")
    assert not any(first == second == third == "" for first, second, third in triples(rows))


def triples(rows: list[str]) -> list[tuple[str, str, str]]:
    return list(zip(rows, rows[1:], rows[2:], strict=False))


def test_words_are_wrapped_by_columns() -> None:
    assert wrapped("幅 " * 5, 5) == ["幅 幅", "幅 幅", "幅"]
    assert wrapped("x̂ " * 4, 3) == ["x̂ x̂", "x̂ x̂"]
    assert wrapped("far-too-long to fit", 5) == ["far-too-long", "to", "fit"]
    assert wrapped("", 5) == []


def test_a_sentence_has_its_formulas_in_line() -> None:
    block = Words("{} is given", (formula(x, PAPER, ("n",)),))
    assert shown([block]) == ["  xᵢ is given"]
    assert shown([block], ascii=True) == ["  x_i is given"]


# --- What is too wide -----------------------------------------------------------------------------


def test_a_name_that_is_wider_than_the_terminal_is_not_cut() -> None:
    name = Name(same("x" * 60))
    (row, blank) = shown([Equation(name, Tree(name, Number(1)))], 40)[-2:]
    assert (row.strip(), blank) == ("= 1", "")


def test_spans_keep_formulas_and_reasons_apart() -> None:
    """What is coloured is the reason, never a part of a formula."""
    for line in lines(document_of("batch_norm")):
        assert all(isinstance(span, Span) for span in line)
        assert [span.style for span in line] in (
            *([], ["formula"], ["formula", "reason"], ["reason"], ["plain"]),
            *(["title"], ["about"], ["heading"], ["heading", "about"]),
        )

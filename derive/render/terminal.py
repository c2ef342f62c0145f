"""A document as lines of text for a terminal, a pipe or a file."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from derive.render.document import Block, Equation, Heading, Words
from derive.render.line import columns
from derive.render.text import to_line, to_lines, to_picture

Style = Literal["title", "heading", "about", "formula", "reason", "plain"]
MARGIN = "  "
GAP = 3  # columns between a formula and the reason beside it
REASON_COLUMN = 46  # where reasons start, when the formula leaves room


@dataclass(frozen=True)
class Span:
    """Some text in one style."""

    text: str
    style: Style


Line = tuple[Span, ...]


def lines(blocks: tuple[Block, ...], *, width: int = 80, ascii: bool = False) -> Iterator[Line]:
    """Every line of the document, none wider than ``width`` (at least 40) where that can be."""
    width = max(width, 40)
    for number, block in enumerate(blocks):
        if isinstance(block, Heading):
            yield from _heading(block, width, first=number == 0)
        elif isinstance(block, Words):
            yield from _paragraph(block, width, ascii)
        else:
            yield from _equation(block, width, ascii)


def _heading(block: Heading, width: int, *, first: bool) -> Iterator[Line]:
    if first:
        yield (Span(block.title, "title"),)
        yield (Span(block.about, "about"),)
        return
    yield ()
    line = [Span(block.title, "heading")]
    if block.about and columns(block.title) + columns(block.about) + 2 <= width:
        line.append(Span(f": {block.about}", "about"))
    yield tuple(line)
    yield ()


def words(block: Words, ascii: bool) -> str:
    """A sentence with its formulas in line."""
    return block.template.format(*(to_line(tree, ascii) for tree in block.formulas))


def _paragraph(block: Words, width: int, ascii: bool) -> Iterator[Line]:
    for line in textwrap.wrap(words(block, ascii), width - len(MARGIN)):
        yield (Span(MARGIN + line, "plain"),)


def _equation(block: Equation, width: int, ascii: bool) -> Iterator[Line]:
    reason = words(block.reason, ascii) if block.reason else ""
    rows, baseline = _rows(block, width - len(MARGIN), ascii)
    widest = max(map(columns, rows))
    column = max(REASON_COLUMN, widest + GAP)
    beside = bool(reason) and len(MARGIN) + column + columns(reason) <= width
    if reason and not beside:
        column = width - len(MARGIN) - columns(reason)
        beside = column >= widest + GAP
    for number, row in enumerate(rows):
        spans = [Span(MARGIN + row, "formula")] if row else []
        if beside and number == baseline:
            padding = column - columns(row)
            spans = [Span(MARGIN + row + " " * padding, "formula"), Span(reason, "reason")]
        yield tuple(spans)
    if reason and not beside:
        indent = MARGIN + " " * 6
        for line in textwrap.wrap(reason, width - len(indent)):
            yield (Span(indent + line, "reason"),)
    yield ()


def _rows(block: Equation, width: int, ascii: bool) -> tuple[list[str], int]:
    """The rows of an equation and which of them is its baseline; continued ones without their lhs."""
    rows = to_picture(block.tree, ascii)
    if max(map(columns, rows)) <= width:
        skip = max(map(columns, to_picture(block.lhs, ascii)))
        baseline = next(k for k, row in enumerate(rows) if _cut(row, skip).startswith(" = "))
    else:
        rows = to_lines(block.tree, ascii, width)
        skip, baseline = columns(to_line(block.lhs, ascii)), 0
        if block.continued:
            return [" " * min(skip, 6) + _cut(rows[0], skip), *rows[1:]], 0
    if block.continued:
        rows = [" " * skip + _cut(row, skip) for row in rows]
        rows = [row.rstrip() for row in rows]
        while not rows[0]:
            rows, baseline = rows[1:], baseline - 1
        while not rows[-1]:
            rows = rows[:-1]
    return rows, baseline


def _cut(row: str, skip: int) -> str:
    """The row without its first ``skip`` columns."""
    for end in range(len(row) + 1):
        if columns(row[:end]) == skip and (end == len(row) or columns(row[end]) > 0):
            return row[end:]
    return ""

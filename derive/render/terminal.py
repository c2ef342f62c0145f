"""A document as lines of text for a terminal, a pipe or a file."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from derive.render.blocks import Block, Equation, Heading, Symbols, Words
from derive.render.line import columns
from derive.render.notation import same
from derive.render.text import broken, to_line, to_picture
from derive.render.tree import Equation as Tree
from derive.render.tree import Name, Signed, Terms

Style = Literal["title", "heading", "about", "formula", "reason", "plain"]
MARGIN = "  "
GAP = 3  # columns between a formula and the reason beside it
_NOTHING = Name(same(""))  # stands where the first part of a broken sum was
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
        if isinstance(block, Equation) and isinstance(blocks[number - 1], Words):
            yield ()
        if isinstance(block, Heading):
            spaced = number > 0 and isinstance(blocks[number - 1], Equation)
            yield from _heading(block, width, first=number == 0, spaced=spaced)
        elif isinstance(block, Words):
            yield from _paragraph(block, width, ascii)
        elif isinstance(block, Symbols):
            yield from _table(block, width, ascii)
        else:
            yield from _equation(block, width, ascii)


def _heading(block: Heading, width: int, *, first: bool, spaced: bool) -> Iterator[Line]:
    if first:
        yield from ((Span(row, "title"),) for row in wrapped(block.title, width))
        yield from ((Span(row, "about"),) for row in wrapped(block.about, width))
        return
    if not spaced:
        yield ()
    line = [Span(block.title, "heading")]
    if block.about and columns(block.title) + columns(block.about) + 2 <= width:
        line.append(Span(f": {block.about}", "about"))
    yield tuple(line)
    yield ()


def wrapped(text: str, width: int) -> list[str]:
    """The text in lines of at most so many columns, which are not the same as characters."""
    rows = [""]
    for word in text.split():
        longer = f"{rows[-1]} {word}".strip()
        if columns(longer) <= width:
            rows[-1] = longer
        else:
            rows.append(word)
    return [row for row in rows if row]


def words(block: Words, ascii: bool) -> str:
    """A sentence with its formulas in line."""
    return block.template.format(*(to_line(tree, ascii) for tree in block.formulas))


def _paragraph(block: Words, width: int, ascii: bool) -> Iterator[Line]:
    for line in wrapped(words(block, ascii), width - len(MARGIN)):
        yield (Span(MARGIN + line, "plain"),)


def _table(block: Symbols, width: int, ascii: bool) -> Iterator[Line]:
    names = [to_line(tree, ascii) for tree, _ in block.rows]
    column = max(map(columns, names)) + GAP
    for name, (_, meaning) in zip(names, block.rows, strict=True):
        indent = MARGIN + name + " " * (column - columns(name))
        for line in wrapped(words(meaning, ascii), width - len(MARGIN) - column):
            yield Span(indent, "formula"), Span(line, "plain")
            indent = " " * (len(MARGIN) + column)


def _equation(block: Equation, width: int, ascii: bool) -> Iterator[Line]:
    reason = words(block.reason, ascii) if block.reason else ""
    rows, baseline = _rows(block, width - len(MARGIN), ascii)
    widest = _width(rows)
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
        for line in wrapped(reason, width - len(indent)):
            yield (Span(indent + line, "reason"),)
    yield ()


def _rows(block: Equation, width: int, ascii: bool) -> tuple[list[str], int]:
    """The rows of an equation and its baseline; a continued one leaves room for its left side."""
    skip = max(map(columns, to_picture(block.lhs, ascii)))
    parts = _fitting(block.tree, width, skip, ascii)
    if not parts:
        return _in_line(block, width, skip, ascii)
    baseline = next(k for k, row in enumerate(parts[0]) if _cut(row, skip).startswith(" = "))
    if block.continued:
        first = [(" " * skip + _cut(row, skip)).rstrip() for row in parts[0]]
        while not first[0]:
            first, baseline = first[1:], baseline - 1
        while not first[-1]:
            first = first[:-1]
        parts[0] = first
    return [row for part in parts for row in part], baseline


def _fitting(tree: Tree, width: int, skip: int, ascii: bool) -> list[list[str]]:
    """The picture of an equation, in as many parts as make its terms fit; none if they don't."""
    whole = to_picture(tree, ascii)
    if _width(whole) <= width:
        return [whole]
    if not isinstance(tree.right, Terms):
        return []
    for end in range(len(tree.right.terms) - 1, 0, -1):
        first = to_picture(Tree(tree.left, Terms(tree.right.terms[:end])), ascii)
        if _width(first) <= width:
            rest = Terms((Signed(False, _NOTHING), *tree.right.terms[end:]))
            indent = " " * (skip + 2)
            later = [(indent + row).rstrip() for row in to_picture(rest, ascii)]
            return [first, later] if _width(later) <= width else []
    return []


def _in_line(block: Equation, width: int, skip: int, ascii: bool) -> tuple[list[str], int]:
    text = to_line(block.tree, ascii)
    if block.continued:
        text = _cut(text, columns(to_line(block.lhs, ascii))).strip()
        indent = " " * (skip + 1 if skip < width // 4 else 4)  # room for what is broken
        return [indent + row for row in broken(text, width - len(indent))], 0
    return broken(text, width), 0


def _width(rows: list[str]) -> int:
    return max(map(columns, rows))


def _cut(row: str, skip: int) -> str:
    """The row without its first ``skip`` columns."""
    for end in range(len(row) + 1):
        if columns(row[:end]) == skip and (end == len(row) or columns(row[end]) > 0):
            return row[end:]
    return ""

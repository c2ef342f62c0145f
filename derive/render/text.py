"""A typeset tree as a two-dimensional picture of text, in Unicode or in ASCII.

A :class:`Block` is a rectangle of text with a baseline, the row that lines up with what stands
beside it; every node is a composition of the blocks of its parts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from itertools import pairwise

from derive.render.line import (
    ASCII,
    UNICODE,
    Glyphs,
    Pieces,
    columns,
    condition,
    exponent_text,
    gap,
    line,
    sign,
)
from derive.render.tree import (
    Call,
    Case,
    Cases,
    Differential,
    Dots,
    Equation,
    Fraction,
    Group,
    Matrix,
    Name,
    Node,
    Number,
    Power,
    Product,
    Root,
    Terms,
    Total,
)


def to_line(tree: Node, ascii: bool = False) -> str:
    """The tree in one line of text."""
    return line(tree, ASCII if ascii else UNICODE)


def to_text(tree: Node, ascii: bool = False, width: int = 80) -> list[str]:
    """The tree as rows of text: two-dimensional if that fits into ``width`` columns, else one line,
    broken before an operator where it is too long."""
    rows = to_picture(tree, ascii)
    if max(map(columns, rows)) <= width:
        return rows
    return to_lines(tree, ascii, width)


def to_lines(tree: Node, ascii: bool = False, width: int = 80) -> list[str]:
    """The one-line form, broken before operators where it is wider than ``width``."""
    return broken(to_line(tree, ascii), width)


def to_picture(tree: Node, ascii: bool = False) -> list[str]:
    """The tree as two-dimensional text, however wide."""
    return [row.rstrip() for row in _block(tree, ASCII if ascii else UNICODE).rows]


# --- Breaking a long line ------------------------------------------------------------------------

_HANG = "    "


def broken(text: str, width: int) -> list[str]:
    """The line broken outside parentheses, or as few of them deep as makes the pieces fit; between
    factors if it must be."""
    lines = [text]
    for depth in (0, 1, 2, 3, None):
        if max(map(columns, lines)) <= width:
            break
        lines = _filled(_factors(text) if depth is None else _pieces(text, depth), width)
    return lines


def _pieces(text: str, deepest: int) -> list[str]:
    """The text cut before each operator, and between cases, inside at most so many parentheses."""
    depth, cuts = 0, [0]
    for place, letter in enumerate(text):
        depth += (letter in "({") - (letter in ")}")
        operators = "=+-−" if depth == 0 else "+-−"  # i = j is in braces
        operator = letter in operators and text[place - 1 : place + 2] == f" {letter} "
        if depth <= deepest and (operator or text[place - 1 : place + 1] == "; "):
            cuts.append(place)
    return [text[start:end].strip() for start, end in pairwise([*cuts, len(text)])]


def _factors(text: str) -> list[str]:
    """The text cut at every space but those behind an operator and in i = j."""
    bound = re.sub(r"\bif (\w+) (\S+) (\w+)", "if\0\\1\0\\2\0\\3", text)
    bound = re.sub(r"(?<= )([=+\-−]) ", "\\1\0", bound)
    return [piece.replace("\0", " ") for piece in bound.split(" ")]


def _filled(pieces: list[str], width: int) -> list[str]:
    lines = [pieces[0]]
    for piece in pieces[1:]:
        longer = f"{lines[-1]} {piece}"
        if columns(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(_HANG + piece)
    return lines


# --- Blocks --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Block:
    """Rows of text, all equally wide."""

    rows: tuple[str, ...]
    baseline: int = 0

    @property
    def width(self) -> int:
        return columns(self.rows[0])

    @property
    def height(self) -> int:
        return len(self.rows)


def _beside(*blocks: Block) -> Block:
    """Blocks from left to right, their baselines in one row."""
    above = max(block.baseline for block in blocks)
    below = max(block.height - block.baseline for block in blocks)
    padded = [
        (
            *[" " * block.width] * (above - block.baseline),
            *block.rows,
            *[" " * block.width] * (below - block.height + block.baseline),
        )
        for block in blocks
    ]
    return Block(tuple(map("".join, zip(*padded, strict=True))), above)


def _above(*blocks: Block, baseline: int) -> Block:
    """Blocks from top to bottom, centred; ``baseline`` counts rows of the result."""
    width = max(block.width for block in blocks)
    rows = [row for block in blocks for row in block.rows]
    return Block(tuple(_centred(row, width) for row in rows), baseline)


def _centred(row: str, width: int) -> str:
    spare = width - columns(row)
    return " " * (spare // 2) + row + " " * (spare - spare // 2)


def _text(text: str) -> Block:
    return Block((text,))


def _over(over: Block, under: Block, glyphs: Glyphs) -> Block:
    """A fraction; its bar is longer than a minus sign, and reaches beyond an inner fraction's."""
    width = max(over.width, under.width) + 2 * (over.height > 1 or under.height > 1)
    width = max(width, 3)
    return _above(over, _text(glyphs.bar * width), under, baseline=over.height)


def _bracket(pieces: Pieces, height: int, baseline: int) -> Block:
    single, top, middle, bottom = pieces
    if height == 1:
        return _text(single)
    return Block((top, *[middle] * (height - 2), bottom), baseline)


def _in_parentheses(body: Block, glyphs: Glyphs) -> Block:
    left, right = (
        _bracket(pieces, body.height, body.baseline) for pieces in (glyphs.left, glyphs.right)
    )
    return _beside(left, body, right)


# --- Nodes ---------------------------------------------------------------------------------------


def _block(node: Node, glyphs: Glyphs) -> Block:
    draw = partial(_block, glyphs=glyphs)
    match node:
        case Number() | Name() | Dots():
            return _text(line(node, glyphs))
        case Terms():
            return _terms(node, glyphs)
        case Product(factors):
            spaces = [_text(gap(left, right)) for left, right in pairwise(factors)]
            blocks = [draw(factors[0])]
            for space, factor in zip(spaces, factors[1:], strict=True):
                blocks += [space, draw(factor)]
            return _beside(*blocks)
        case Fraction(over, under):
            return _over(draw(over), draw(under), glyphs)
        case Power(base, exponent):
            return _power(draw(base), exponent, glyphs)
        case Root(body):
            return _beside(_text(glyphs.root), _in_parentheses(draw(body), glyphs))
        case Group(body):
            return _in_parentheses(draw(body), glyphs)
        case Call(function, (first, *others)):
            name = function.ascii if glyphs is ASCII else function.text
            parts = [draw(first)]
            for argument in others:
                parts += [_text(", "), draw(argument)]
            return _beside(_text(name), _in_parentheses(_beside(*parts), glyphs))
        case Total(index, size, body):
            limits = (draw(size), _text(glyphs.big_total), _text(f"{index}=1"))
            return _beside(_above(*limits, baseline=1), _text(" "), draw(body))
        case Differential(over, under):
            partial_sign = _text(glyphs.partial)
            above, below = (_beside(partial_sign, draw(name)) for name in (over, under))
            return _over(above, below, glyphs)
        case Cases(cases):
            return _cases(cases, glyphs)
        case Matrix(rows):
            return _matrix([[draw(entry) for entry in row] for row in rows], glyphs)
        case Equation(left, right):
            return _beside(draw(left), _text(" = "), draw(right))
        case _:
            raise TypeError(f"no picture for {type(node).__name__}")


def _terms(node: Terms, glyphs: Glyphs) -> Block:
    first, *others = node.terms
    body = _block(first.body, glyphs)
    blocks = [body]
    if first.negative:
        # A minus sign that touches the bar of a fraction would lengthen it.
        blocks.insert(0, _text(glyphs.minus + " " * (body.height > 1)))
    for term in others:
        blocks += [_text(f" {sign(term, glyphs)} "), _block(term.body, glyphs)]
    return _beside(*blocks)


def _power(base: Block, exponent: Node, glyphs: Glyphs) -> Block:
    if base.height == 1 and (isinstance(exponent, Number) or glyphs is ASCII):
        return _beside(base, _text(exponent_text(exponent, glyphs)))
    raised = _text(line(exponent, glyphs))
    empty = " " * raised.width
    if base.height == 1:
        return _beside(base, Block((*raised.rows, empty), 1))
    column = (*raised.rows, *[empty] * (base.height - 1))
    return _beside(base, Block(column, base.baseline))


def _cases(cases: tuple[Case, ...], glyphs: Glyphs) -> Block:
    bodies = [_block(case.body, glyphs) for case in cases]
    width = max(body.width for body in bodies)
    rows: list[str] = []
    for case, body in zip(cases, bodies, strict=True):
        space = _text(" " * (width - body.width))
        row = _beside(body, space, _text(f"   if {condition(case, glyphs)}"))
        rows += [" " * row.width] * bool(rows)
        rows += row.rows
    baseline = len(rows) // 2
    brace = list(_bracket(glyphs.brace, len(rows), baseline).rows)
    brace[baseline] = glyphs.brace_middle
    return _beside(Block(tuple(brace), baseline), _text(" "), Block(tuple(rows), baseline))


def _matrix(rows: list[list[Block]], glyphs: Glyphs) -> Block:
    """Columns side by side, each entry centred, in parentheses."""
    widths = [max(block.width for block in column) for column in zip(*rows, strict=True)]
    lines: list[str] = []
    for row in rows:
        cells = []
        for block, width in zip(row, widths, strict=True):
            centred = tuple(_centred(line, width) for line in block.rows)
            cells += [_text("   "), Block(centred, block.baseline)]
        lines += _beside(*cells[1:]).rows
    return _in_parentheses(Block(tuple(lines), len(lines) // 2), glyphs)

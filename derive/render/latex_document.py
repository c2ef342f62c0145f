"""A document as a LaTeX fragment: paragraphs and aligned equations that fit the line.

A chain of equations is one ``align*``, as are single equations in a row.  Reasons stand in a column
of their own if that fits, else each beside its equation, or on a line below it.  An equation that
is too wide is broken before an operator, inside its last parentheses if it has no other.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import TypeAlias

from derive.render import measure
from derive.render.document import Block, Equation, Heading, Words
from derive.render.latex import to_latex
from derive.render.measure import BINARY, INLINE, QUAD, RELATION
from derive.render.tree import Group, Node, Product, Signed, Terms, Total

LINE = 345.0  # points: the article class at 10 pt
WIDE = 0.3  # of the line: a left side that stands alone
_COLUMNS = 11.0  # what amsmath leaves at least between columns


def latex(blocks: Sequence[Block], width: float = LINE) -> str:
    """A fragment for a document that loads amsmath; ``width`` is its line's, in points."""
    return "\n".join(_lines(blocks, width)) + "\n"


def _lines(blocks: Sequence[Block], width: float) -> Iterator[str]:
    run: list[Equation] = []
    for block, following in zip_longest(blocks, blocks[1:]):
        if isinstance(block, Equation):
            if run and not block.continued and _begins(run, block, following, width):
                yield from _aligned(run, width)
                run = []
            run.append(block)
            continue
        yield from _aligned(run, width)
        run = []
        if isinstance(block, Heading):
            about = f" {block.about[0].upper()}{block.about[1:]}." if block.about else ""
            yield f"\\paragraph{{{_escaped(block.title)}}}{_escaped(about)}"
        else:
            yield f"\\noindent {latex_words(block)}.\n"
    yield from _aligned(run, width)


def _begins(
    run: Sequence[Equation], equation: Equation, following: Block | None, width: float
) -> bool:
    """Whether an equation stands apart from those before it: as the first of a chain, behind a
    chain, or because a left side is so wide that others had better not be aligned with it."""
    opens = isinstance(following, Equation) and following.continued
    lefts = max(measure.width(e.tree.left) for e in (run[-1], equation))
    return opens or run[-1].continued or lefts > WIDE * width


def _escaped(text: str) -> str:
    return "".join(f"\\{letter}" if letter in "&%#_$" else letter for letter in text)


def latex_words(block: Words) -> str:
    """A sentence with its formulas in line."""
    if not block.formulas:  # a message may have names with underscores in it
        return _escaped(block.template.format())
    return block.template.format(*(f"${to_latex(tree)}$" for tree in block.formulas))


# --- Rows -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    """One equation: its left side with =, the lines of its right side, and the reason."""

    left: str
    lines: tuple[str, ...]
    widths: tuple[float, ...]
    reason: str
    reason_width: float


def _aligned(run: Sequence[Equation], width: float) -> Iterator[str]:
    if not run:
        return
    left = max(0.0 if e.continued else measure.width(e.tree.left) for e in run)
    widest = max(measure.width(e.tree.right) for e in run)
    reasons = max(_words_width(e.reason) for e in run)
    apart = left > WIDE * width and left + RELATION + max(widest, QUAD + reasons) > width
    if apart:
        left = QUAD
    rows = [_row(equation, width - left - RELATION, apart) for equation in run]
    right = RELATION + max(max(row.widths) for row in rows)
    column = not apart and left + right + _COLUMNS + reasons <= width
    yield "\\begin{align*}"
    yield " \\\\\n".join(_row_latex(row, left, width, column) for row in rows)
    yield "\\end{align*}"


def _row(equation: Equation, room: float, apart: bool) -> _Row:
    """``apart``: the left side is on a line of its own."""
    left = "" if equation.continued else to_latex(equation.tree.left) + " "
    if apart:
        left = f"&{left}\\\\\n  &\\quad = " if left else "&\\quad = "
    else:
        left += "&= "
    lines = tuple(_broken(equation.tree.right, room))
    reason = equation.reason
    return _Row(
        left,
        tuple(text for text, _ in lines),
        tuple(width for _, width in lines),
        f"\\text{{{latex_words(reason)}}}" if reason else "",
        _words_width(reason),
    )


def _words_width(words: Words | None) -> float:
    if words is None:
        return 0.0
    formulas = sum(measure.width(tree, INLINE) for tree in words.formulas)
    return formulas + measure.text_width(words.template)


def _row_latex(row: _Row, left: float, width: float, column: bool) -> str:
    first, *others = row.lines
    text = f"  {row.left}{first}"
    for line in others:
        text += f" \\\\\n  &\\quad {line}"
    if not row.reason:
        return text
    if column:
        return f"{text} && {row.reason}"
    last = row.widths[-1] if others else row.widths[0]
    if left + RELATION + last + 2 * QUAD + row.reason_width <= width:
        return f"{text} \\qquad {row.reason}"
    return f"{text} \\\\\n  &\\quad {row.reason}"


# --- Breaking -------------------------------------------------------------------------------------

Piece: TypeAlias = tuple[str, float]
"""Some LaTeX and its width."""


def _broken(node: Node, room: float) -> Iterator[Piece]:
    """The right side in lines that fit, each with its width."""
    lines = [_whole(node)]
    for factors in (False, True):
        if max(width for _, width in lines) <= room:
            break
        lines = list(_filled(_pieces(node, factors), room))
    yield from lines


def _pieces(node: Node, factors: bool) -> list[Piece]:
    """What a line may be broken between, each piece with the operator that it begins with;
    ``factors`` allows breaks within a product as well."""
    match node:
        case Terms((first, second, *others)):
            every = (first, second, *others)
            return [piece for k, term in enumerate(every) for piece in _term(term, k, factors)]
        case Terms((Signed(True, body),)):
            (text, width), *rest = _pieces(body, factors)
            return [("-" + text, width + measure.MINUS), *rest]
        case Product((*head, last)):
            inner = _pieces(last, factors)
            if factors:
                return [*map(_whole, head), *inner]
            return [_whole(Product(tuple(head))), *inner] if len(inner) > 1 else [_whole(node)]
        case Group(Terms((_, _, *_)) as terms):
            # \\left and \\right must not stand in different lines, so the size is fixed.
            (text, width), *rest = _pieces(terms, factors)
            *rest, (end, wide) = rest
            return [("\\Bigl(" + text, width + 6), *rest, (end + "\\Bigr)", wide + 6)]
        case Total(index, size, body):
            (text, width), *rest = _pieces(body, factors)
            sign = rf"\sum_{{{index}=1}}^{{{to_latex(size)}}}"
            wide = measure.width(node) - measure.width(body)
            return [(f"{sign} {text}", wide + width), *rest]
        case _:
            return [_whole(node)]


def _whole(node: Node) -> Piece:
    return to_latex(node), measure.width(node)


def _term(term: Signed, place: int, factors: bool) -> list[Piece]:
    (text, width), *rest = _pieces(term.body, factors) if factors else [_whole(term.body)]
    if place:
        sign = "-" if term.negative else "+"
        return [(f"{sign} {text}", width + BINARY), *rest]
    return [("-" * term.negative + text, width + measure.MINUS * term.negative), *rest]


def _filled(pieces: Sequence[Piece], room: float) -> Iterator[Piece]:
    """As many pieces on a line as fit; later lines are indented by a quad."""
    text, width = pieces[0]
    for piece, wide in pieces[1:]:
        if width + wide <= room:
            text, width = f"{text} {piece}", width + wide
        else:
            yield text, width
            text, width = piece, wide + QUAD
    yield text, width

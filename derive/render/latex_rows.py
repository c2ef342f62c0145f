"""Equations as the rows of an aligned environment that fit the line.

A chain of equations is one run of rows, as are single equations in a row.  Reasons stand in a
column of their own if that fits, else each beside its equation, or on a line below it.  An equation
that is too wide is broken before an operator, inside its last parentheses if it has no other.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from typing import TypeAlias

from derive.render import measure
from derive.render.blocks import Block, Equation, Heading, Symbols, Words
from derive.render.latex import run_together, to_latex
from derive.render.latex_name import GREEK
from derive.render.measure import BINARY, INLINE, QUAD, RELATION, THIN, Style
from derive.render.tree import Group, Matrix, Node, Product, Signed, Terms, Total

WIDE = 0.3  # of the line: a left side that stands alone
_COLUMNS = 11.0  # what amsmath leaves at least between columns


@dataclass(frozen=True)
class Run:
    """Equations that are aligned with each other, and their labels."""

    equations: tuple[Equation, ...]
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Line:
    """One line of an aligned environment, and the label of the equation whose number it bears.

    ``goes_on`` says that it goes on with the equation of the line before.
    """

    text: str
    label: str = ""
    goes_on: bool = False


Part: TypeAlias = Heading | Words | Symbols | Run


def runs(body: Iterable[tuple[Block, str]], width: float) -> Iterator[Part]:
    """The labelled blocks, their equations gathered into runs for lines of so many points."""
    run: list[tuple[Equation, str]] = []
    for (block, label), (after, _) in pairwise([*body, (_END, "")]):
        if isinstance(block, Equation):
            if run and not block.continued and _begins(run[-1][0], block, after, width):
                yield _run(run)
                run = []
            run.append((block, label))
            continue
        if run:
            yield _run(run)
        run = []
        yield block
    if run:
        yield _run(run)


_END = Words("")


def _run(equations: Sequence[tuple[Equation, str]]) -> Run:
    found, labels = zip(*equations, strict=True)
    return Run(found, labels)


def _begins(before: Equation, equation: Equation, following: Block, width: float) -> bool:
    """Whether an equation stands apart from the one before it: as the first of a chain, behind a
    chain, as a matrix, or because a left side is so wide that others had better not be aligned
    with it."""
    opens = isinstance(following, Equation) and following.continued
    lefts = max(measure.width(e.tree.left) for e in (before, equation))
    alone = isinstance(equation.tree.right, Matrix)
    return opens or alone or before.continued or lefts > WIDE * width


_SPECIAL = {letter: "\\" + letter for letter in "&%#_${}"} | {
    "\\": r"$\backslash$",
    "^": r"$\hat{}$",
    "~": r"$\sim$",
    "<": "$<$",
    ">": "$>$",
    "|": "$|$",
}
# What the fonts of TeX's first encoding can make: accents on its letters, and some signs.
_ACCENTS = "\u0300\u0301\u0302\u0303\u0304\u0306\u0307\u0308\u030a\u030b\u030c\u0327"
_SIGNS = "ßæœøÆŒØłŁ–—‘’“”…"


def escaped(text: str) -> str:
    """Words as LaTeX: its own signs by name, Greek as formulas; of what TeX has no letter for, the
    number."""
    return "".join(map(_letter, unicodedata.normalize("NFC", text)))


def _letter(letter: str) -> str:
    if letter in _SPECIAL:
        return _SPECIAL[letter]
    if letter in GREEK:
        return f"${GREEK[letter]}$"
    apart = unicodedata.normalize("NFD", letter)
    if letter in _SIGNS or (apart[0].isascii() and set(apart[1:]) <= set(_ACCENTS)):
        return letter
    return rf"\texttt{{U+{ord(letter):04X}}}"


def latex_words(block: Words) -> str:
    """A sentence with its formulas in line."""
    if not block.formulas:  # a message may have names with underscores in it
        return escaped(block.template.format())
    return block.template.format(*(f"${to_latex(tree)}$" for tree in block.formulas))


# --- Rows -----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Row:
    """One equation: its left side, maybe on a line of its own, and the right one in lines."""

    alone: str
    left: str
    lines: tuple[str, ...]
    widths: tuple[float, ...]
    reason: str
    reason_width: float
    label: str


def lines(run: Run, width: float) -> list[Line]:
    """The lines of a run, none wider than so many points."""
    equations = run.equations
    left = max(0.0 if e.continued else measure.width(e.tree.left) for e in equations)
    widest = max(measure.width(e.tree.right) for e in equations)
    reasons = max(_words_width(e.reason) for e in equations)
    apart = left > WIDE * width and left + RELATION + max(widest, QUAD + reasons) > width
    if apart:
        left = QUAD
    labelled = zip(equations, run.labels, strict=True)
    rows = [_row(equation, label, width - left - RELATION, apart) for equation, label in labelled]
    right = RELATION + max(max(row.widths) for row in rows)
    column = not apart and left + right + _COLUMNS + reasons <= width
    return [line for row in rows for line in _lines(row, left, width, column)]


def _row(equation: Equation, label: str, room: float, apart: bool) -> _Row:
    """``apart``: the left side is on a line of its own."""
    left = "" if equation.continued else to_latex(equation.tree.left) + " "
    pieces = tuple(_broken(equation.tree.right, room))
    reason = equation.reason
    return _Row(
        f"&{left}".rstrip() if apart and left else "",
        "&\\quad = " if apart else left + "&= ",
        tuple(text for text, _ in pieces),
        tuple(width for _, width in pieces),
        f"\\text{{{latex_words(reason)}}}" if reason else "",
        _words_width(reason),
        label,
    )


def _words_width(words: Words | None) -> float:
    if words is None:
        return 0.0
    formulas = sum(measure.width(tree, INLINE) for tree in words.formulas)
    return formulas + measure.text_width(words.template)


def _lines(row: _Row, left: float, width: float, column: bool) -> Iterator[Line]:
    first, *others = row.lines
    texts = [row.left + first, *(f"&\\quad {line}" for line in others)]
    if row.alone:
        texts.insert(0, row.alone)
    numbered = len(texts) - 1
    beside = left + RELATION + row.widths[-1] + 2 * QUAD + row.reason_width <= width
    if row.reason and (column or beside):
        texts[-1] += f" {'&&' if column else _APART} {row.reason}"
    elif row.reason:
        texts.append(f"&\\quad {row.reason}")
    for place, text in enumerate(texts):
        yield Line(text, row.label if place == numbered else "", goes_on=place > 0)


_APART = r"\qquad"


# --- Breaking -------------------------------------------------------------------------------------

Piece: TypeAlias = tuple[str, float]
"""Some LaTeX and its width."""


def _broken(node: Node, room: float) -> Iterator[Piece]:
    """The right side in lines that fit, each with its width."""
    lines = [_whole(node)]
    if isinstance(node, Matrix):
        yield lines[0] if lines[0][1] <= room else _small(node)
        return
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
            inner = _apart(head[-1], last, _pieces(last, factors))
            if factors:
                pairs = pairwise(head)
                between = [_apart(left, right, [_whole(right)]) for left, right in pairs]
                return [_whole(head[0]), *chain.from_iterable(between), *inner]
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


def _apart(left: Node, right: Node, pieces: list[Piece]) -> list[Piece]:
    """The pieces of a right factor, with a space where the two would look like one word."""
    (text, width), *rest = pieces
    return [(rf"\, {text}", width + THIN), *rest] if run_together(left, right) else pieces


def _small(node: Matrix) -> Piece:
    """A matrix cannot be broken, but its letters can be those of an index."""
    small = to_latex(node).replace("{pmatrix}", "{smallmatrix}")
    return rf"\left({small}\right)", measure.width(node, Style(0.7, display=False))


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

r"""LaTeX as items: characters, commands and groups, each with its place.

Only what prints in a formula is part of it, and what is not known is refused.  Space and the size
of brackets mean nothing and are dropped here, as are the signs around a formula, $ and \[.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeAlias

from derive.grammar.source import Place, Source, described, hidden
from derive.grammar.tokens import CYRILLIC, Token
from derive.render.latex_name import GREEK

LONGEST = 4_000  # characters; the longest formula of the source documents has 250
DEEPEST = 40  # groups in groups; the deepest of the source documents has 7

_TOKEN = re.compile(
    r"(?P<command>\\(?:[A-Za-z]+|[^A-Za-z\s]))"
    r"|(?P<letter>[A-Za-z])"
    r"|(?P<digit>[0-9])"
    r"|(?P<sign>:=|[-+*/=^_()\[\]|,.:'&{}$])"
    r"|(?P<space>\\?[ \t]|~|\\\Z)"
)
_SPACE = frozenset(
    rf"\{name}" for name in (*",;:!> ", "quad", "qquad", "limits", "nolimits", "displaystyle")
) | {r"\textstyle", r"\thinspace", r"\medspace", r"\nonumber", r"\notag"}
_SIZES = frozenset(
    rf"\{size}{side}" for size in ("big", "Big", "bigg", "Bigg") for side in ("", "l", "r", "m")
)
_ROMAN = frozenset((r"\rm", r"\it"))  # old switches that change the letters' shape alone
_LENGTH = re.compile(r"\s*-?[0-9]+(\.[0-9]+)?\s*(pt|mu|em|ex)")
_DELIMITERS = {"$": "$", r"\[": r"\]", r"\(": r"\)"}
_PRINTED = {
    **dict.fromkeys("−–—‐‑‒﹣", "-"),
    **dict.fromkeys("·⋅∙•", r"\cdot"),
    **dict.fromkeys("×", r"\times"),
    **dict.fromkeys("∕⁄÷", "/"),
    **dict.fromkeys("′’‘`", "'"),
    "∗": "*",
    "²": "^2",
    "³": "^3",
    "√": r"\sqrt{...}",
    "∑": r"\sum",
    "Σ": r"\sum",
    "∂": r"\partial",
    "ℓ": r"\ell",
    "µ": r"\mu",
    "ϵ": r"\epsilon",
    "ε": r"\varepsilon",
    "≠": r"\neq",
    "←": r"\leftarrow",
    "∈": r"\in",
    "%": "nothing: comments are no part of a formula",
    '"': "'",
    "!": "a product",
}


@dataclass(frozen=True)
class Group:
    """{ … }, which TeX does not print."""

    items: tuple[Item, ...]
    place: Place

    def __str__(self) -> str:
        return "'{'"


Item: TypeAlias = Token | Group


def items(source: Source) -> tuple[Item, ...]:
    """The items of a formula, ``end`` last.  Raises SourceError at what cannot be one."""
    if len(source.text.strip()) > LONGEST:
        place = Place(0, 0, 1)
        raise source.error(
            place, f"a formula has at most {LONGEST} characters, not {len(source.text.strip())}"
        )
    found = _without_delimiters(source, list(_tokens(source)))
    return (*_grouped(source, found), _end(source))


def _end(source: Source) -> Token:
    last = len(source.lines) - 1
    at = len(source.lines[last].rstrip())
    return Token("end", "", Place(last, at, at + 1))


def _tokens(source: Source) -> Iterator[Token]:
    for number, line in enumerate(source.lines):
        at = 0
        while at < len(line):
            match = _TOKEN.match(line, at)
            if match is None:
                raise source.error(Place(number, at, at + 1), _unsupported(line[at]))
            place = Place(number, at, match.end())
            text, at = match[0], match.end()
            if match["command"]:
                if text in (r"\kern", r"\mkern", r"\hskip"):
                    length = _LENGTH.match(line, at)
                    if length is None:
                        raise source.error(place, f"{text} needs a length behind it, as in 1pt")
                    at = length.end()
                elif text not in _SPACE | _SIZES | _ROMAN:
                    yield Token("command", text, place)
            elif match["letter"]:
                yield Token("name", text, place)
            elif match["digit"]:
                yield Token("number", text, place)
            elif match["sign"]:
                yield Token("sign", text, place)


def _unsupported(character: str) -> str:
    """What to say of a character, and what to write in its place, where that can be told."""
    said = f"the character {described(character)} is not part of a formula in LaTeX"
    instead = _PRINTED.get(character) or CYRILLIC.get(character) or GREEK.get(character)
    if instead is None:
        plain = unicodedata.normalize("NFKC", character)
        if len(plain) == 1 and plain.isascii() and plain.isalnum() and plain != character:
            instead = plain
        elif hidden(character):
            return f"{said}; delete it"
    return f"{said}; write {instead}" if instead else said


def _without_delimiters(source: Source, tokens: list[Token]) -> list[Token]:
    """The formula between $ … $ or \\[ … \\]."""
    while tokens and tokens[0].text in _DELIMITERS:
        opening = tokens[0]
        closing = _DELIMITERS[opening.text]
        if len(tokens) < 2 or tokens[-1].text != closing:
            raise source.error(
                opening.place,
                f"the formula begins with {opening.text}, but does not end with {closing}",
            )
        tokens = tokens[1:-1]
    for token in tokens:
        if token.text == "$" or token.text in (r"\[", r"\]", r"\(", r"\)"):
            raise source.error(token.place, f"found {token} inside a formula")
    return tokens


def _grouped(source: Source, tokens: list[Token]) -> tuple[Item, ...]:
    """Braces matched."""
    levels: list[list[Item]] = [[]]
    opened: list[Token] = []
    for token in tokens:
        if token.text == "{":
            levels.append([])
            opened.append(token)
            if len(opened) > DEEPEST:
                raise source.error(token.place, f"braces nested more than {DEEPEST} deep")
        elif token.text == "}":
            if not opened:
                raise source.error(token.place, "found '}', but no brace is open here")
            group = Group(tuple(levels.pop()), opened.pop().place)
            levels[-1].append(group)
        else:
            levels[-1].append(token)
    if opened:
        raise source.error(opened[-1].place, "this brace is not closed")
    return tuple(levels[0])

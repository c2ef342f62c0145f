"""From text to tokens: names, numbers and signs, each with its place.

Only ASCII is part of the format.  What looks like something that is, or means it in print, is named
together with what to write instead.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal

from derive.grammar.source import Place, Source, described, hidden

MOST_TOKENS = 2_000
LONGEST_NAME = 40
LONGEST_NUMBER = 1000  # digits
LARGEST_EXPONENT = 99  # of a decimal such as 1e-5

Kind = Literal["name", "number", "sign", "command", "text", "end"]

_TOKEN = re.compile(
    r"(?P<name>[A-Za-z][A-Za-z0-9_]*)"
    r"|(?P<number>[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?)"
    r"|(?P<sign>\*\*|>=|[-+*/^()\[\],;:=>])"
)
_PRINTED = {
    **dict.fromkeys("−–—‐‑‒﹣", "-"),
    **dict.fromkeys("×·∗⋅•∙", "*"),
    **dict.fromkeys("÷∕⁄", "/"),
    "²": "^2",
    "³": "^3",
    "√": "sqrt(...)",
    "∑": "sum[...](...)",
    "Σ": "sum[...](...)",
    "∂": "d",
    "≥": ">=",
    "∞": "a finite number",
    "{": "( or [",
    "}": ") or ]",
    "|": "abs(...)",
    "'": "another name: x_2, not x'",
    ".": "0 before it, as in 0.5",
    "_": "a name that begins with a letter",
    "<": "the sign the other way round, as in eps > 0",
    "ℓ": "l",
    "µ": "mu",
    "ϵ": "eps",
    "ε": "eps",
}
CYRILLIC = dict(zip("асеорхуіјѕԁһАВЕКМНОРСТХІЈЅ", "aceopxyijsdhABEKMHOPCTXIJS", strict=True))


@dataclass(frozen=True)
class Token:
    """``text`` is what stands there; of a text token (a note or a title) without outer spaces."""

    kind: Kind
    text: str
    place: Place

    def __str__(self) -> str:
        """As error messages call it."""
        return "the end of the line" if self.kind == "end" else f"'{_shortened(self.text)}'"


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else text[:LONGEST_NAME] + "…"


def tokens(source: Source, line: int) -> list[Token]:
    """The tokens of one line, ``end`` last.  Raises SourceError at what is not part of the format.

    # begins a comment.  What follows a colon is one text token, but not after ``axes``, ``stages``.
    """
    text = source.lines[line]
    for at, character in enumerate(text):
        if hidden(character) and character != "\t":
            raise source.error(Place(line, at, at + 1), _unsupported(character))
    text = text.partition("#")[0].rstrip()
    found: list[Token] = []
    at = 0
    while True:
        at += len(text[at:]) - len(text[at:].lstrip(" \t"))
        if at == len(text):
            found.append(Token("end", "", Place(line, at, at + 1)))
            return found
        if _before_text(found):
            found.append(Token("text", text[at:], Place(line, at, len(text))))
            at = len(text)
            continue
        token = _token(source, text, line, at)
        found.append(token)
        at = token.place.end


def _before_text(found: list[Token]) -> bool:
    names = [token.text for token in found] in (["axes", ":"], ["stages", ":"])
    return bool(found) and found[-1].text == ":" and not names


def _token(source: Source, text: str, line: int, at: int) -> Token:
    match = _TOKEN.match(text, at)
    if match is None:
        raise source.error(Place(line, at, at + 1), _unsupported(text[at]))
    kind: Kind = "name" if match["name"] else "number" if match["number"] else "sign"
    token = Token(kind, match[0], Place(line, at, match.end()))
    if kind == "name" and len(token.text) > LONGEST_NAME:
        raise source.error(token.place, f"a name has at most {LONGEST_NAME} characters")
    if kind == "number":
        _check_number(source, token, text)
    return token


def _check_number(source: Source, token: Token, text: str) -> None:
    mantissa, _, exponent = token.text.lower().partition("e")
    power = exponent.lstrip("+-").lstrip("0") or "0"
    if max(len(mantissa), len(power)) > LONGEST_NUMBER or int(power) > LARGEST_EXPONENT:
        raise source.error(
            token.place,
            f"a number has at most {LONGEST_NUMBER} digits, "
            f"and an exponent of at most {LARGEST_EXPONENT}",
        )
    end = token.place.end
    if end < len(text) and ((text[end].isascii() and text[end].isalpha()) or text[end] in "_."):
        letters = re.match(r"[A-Za-z0-9_.]+", text[end:])
        assert letters is not None
        what = token.text + letters[0]
        hint = f"; a product needs its sign: {token.text}*{letters[0]}"
        place = Place(token.place.line, token.place.start, end + len(letters[0]))
        plain = letters[0][0].isalpha() and "." not in letters[0]
        raise source.error(place, f"found '{_shortened(what)}', which is no number" + hint * plain)


def _unsupported(character: str) -> str:
    """What to say of a character, and what to write in its place, where that can be told."""
    said = f"the character {described(character)} is not part of the format"
    instead = _PRINTED.get(character) or CYRILLIC.get(character)
    if instead is None:
        plain = unicodedata.normalize("NFKC", character)
        name = unicodedata.name(character, "")
        if plain.isascii() and plain.isprintable() and plain != character:
            instead = plain.strip() or "a space"
        elif name.startswith("GREEK ") and " LETTER " in name:
            letter = name.split(" LETTER ")[1].split()[0].lower()
            instead = letter.capitalize() if "CAPITAL" in name else letter
        elif hidden(character):
            return f"{said}; delete it"
    return f"{said}; write {instead}" if instead else said

r"""A name in LaTeX, such as \hat{x} or \mathcal{L}, as MathML.

The grammar is that of :mod:`derive.render.latex_name`, which has checked what comes from a
notation; a label that prints as itself is in it, too.  Fonts become Unicode's mathematical letters,
which need no style, but for roman (MathML sets a word upright) and typewriter (a class).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from html import escape
from itertools import groupby

from derive.render.latex_name import LETTERS

# Also those by which a label that prints as itself is escaped.
_LETTERS = LETTERS | {r"\sim": "∼", r"\backslash": "\\"}
_UPRIGHT = "ΓΔΘΛΞΠΣΥΦΨΩ"  # as LaTeX sets them
_OPERATORS = "∇′⋆∗†∘∙⊤⊥⊙⊕∥∼\\()[],*+-"
_ACCENTS = {
    "hat": "ˆ",
    "tilde": "˜",
    "bar": "¯",
    "vec": "→",
    "dot": "˙",
    "ddot": "¨",
    "check": "ˇ",
    "breve": "˘",
    "acute": "´",
    "grave": "`",
    "mathring": "˚",
}
_WIDE = {"widehat": "^", "widetilde": "~", "overline": "‾", "underline": "_"}
# Where each mathematical alphabet has its A and its a, and the letters that Unicode has elsewhere.
_ALPHABETS = {
    "mathbf": (0x1D400, 0x1D41A, {}),
    "mathit": (0x1D434, 0x1D44E, {"h": "ℎ"}),
    "boldsymbol": (0x1D468, 0x1D482, {}),
    "mathcal": (
        0x1D49C,
        0x1D4B6,
        dict(zip("BEFHILMRego", "ℬℰℱℋℐℒℳℛℯℊℴ", strict=True)),
    ),
    "mathsf": (0x1D5A0, 0x1D5BA, {}),
}
_WORDS = ("mathrm", "mathtt")  # their letters make one word
_TOKEN = re.compile(r"\\[A-Za-z]+|\\.|[^ ]", re.DOTALL)


def from_latex(latex: str) -> str:
    """The elements, in an mrow where they are several.

    Raises TypeError for a command that it does not know.
    """
    return row(_Reader(_TOKEN.findall(latex)).items(""))


def row(elements: list[str]) -> str:
    return elements[0] if len(elements) == 1 else f"<mrow>{''.join(elements)}</mrow>"


@dataclass(frozen=True)
class _Letter:
    """One character of a word in a font."""

    font: str
    text: str


class _Reader:
    def __init__(self, tokens: list[str]) -> None:
        self.tokens, self.place = tokens, 0

    def items(self, font: str) -> list[str]:
        """Everything up to a closing brace, or the end."""
        found: list[str | _Letter] = []
        while self._next() not in ("}", ""):
            found += self._scripted(font)
        return list(_joined(found))

    def _next(self) -> str:
        return self.tokens[self.place] if self.place < len(self.tokens) else ""

    def _take(self) -> str:
        self.place += 1
        return self.tokens[self.place - 1]

    def _scripted(self, font: str) -> list[str | _Letter]:
        core = self._item(font)
        scripts: dict[str, str] = {}
        while self._next() in ("^", "_"):
            sign = self._take()
            scripts[sign] = row(list(_joined(self._item(font))))
        if not scripts:
            return core
        return [scripted(row(list(_joined(core))), scripts.get("_", ""), scripts.get("^", ""))]

    def _item(self, font: str) -> list[str | _Letter]:
        token = self._take()
        if token == "{":
            inside = self.items(font)
            self._take()
            return list(inside)
        if token == r"\,":
            return ['<mspace width="0.17em"/>']
        name = token[1:]
        if name in _WORDS or name in _ALPHABETS:
            return self._in_font(name)
        if name in _ACCENTS or name in _WIDE:
            return [self._accent(name, font)]
        letter = _LETTERS.get(token, token if len(token) == 1 else name)
        if len(letter) > 1:
            raise TypeError(f"no MathML for {token}")
        return [_Letter(font, letter)] if font in _WORDS else [_single(letter, font)]

    def _in_font(self, font: str) -> list[str | _Letter]:
        """The braces behind a font; a word stays open, so that another can be joined to it."""
        self._take()
        found: list[str | _Letter] = []
        while self._next() != "}":
            found += self._scripted(font)
        self._take()
        return found

    def _accent(self, name: str, font: str) -> str:
        inside = row(list(_joined(self._item(font))))
        if inside == "<mrow></mrow>":  # \hat{}: how a label's own ^ is written
            return _element("mo", _ACCENTS.get(name, ""))
        kind, accent = ("munder", "accentunder") if name == "underline" else ("mover", "accent")
        stretchy = "" if name in _WIDE else ' stretchy="false"'
        sign = f"<mo{stretchy}>{(_ACCENTS | _WIDE)[name]}</mo>"
        return f'<{kind} {accent}="true">{inside}{sign}</{kind}>'


def scripted(core: str, below: str, above: str) -> str:
    """An element with its scripts, either of which may be missing."""
    if below and above:
        return f"<msubsup>{core}{below}{above}</msubsup>"
    if below:
        return f"<msub>{core}{below}</msub>"
    return f"<msup>{core}{above}</msup>" if above else core


def _joined(found: list[str | _Letter]) -> Iterator[str]:
    """The elements, with letters of one font made into words."""
    for font, run in groupby(found, lambda one: one.font if isinstance(one, _Letter) else ""):
        if font:
            word = "".join(letter.text for letter in run if isinstance(letter, _Letter))
            yield _word(word, font)
        else:
            yield from (element for element in run if isinstance(element, str))


def _word(word: str, font: str) -> str:
    kind = ' class="tt"' if font == "mathtt" else ""
    upright = ' mathvariant="normal"' if len(word) == 1 else ""
    return f"<mi{kind}{upright}>{escape(word)}</mi>"


def _single(letter: str, font: str) -> str:
    if letter.isdigit():
        return _element("mn", letter)
    if letter in _OPERATORS:
        return f'<mo stretchy="false">{escape(letter)}</mo>'
    if letter in _UPRIGHT and not font:
        return f'<mi mathvariant="normal">{letter}</mi>'
    return _element("mi", _in_alphabet(letter, font))


def _in_alphabet(letter: str, font: str) -> str:
    if font not in _ALPHABETS:
        return letter
    upper, lower, elsewhere = _ALPHABETS[font]
    if letter in elsewhere:
        return elsewhere[letter]
    if "A" <= letter <= "Z":
        return chr(upper + ord(letter) - ord("A"))
    if "a" <= letter <= "z":
        return chr(lower + ord(letter) - ord("a"))
    if "α" <= letter <= "ω" and font in ("mathbf", "boldsymbol"):
        return chr((0x1D6C2 if font == "mathbf" else 0x1D736) + ord(letter) - ord("α"))
    return letter


def _element(kind: str, text: str) -> str:
    return f"<{kind}>{escape(text)}</{kind}>"

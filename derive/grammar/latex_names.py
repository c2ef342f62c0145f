r"""Names as LaTeX prints them.

A name is a letter, a Greek letter or a word in upright type, perhaps under accents, with primes and
scripts: \widehat{x}_i, \sigma_B^2, Z^{[l](i)}, \mathrm{RMS}.  Its *key* is what is left without
scripts and fonts, so that \widehat x and \hat{\mathbf x} are one name; fonts must then not tell
names apart, which the parser sees to.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from derive.grammar.latex_items import Group, Item, items
from derive.grammar.source import Place, Source
from derive.grammar.tokens import Token
from derive.render.latex_name import GREEK

LETTERS = frozenset((*GREEK.values(), r"\ell"))
ACCENTS = {
    **{rf"\{name}": rf"\{name}" for name in ("hat", "tilde", "bar", "dot", "ddot", "check", "vec")},
    r"\widehat": r"\hat",
    r"\widetilde": r"\tilde",
    r"\overline": r"\bar",
}
FONTS = frozenset(
    rf"\{name}"
    for name in ("mathrm", "mathbf", "mathit", "mathsf", "mathtt", "mathcal", "mathbb", "mathscr")
) | {r"\boldsymbol", r"\bm", r"\text", r"\textrm", r"\operatorname", r"\mathnormal"}
_OPENS = ("(", "[", "=", "&", ",", r"\{", r"\leftarrow", ":=")
_CLOSES = (")", "]", "=", "&", ",", ".", r"\}", r"\right", "+", "-", r"\\", r"\cr", r"\end", "/")
_SAME = {r"\varepsilon": r"\epsilon"}


class Cursor:
    """A place in a row of items.  Braces that do not print are seen through."""

    def __init__(self, source: Source, row: Iterable[Item], end: Token) -> None:
        self.source, self._row, self._at, self._end = source, list(row), 0, end

    @property
    def item(self) -> Item:
        """What comes next; a group only where it is a fraction by \\over."""
        while self._at < len(self._row):
            item = self._row[self._at]
            if isinstance(item, Token) or has_over(item):
                return item
            self._check_braces(item)
            self._row[self._at : self._at + 1] = item.items
        return self._end

    def _check_braces(self, group: Group) -> None:
        """Braces do not print, so {a + b}c is a + bc: the author may have meant another thing."""
        signs = loose_signs(group)
        if not signs:
            return
        before = self._row[self._at - 1] if self._at else None
        after = self.ahead(1)
        factor = before is not None and not (isinstance(before, Token) and before.text in _OPENS)
        sign = isinstance(before, Token) and before.text in ("+", "-", "*", r"\cdot", r"\times")
        script = isinstance(after, Token) and after.text in ("^", "_", "'")
        ends = isinstance(after, Token) and (after.kind == "end" or after.text in _CLOSES)
        inner = signs != [0]
        if (factor and (inner or not sign)) or script or (inner and not ends):
            raise self.source.error(
                group.place,
                "these braces do not print, and what is in them would fall apart; "
                "write parentheses",
            )

    @property
    def place(self) -> Place:
        return self.item.place

    def sees(self, *texts: str) -> bool:
        return isinstance(self.item, Token) and self.item.text in texts

    def at_end(self) -> bool:
        return self.item is self._end

    def take(self) -> Item:
        item = self.item
        self._at += item is not self._end
        return item

    def accept(self, *texts: str) -> Token | None:
        item = self.item
        if isinstance(item, Token) and item.text in texts and item is not self._end:
            self._at += 1
            return item
        return None

    def ahead(self, count: int) -> Item:
        """A later item; looked at only behind items that have been seen."""
        at = self._at + count
        return self._row[at] if at < len(self._row) else self._end

    def raw(self) -> Item:
        """The next item, taken as it stands."""
        item = self.ahead(0)
        self._at += item is not self._end
        return item

    def argument(self, of: Token) -> tuple[Item, ...]:
        """What stands in braces behind a command or a script, or the one sign there."""
        item = self.raw()
        if isinstance(item, Group):
            return item.items
        if item.kind in ("name", "number") or item.text in LETTERS or item.text == r"\prime":
            return (item,)
        if item.text in FONTS and of.text in ("^", "_"):
            return (item, Group(self.argument(item), item.place))
        raise self.source.error(item.place, f"{of.text} needs braces behind it: {of.text}{{...}}")


def has_over(group: Group) -> bool:
    return any(isinstance(item, Token) and item.text == r"\over" for item in group.items)


def loose_signs(group: Group) -> list[int]:
    """Where + and - stand in a group outside parentheses."""
    found, depth = [], 0
    for k, item in enumerate(group.items):
        if isinstance(item, Token):
            depth += (item.text in ("(", "[")) - (item.text in (")", "]"))
            if item.text in ("+", "-") and not depth:
                found.append(k)
    return found


def flat(row: Iterable[Item]) -> list[Token]:
    """The tokens in all groups."""
    found: list[Token] = []
    for item in row:
        found += flat(item.items) if isinstance(item, Group) else [item]
    return found


def printed(row: Iterable[Item]) -> str:
    """What is printed, fonts left out."""
    return "".join(token.text for token in flat(row) if token.text not in FONTS)


# --- Names as they are written --------------------------------------------------------------------


@dataclass(frozen=True)
class Written:
    """``key`` with the items below and above it; ``font`` is what the key leaves out."""

    key: str
    font: str
    below: tuple[Item, ...]
    above: tuple[Item, ...]
    place: Place

    def __str__(self) -> str:
        below, above = printed(self.below), printed(self.above)
        return self.key + f"_{{{below}}}" * bool(below) + f"^{{{above}}}" * bool(above)


def begins_name(cursor: Cursor) -> bool:
    item = cursor.item
    if not isinstance(item, Token) or item.kind not in ("name", "command"):
        return False
    return item.kind == "name" or item.text in LETTERS or item.text in (*ACCENTS, *FONTS)


def name(cursor: Cursor) -> Written:
    """The name that begins here, with its scripts.  Raises SourceError if there is none."""
    if not begins_name(cursor):
        raise cursor.source.error(cursor.place, f"found {cursor.item}, expected a name")
    token = cursor.take()
    assert isinstance(token, Token)
    inner: Written | None = None
    key, font = token.text, ""
    if token.text in ACCENTS:
        inner = _argument(cursor, token)
        key, font = f"{ACCENTS[token.text]}{{{inner.key}}}", inner.font
    elif token.text in FONTS:
        key, font = _in_font(cursor, token)
    below, above, primes = scripts(cursor)
    if inner is not None:
        if (inner.below and below) or (inner.above and above):
            raise cursor.source.error(token.place, "scripts inside the accent and behind it")
        if inner.above and not printed(inner.above).startswith(("(", "[")):
            raise cursor.source.error(token.place, "an exponent stands behind the accent")
        below, above = below or inner.below, above or inner.above
    place = Place(token.place.line, token.place.start, _end_before(cursor, token))
    return Written(_SAME.get(key, key) + "'" * primes, font, below, above, place)


def _end_before(cursor: Cursor, first: Token) -> int:
    """Where the name ends, if what follows is on the same line."""
    after = cursor.place
    if after.line != first.place.line or after.start <= first.place.start:
        return first.place.end
    text = cursor.source.lines[after.line][first.place.start : after.start]
    return first.place.start + len(text.rstrip(" {"))


def _argument(cursor: Cursor, command: Token) -> Written:
    """The one name that an accent stands over."""
    inside = Cursor(cursor.source, cursor.argument(command), _closing(command))
    found = name(inside)
    if not inside.at_end():
        raise cursor.source.error(inside.place, f"{command.text} stands over one name")
    return found


def _in_font(cursor: Cursor, command: Token) -> tuple[str, str]:
    inside = Cursor(cursor.source, cursor.argument(command), _closing(command))
    letters = flat(inside._row)
    if len(letters) > 1 and all(t.kind == "name" or t.text == r"\_" for t in letters):
        return "".join(t.text.lstrip("\\") for t in letters), ""
    found = name(inside)
    if not inside.at_end() or found.below or found.above:
        raise cursor.source.error(command.place, f"{command.text} takes a letter or a word")
    return found.key, command.text


def _closing(command: Token) -> Token:
    return Token("end", f"the end of {command.text}", command.place)


def scripts(cursor: Cursor) -> tuple[tuple[Item, ...], tuple[Item, ...], int]:
    """What stands below and above, and the number of primes."""
    found: dict[str, tuple[Item, ...]] = {}
    primes = 0
    while sign := cursor.accept("_", "^", "'"):
        if sign.text == "'":
            primes += 1
            continue
        if sign.text in found:
            raise cursor.source.error(sign.place, f"a second {sign.text} at one place")
        found[sign.text] = cursor.argument(sign)
        _check_digit(cursor, sign, found[sign.text])
    above = found.get("^", ())
    if above and all(token.text == r"\prime" for token in flat(above)):
        primes, above = primes + len(flat(above)), ()
    return found.get("_", ()), above, primes


def _check_digit(cursor: Cursor, sign: Token, argument: tuple[Item, ...]) -> None:
    """x^10 is x¹0."""
    after = cursor.item
    if len(argument) != 1 or not isinstance(after, Token) or after.kind != "number":
        return
    (digit,) = argument
    if isinstance(digit, Token) and digit.place.end == after.place.start:
        raise cursor.source.error(
            after.place,
            f"in LaTeX {sign.text}{digit.text}{after.text} raises the first sign alone; "
            f"write {sign.text}{{{digit.text}{after.text}}}",
        )


def parsed(latex: str) -> Written:
    """A name that a notation or a user gives.  Raises SourceError."""
    source = Source("name", latex)
    *row, end = items(source)
    assert isinstance(end, Token)
    cursor = Cursor(source, row, end)
    found = name(cursor)
    if not cursor.at_end():
        raise source.error(cursor.place, f"{latex} is not one name")
    return found

"""A text and the places in it that errors point to."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from derive.errors import InputError, SourceError

LARGEST = 100_000  # bytes; the longest built-in definition has about 500
SUGGESTED = 15  # names in a list of those that are known
WINDOW = 72  # columns of a line that an error shows


@dataclass(frozen=True)
class Place:
    """Characters ``start`` to ``end`` of a line, both counted from 0."""

    line: int
    start: int
    end: int


@dataclass(frozen=True)
class Source:
    """A text with the name under which errors speak of it."""

    name: str
    text: str

    @cached_property
    def lines(self) -> list[str]:
        """The lines, whatever ends them, without their ends."""
        return re.split(r"\r\n|\r|\n", self.text)

    def error(self, place: Place, message: str) -> SourceError:
        """The error at a place: where it is, the line, and a caret under the place."""
        where = f"{self.name}:{place.line + 1}:{place.start + 1}"
        line, start = printable(self.lines[place.line]), place.start
        first = max(0, start - WINDOW * 2 // 3) if len(line) > WINDOW else 0
        shown = line[first : first + WINDOW]
        length = max(1, min(place.end, first + len(shown)) - start)
        before = "…" if first else ""
        after = "…" if first + WINDOW < len(line) else ""
        caret = " " * _columns(before + line[first:start]) + "^" * length
        return SourceError(where, message, before + shown + after, caret)


def _columns(text: str) -> int:
    """The columns of a terminal that a text takes up: none for an accent, two in East Asia."""
    wide = sum(unicodedata.east_asian_width(character) in "WF" for character in text)
    return len(text) + wide - sum(map(bool, map(unicodedata.combining, text)))


def printable(text: str) -> str:
    """The text with a space for a tab, and nothing that a terminal would obey."""
    return "".join(
        " " if c == "\t" else "\N{REPLACEMENT CHARACTER}" if hidden(c) else c for c in text
    )


def hidden(character: str) -> bool:
    """Whether a character is a control: it shows nothing, or changes how others are shown."""
    return unicodedata.category(character) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def described(character: str) -> str:
    """A character for an error message: its shape, its name and its number."""
    name = unicodedata.name(character, "a control character" if hidden(character) else "unnamed")
    shape = "" if hidden(character) else f"'{character}' "
    return f"{shape}({name}, U+{ord(character):04X})"


def suggestion(name: str, known: list[str]) -> str:
    """``; did you mean …?``, or what there is."""
    near = min(known, key=lambda other: _distance(name, other), default="")
    if near and _distance(name, near)[0] <= min(max(1, len(name) // 3), len(name) - 1):
        return f"; did you mean {near}?"
    shown = ", ".join(known[:SUGGESTED]) + ", …" * (len(known) > SUGGESTED)
    return f"; known here: {shown}" if known else "; nothing is known here yet"


def _distance(a: str, b: str) -> tuple[int, int]:
    """Letters to insert, delete or change (case is free); among equals, the difference in length.

    Levenshtein's recurrence, one row at a time.
    """
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a.lower(), 1):
        above, row = row, [i]
        for j, other in enumerate(b.lower(), 1):
            row.append(min(above[j] + 1, row[j - 1] + 1, above[j - 1] + (letter != other)))
    return row[-1], abs(len(a) - len(b))


def read(path: Path) -> Source:
    """The text of a file.  Raises InputError for what is not a UTF-8 text of at most 100 kB."""
    try:
        with path.open("rb") as file:
            data = file.read(LARGEST + 1)
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from error
    if len(data) > LARGEST:
        raise InputError(f"{path}: longer than {LARGEST // 1000} kB, so this is no definition file")
    try:
        return Source(path.name, data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        raise InputError(
            f"{path.name}:{line}: byte 0x{data[error.start]:02x} is not UTF-8; "
            "save the file as UTF-8 text"
        ) from error

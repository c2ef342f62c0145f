"""The statements of a layer file: what each line says, before anything is known about names.

    file        = { line }
    line        = [ statement { ";" statement } ] [ "#" comment ]
    statement   = "layer" name [ ":" title ]
                | "source" ":" text
                | "axes" ":" name [ "(" name ")" ] { "," ... }
                | "stages" ":" name { "," name }
                | [ "constant" ] quantity [ (">" | ">=") "0" ]
                | quantity "=" expression [ ":" note ]
    quantity    = name [ "[" names "]" ]

Text after a colon goes on to the end of the line.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal, NoReturn

from derive.grammar.parser import Parser
from derive.grammar.source import Source
from derive.grammar.tokens import MOST_TOKENS, Token, tokens
from derive.grammar.tree import Node, Quantity

MOST_DEFINITIONS = 100
Sign = Literal["", ">", ">="]


@dataclass(frozen=True)
class AxisDeclaration:
    name: Token
    size: Token | None


@dataclass(frozen=True)
class Declaration:
    """An input, or with ``constant`` a parameter."""

    quantity: Quantity
    sign: Sign
    constant: bool


@dataclass(frozen=True)
class Equation:
    """A definition as written; ``note`` is "" without one."""

    quantity: Quantity
    body: Node
    note: str


@dataclass
class Statements:
    """All that a file says, each kind in the order in which it stands there."""

    name: Token | None = None
    title: str = ""
    cited: str | None = None
    axes: list[AxisDeclaration] = field(default_factory=list)
    stages: list[Token] = field(default_factory=list)
    declarations: list[Declaration] = field(default_factory=list)
    equations: list[Equation] = field(default_factory=list)


def statements(source: Source) -> Statements:
    """Everything in the file.  Raises SourceError at the first thing that is out of place."""
    found, count = Statements(), 0
    for line in range(len(source.lines)):
        read = tokens(source, line)
        count += len(read) - 1
        if count > MOST_TOKENS:
            raise source.error(
                read[0].place, f"more than {MOST_TOKENS} names, numbers and signs in one file"
            )
        reader = _Statement(source, read, found)
        while reader.token.kind != "end":
            if not reader.accept(";"):
                reader.read()
    return found


class _Statement(Parser):
    """Reads statements into ``found``."""

    def __init__(self, source: Source, read: list[Token], found: Statements) -> None:
        super().__init__(source, read)
        self._found = found

    def read(self) -> None:
        """One statement, up to the semicolon or the end of the line."""
        first, second = self.token, self.ahead(1)
        if first.text == "layer" and second.kind == "name":
            self._header()
        elif first.text == "source" and second.text == ":":
            self._citation()
        elif first.text == "axes" and second.text == ":":
            self._axes()
        elif first.text == "stages" and second.text == ":":
            self._stages()
        else:
            self._quantity()

    def _header(self) -> None:
        keyword, name = self.take(), self.take()
        if self._found.name is not None:
            self._twice(keyword, "layer NAME: TITLE")
        self._found.name, self._found.title = name, self._text()
        self._finish("':' with a title")

    def _citation(self) -> None:
        keyword = self.take()
        if self._found.cited is not None:
            self._twice(keyword, "source: TEXT")
        self._found.cited = self._text()

    def _axes(self) -> None:
        keyword = self.take()
        if self._found.axes:
            self._twice(keyword, "axes: NAMES")
        while self.accept(":", ","):
            name, size = self.name("the name of an axis"), None
            if self.accept("("):
                size = self.name("the name of the axis's size")
                self.expect(")")
            self._found.axes.append(AxisDeclaration(name, size))
        self._finish("',' and another axis")

    def _stages(self) -> None:
        keyword = self.take()
        if self._found.stages:
            self._twice(keyword, "stages: NAMES")
        while self.accept(":", ","):
            self._found.stages.append(self.name("the name of a defined quantity"))
        self._finish("',' and another name")

    def _quantity(self) -> None:
        expected = "a declaration such as x[n, c] or a definition such as mu[c] = ..."
        first = self.name(expected)
        constant = first.text == "constant" and self.token.kind == "name"
        name = self.take() if constant else first
        indices = self.indices() if self.sees("[") else None
        quantity = Quantity(name, indices)
        if not constant and self.accept("="):
            self._equation(quantity)
            return
        sign: Sign = ""
        if mark := self.accept(">", ">="):
            sign = ">" if mark.text == ">" else ">="
            if self.token.text != "0":
                self.fail("0: a quantity can be > 0 or >= 0")
            self.take()
        constant |= bool(sign) and indices is None
        self._found.declarations.append(Declaration(quantity, sign, constant))
        expected = "" if sign else "'> 0', '>= 0'"
        if not (sign or first.text == "constant"):
            expected += ", '='"
        self._finish(expected)

    def _equation(self, quantity: Quantity) -> None:
        body = self.expression()
        note = ""
        if self.sees(":"):
            note = self._text()
        elif not self.sees(";"):
            self.end("':' with a note")
        self._found.equations.append(Equation(quantity, body, note))
        if len(self._found.equations) > MOST_DEFINITIONS:
            raise self.source.error(
                quantity.place, f"more than {MOST_DEFINITIONS} definitions in one file"
            )

    def _text(self) -> str:
        """What follows a colon, "" if there is none."""
        if self.accept(":") and self.token.kind == "text":
            return " ".join(self.take().text.split())
        return ""

    def _finish(self, expected: str) -> None:
        if self.token.kind != "end" and not self.sees(";"):
            self.fail(f"{expected}, ';' or the end of the line".removeprefix(", "))

    def _twice(self, keyword: Token, what: str) -> NoReturn:
        raise self.source.error(keyword.place, f"a second '{what}'; a file describes one layer")

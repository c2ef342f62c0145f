r"""From a text in LaTeX to its equations: rows, chains a = b = c, cases and conditions.

y = a = b                      y = a, and y = b
y &= a \\ &= b                 the same, in aligned, align, split or \eqalign
r_{ij} = a, \quad i \neq j     for two different indices
\begin{cases} … \end{cases}    one equation each
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from derive.grammar.equation import Condition, Equation
from derive.grammar.latex_items import Group, Item, items
from derive.grammar.latex_names import FONTS, printed
from derive.grammar.latex_parser import LatexParser
from derive.grammar.latex_reader import Record
from derive.grammar.latex_vocabulary import Vocabulary
from derive.grammar.source import Source
from derive.grammar.tokens import Token
from derive.grammar.tree import Node

ALIGNED = ("aligned", "align", "align*", "split", "gather", "gathered", "equation", "equation*")
RELATIONS = ("=", ":=", r"\leftarrow", r"\gets", r"\coloneqq", r"\triangleq")
BREAKS = (r"\\", r"\cr")
_IF = ("if", "for", "when", "where")


def latex_equations(source: Source, vocabulary: Vocabulary) -> list[Equation]:
    """The equations of a formula.  Raises SourceError at what cannot be read for certain."""
    *row, end = items(source)
    assert isinstance(end, Token)
    found: list[Equation] = []
    left: Node | None = None
    for part in _statements(_body(source, tuple(row))):
        reader = _Row(source, part, end, vocabulary, Record())
        found += reader.equations(left)
        left = found[-1].left
    if not found:
        raise source.error(end.place, "there is no formula here")
    return found


def _is(item: Item, *texts: str) -> bool:
    return isinstance(item, Token) and item.text in texts


def _body(source: Source, row: tuple[Item, ...]) -> tuple[Item, ...]:
    """What is in the environment that the formula stands in, if it does in one."""
    if not row:
        return row
    if _is(row[0], r"\eqalign"):
        if len(row) != 2 or not isinstance(row[1], Group):
            raise source.error(row[0].place, r"\eqalign{...} is the whole formula")
        return row[1].items
    if not _is(row[0], r"\begin"):
        return row
    name = printed(row[1:2])
    if name not in ALIGNED:
        known = ", ".join(ALIGNED)
        raise source.error(row[0].place, f"the environment {name} is not read; known: {known}")
    if not _is(row[-2], r"\end") or printed(row[-1:]) != name:
        raise source.error(row[0].place, rf"the formula does not end with \end{{{name}}}")
    return _body(source, row[2:-2])


def _statements(row: tuple[Item, ...]) -> Iterator[tuple[Item, ...]]:
    """Rows; one without a relation goes on with that before it."""
    rows: list[list[Item]] = [[]]
    depth = 0
    for item in row:
        depth += _is(item, r"\begin") - _is(item, r"\end")
        if not depth and _is(item, *BREAKS):
            rows.append([])
        elif depth or not _is(item, "&"):
            rows[-1].append(item)
    joined: list[list[Item]] = []
    for one in filter(None, rows):
        if joined and not any(_is(item, *RELATIONS) for item in one):
            joined[-1] += one
        else:
            joined.append(one)
    return map(tuple, joined)


@dataclass(frozen=True)
class _Case:
    body: Node
    condition: Condition | None


class _Row(LatexParser):
    """One row: [left] = right [= right …] [, condition]."""

    def equations(self, left: Node | None) -> list[Equation]:
        """``left`` is that of the row before."""
        if not self.sees(*RELATIONS) or left is None:
            left = self.expression()
        found: list[tuple[Token, list[_Case]]] = []
        while sign := self.accept(*RELATIONS):
            found.append((sign, self._right()))
        if self.sees(r"\over"):
            self.fail(r"\over needs braces around it: { a \over b }")
        if not found:
            self.fail(f"found {self.item}, expected an operator or '='")
        common = self._condition() if self.accept(",") else None
        self.accept(".", ",")
        if not self.at_end():
            self.fail(f"found {self.item}, expected an operator or the end of the formula")
        record = self._record
        self._check_sizes()
        return [
            Equation(
                self.source,
                left,
                sign.place,
                case.body,
                case.condition or common,
                tuple(record.bounds),
            )
            for sign, cases in found
            for case in cases
        ]

    def _check_sizes(self) -> None:
        """A letter that is no name is one if a sum runs up to it."""
        declared = {bound.size for bound in self._record.bounds}
        for token in self._record.sizes:
            if token.text not in declared:
                self.fail(self._vocabulary.unknown(token.text), token.place)

    def _right(self) -> list[_Case]:
        if self.sees(r"\begin"):
            return self._cases("cases")
        if self.sees(r"\left") and _is(self.ahead(1), r"\{") and _is(self.ahead(2), r"\begin"):
            self.take()
            self.take()
            cases = self._cases("array")
            if not self.accept(r"\right") or not self.accept("."):
                self.fail(r"found {self.item}, expected \right.")
            return cases
        return [_Case(self.expression(), None)]

    def _cases(self, environment: str) -> list[_Case]:
        begin = self.take()
        assert isinstance(begin, Token)
        if printed(self.argument(begin)) != environment:
            self.fail("only cases are read here", begin.place)
        if environment == "array":
            self.argument(begin)  # how its columns are set
        rows: list[list[Item]] = [[]]
        while not _is(item := self.raw(), r"\end"):
            if item is self._end:
                self.fail(rf"\begin{{{environment}}} without its end", begin.place)
            if _is(item, *BREAKS):
                rows.append([])
            else:
                rows[-1].append(item)
        if printed(self.argument(begin)) != environment:
            self.fail(rf"\begin{{{environment}}} ends as another", begin.place)
        cases = [self._case(tuple(row), begin) for row in rows if row]
        self._complete(cases, begin)
        return cases

    def _case(self, row: tuple[Item, ...], begin: Token) -> _Case:
        inside = _Row(
            self.source,
            row,
            Token("end", "the end of the case", begin.place),
            self._vocabulary,
            self._record,
        )
        body = inside.expression()
        inside.accept(",")
        if not inside.accept("&"):
            inside.fail("a case needs its condition: & i = j")
        if _is(inside.item, *FONTS) and printed(inside._row[inside._at : inside._at + 2]) in (
            "otherwise",
            "else",
        ):
            return _Case(body, None)
        condition = inside._condition()
        inside.accept(",", ".")
        if not inside.at_end():
            inside.fail(f"found {inside.item}, expected the end of the case")
        return _Case(body, condition)

    def _complete(self, cases: list[_Case], begin: Token) -> None:
        """Two cases, equal and different indices, in any order."""
        known = [case.condition for case in cases if case.condition is not None]
        if len(cases) != 2 or not known:
            self.fail("two cases are read, i = j and i \\neq j", begin.place)
        for k, case in enumerate(cases):
            if case.condition is None:
                there = known[0]
                cases[k] = _Case(case.body, Condition(there.first, there.second, not there.same))
        one, two = (case.condition for case in cases)
        assert one is not None
        assert two is not None
        pairs = {frozenset((c.first.text, c.second.text)) for c in (one, two)}
        if one.same == two.same or len(pairs) > 1:
            self.fail("two cases are read, i = j and i \\neq j", begin.place)

    def _condition(self) -> Condition:
        """i = j, or i \\neq j, perhaps after a word."""
        if isinstance(self.item, Token) and self.item.text in FONTS:
            font = self.take()
            assert isinstance(font, Token)
            if printed(self.argument(font)) not in _IF:
                self.fail(r"a condition is i = j or i \neq j", font.place)
        first, sign, second = (self.take() for _ in range(3))
        if not (
            isinstance(first, Token)
            and isinstance(sign, Token)
            and isinstance(second, Token)
            and first.kind == second.kind == "name"
            and first.text != second.text
            and sign.text in ("=", r"\neq", r"\ne")
        ):
            self.fail(r"a condition is i = j or i \neq j", first.place)
        return Condition(first, second, sign.text == "=")

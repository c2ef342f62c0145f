r"""Expressions in LaTeX, read as they print, to the syntax tree of all formulas.

    expression  = [sign] term { ("+" | "-") term }
    term        = factor { [\cdot | \times | *] factor } [ "/" factor ]
    factor      = atom { script }
    atom        = number | name | "(" expression ")" | \frac{…}{…} | { … \over … } | \sqrt[…]{…}
                | \partial … / \partial … | \sum_{…}^{…} [sign] term | function "(" … ")" | |B|

What one would have to guess is refused, with what to write instead: what follows a/b (does it
divide?), a sum whose index goes on behind it, x^10 (which prints as x¹0), a power of a fraction, a
letter before (x), which may be a function.  A sum takes all factors behind it, and no further term.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NoReturn

from derive.grammar.equation import Bound
from derive.grammar.latex_items import Group, Item
from derive.grammar.latex_names import (
    FONTS,
    begins_name,
    printed,
    scripts,
)
from derive.grammar.latex_reader import OPENING, Differential, LatexReader, Part
from derive.grammar.latex_sums import indices, size_of
from derive.grammar.source import Place
from derive.grammar.tokens import Token
from derive.grammar.tree import (
    Derivative,
    Node,
    Number,
    Power,
    Product,
    Quantity,
    Reduction,
    Sum,
)

FUNCTIONS = {r"\exp": "exp", r"\log": "log", r"\ln": "log", r"\tanh": "tanh", r"\max": "max"}
FRACTIONS = (r"\frac", r"\dfrac", r"\tfrac", r"\cfrac")
TIMES = (r"\cdot", r"\times", "*", r"\ast")
_BEGINS = {
    *FRACTIONS,
    *OPENING,
    *FUNCTIONS,
    r"\sqrt",
    r"\partial",
    r"\sum",
    r"\left",
    "|",
    r"\lvert",
}


class LatexParser(LatexReader):
    """Reads a row of items.  Every method raises SourceError at what does not fit."""

    # --- Expressions -----------------------------------------------------------------------------

    def expression(self) -> Node:
        return self._value(self._sum())

    def whole(self) -> Node:
        """An expression, and nothing behind it."""
        return self._value(self._whole())

    def _whole(self) -> Part:
        part = self._sum()
        if not self.at_end():
            self.fail(f"found {self.item}, expected an operator or {self._end.text}")
        return part

    def _sum(self) -> Part:
        place = self.place
        self._enter(place)
        negative = self._negative()
        first = self._term()
        terms = [(negative, first)]
        while sign := self.accept("+", "-"):
            terms.append((sign.text == "-", self._term()))
        self._record.depth -= 1
        if len(terms) == 1 and not negative:
            return first
        return Sum(tuple((minus, self._value(term)) for minus, term in terms), place)

    def _negative(self) -> bool:
        sign = self.accept("+", "-")
        if sign and self.sees("+", "-"):
            self.fail("two signs in a row; put the second one in parentheses")
        return sign is not None and sign.text == "-"

    def _term(self) -> Part:
        place = self.place
        factors = [self._factor()]
        divided = False
        while True:
            if sign := self.accept("/"):
                divided = self._divide(factors, sign, divided)
                continue
            times = self.accept(*TIMES)
            if not times and not self._begins_factor():
                break
            if divided:
                self.fail(
                    r"does this divide as well? Write the quotient before it as \frac{...}{...}"
                )
            factors.append(self._next_factor(factors[-1], times))
        if len(factors) == 1:
            return factors[0]
        return Product(tuple((False, self._value(factor)) for factor in factors), place)

    def _divide(self, factors: list[Part], sign: Token, divided: bool) -> bool:
        """What / divides: a product, or one ∂ by another.  Whether it was a product."""
        above, below = factors[-1], self._factor()
        if isinstance(above, Differential) or isinstance(below, Differential):
            factors[-1] = self._derivative(above, below, sign.place)
            return False
        if divided:
            self.fail(r"two / in a row; write \frac{...}{...}", sign.place)
        parts = [(False, self._value(factor)) for factor in factors]
        factors[:] = [Product((*parts, (True, below)), parts[0][1].place)]
        return True

    def _begins_factor(self) -> bool:
        item = self.item
        if isinstance(item, Group):
            return True
        return item.kind == "number" or item.text in _BEGINS or begins_name(self)

    def _next_factor(self, before: Part, times: Token | None) -> Part:
        """The factor behind another one, with a sign between them or without."""
        item, place = self.item, self.place
        if times:
            if self.sees("+", "-"):
                negative = self._negative()
                return Sum(((negative, self._value(self._factor())),), place)
            return self._factor()
        if isinstance(item, Token) and item.kind == "number":
            self.fail(rf"a number behind a factor needs its sign: \cdot {item.text}")
        parenthesis = self.sees("(", r"\left")
        factor = self._factor()
        if isinstance(before, Number) and _is_numeric(factor):
            self.fail(r"is this a sum, as in 1 + 1/2, or a product? Write + or \cdot", place)
        inner = factor.base if isinstance(factor, Power) else factor
        if parenthesis and isinstance(before, Quantity | Power) and isinstance(inner, Quantity):
            self.fail(
                rf"is this a function of {inner.name.text}? Write \cdot before it for a product",
                place,
            )
        return factor

    # --- Factors ---------------------------------------------------------------------------------

    def _factor(self) -> Part:
        item = self.item
        if isinstance(item, Group):
            self.take()
            return self._powered(self._by_over(item), item, "a fraction")
        if item.kind == "number":
            return self._powered(self._number(), item, "")
        if item.text == r"\partial":
            self.take()
            return self._differential(item)
        if self._is_variance():
            return self._moment("Var", item)
        if begins_name(self):
            return self._named()
        if item.text not in _BEGINS:
            self._refuse(item)
        self.take()
        if item.text in FRACTIONS:
            return self._powered(self._fraction(item), item, "a fraction")
        if item.text == r"\sqrt":
            return self._powered(self._root(item), item, "")
        if item.text == r"\sum":
            return self._total(item)
        if item.text in FUNCTIONS:
            return self._call(item, FUNCTIONS[item.text])
        if item.text in ("|", r"\lvert"):
            return self._size_of_batch(item)
        return self._powered(self._parenthesis(item), item, "")

    def _refuse(self, token: Token) -> NoReturn:
        if token.kind == "end":
            self.fail(f"found {token.text}, expected a name, a number or '('")
        if token.text == r"\over":
            self.fail(r"\over needs braces around it: { a \over b }")
        if token.kind == "command":
            self.fail(f"the command {token.text} is not known here")
        self.fail(f"found {token}, expected a name, a number or '('")

    def _powered(self, part: Part, item: Item, what: str) -> Part:
        place = self.place
        below, above, primes = scripts(self)
        if below or primes:
            self.fail("scripts belong to a name", place)
        if not above:
            return part
        if what:
            self.fail(f"the power of {what} needs parentheses around it", place)
        return Power(self._value(part), self._exponent(above), item.place)

    def _number(self) -> Node:
        first = self.place
        text, end = "", first.start
        while isinstance(item := self.item, Token) and (
            item.kind == "number" or (item.text == "." and self._is_decimal_point(item))
        ):
            if text and item.place != Place(first.line, end, end + 1):
                self.fail("a space inside a number, or a product without its sign")
            text, end = text + item.text, item.place.end
            self.take()
        if text.count(".") > 1:
            self.fail("a number has one decimal point", first)
        return Number(Fraction(text), Place(first.line, first.start, end))

    def _is_decimal_point(self, point: Token) -> bool:
        after = self.ahead(1)
        return isinstance(after, Token) and after.kind == "number"

    def _by_over(self, group: Group) -> Part:
        """{ above \\over below }."""
        at = [isinstance(i, Token) and i.text == r"\over" for i in group.items]
        if sum(at) > 1:
            self.fail(r"a second \over in one pair of braces", group.place)
        k = at.index(True)
        over = group.items[k]
        above, below = group.items[:k], group.items[k + 1 :]
        return self._quotient(above, below, over)

    def _fraction(self, command: Token) -> Part:
        above = self.argument(command)
        return self._quotient(above, self.argument(command), command)

    def _quotient(self, above: tuple[Item, ...], below: tuple[Item, ...], at: Item) -> Part:
        over = self._inside(above, at, "the numerator")
        under = self._inside(below, at, "the denominator")
        if (
            over.sees(r"\partial")
            and isinstance(over.ahead(1), Token)
            and over.ahead(1) is over._end
        ):
            self.fail(
                r"\partial of what? Write \frac{\partial \ell}{\partial x_i}",
                over.place,
            )
        one, two = over._whole(), under._whole()
        if isinstance(one, Differential) or isinstance(two, Differential):
            return self._derivative(one, two, at.place)
        return Product(((False, one), (True, two)), at.place)

    def _derivative(self, above: Part, below: Part, place: Place) -> Node:
        if not isinstance(above, Differential) or not isinstance(below, Differential):
            self.fail(r"a \partial above and none below, or the other way round", place)
        if below.of is None:
            self.fail(r"the loss stands above a \partial, not below", below.place)
        return Derivative(above.of, below.of, place)

    def _root(self, command: Token) -> Node:
        degree = Fraction(2)
        opening = self.ahead(0)
        if isinstance(opening, Token) and self.accept("["):
            number = self._number() if not self.sees("]") else None
            if not isinstance(number, Number) or number.value < 2 or not self.accept("]"):
                self.fail(r"the degree of a root is a number: \sqrt[3]{...}", opening.place)
            degree = number.value
        row = self.argument(command)
        base = self._inside(row, command, "the root").whole()
        return Power(base, Number(1 / degree, command.place), command.place)

    # --- Sums ------------------------------------------------------------------------------------

    def _total(self, command: Token) -> Node:
        self._enter(command.place)
        below, above, _ = scripts(self)
        letters, first = indices(self.source, below, command, self._vocabulary)
        upper = self._inside(above, above[0], "the bound").whole() if above else None
        size = size_of(self.source, upper, first, command)
        self._record.bounds += [Bound(letter, size) for letter in letters]
        place = self.place
        negative = self._negative()
        body = self._value(self._term())
        if negative:
            body = Sum(((True, body),), place)
        self._record.depth -= 1
        return Reduction(Token("name", "sum", command.place), letters, body)

    def _size_of_batch(self, bar: Token) -> Node:
        """|B|, the number of elements in the mini-batch."""
        batch = self.take()
        if not isinstance(batch, Token) or batch.text not in ("B", r"\mathcal"):
            self.fail("|...| is read for the size of the batch alone, |B|", bar.place)
        if batch.text in FONTS and printed(self.argument(batch)) != "B":
            self.fail("|...| is read for the size of the batch alone, |B|", bar.place)
        if not self.accept({"|": "|", r"\lvert": r"\rvert"}[bar.text]):
            self.fail("|...| is read for the size of the batch alone, |B|", bar.place)
        if not self._vocabulary.batch:
            self.fail("this layer has no batch that |B| could count", bar.place)
        return Quantity(Token("name", self._vocabulary.batch, bar.place), None)


def _is_numeric(part: Part) -> bool:
    """Whether this is a fraction of numbers."""
    return isinstance(part, Product) and all(isinstance(each, Number) for _, each in part.factors)

"""From tokens to the syntax tree, by recursive descent.

    expression  = [sign] term { ("+" | "-") term }
    term        = factor { ("*" | "/") factor }              from left to right
    factor      = { sign } power                             -x^2 is -(x^2)
    power       = atom [ ("^" | "**") factor ]               from right to left
    atom        = number | name [ "[" names "]" ] | "(" expression ")"
                | function "(" expression { "," expression } ")"
                | ("sum" | "mean") "[" names "]" "(" expression ")"

A name is a function where a parenthesis follows it, else a quantity.
"""

from __future__ import annotations

from fractions import Fraction
from typing import NoReturn

from derive.grammar.source import Place, Source
from derive.grammar.tokens import Token
from derive.grammar.tree import Call, Node, Number, Power, Product, Quantity, Reduction, Sum

DEEPEST = 50
REDUCTIONS = ("sum", "mean")


class Parser:
    """Reads one statement.  Every method raises SourceError at a token that does not fit."""

    def __init__(self, source: Source, tokens: list[Token]) -> None:
        self.source, self._tokens, self._at, self._depth = source, tokens, 0, 0

    # --- Tokens ----------------------------------------------------------------------------------

    @property
    def token(self) -> Token:
        """The token to be read next."""
        return self.ahead(0)

    def ahead(self, count: int) -> Token:
        """A later token; the end has no end."""
        return self._tokens[min(self._at + count, len(self._tokens) - 1)]

    def take(self) -> Token:
        token = self.token
        self._at += 1
        return token

    def sees(self, *signs: str) -> bool:
        return self.token.kind == "sign" and self.token.text in signs

    def accept(self, *signs: str) -> Token | None:
        return self.take() if self.sees(*signs) else None

    def expect(self, sign: str, expected: str = "") -> Token:
        return self.accept(sign) or self.fail(expected or f"'{sign}'")

    def name(self, expected: str) -> Token:
        return self.take() if self.token.kind == "name" else self.fail(expected)

    def fail(self, expected: str) -> NoReturn:
        raise self.source.error(self.token.place, f"found {self.token}, expected {expected}")

    # --- Expressions -----------------------------------------------------------------------------

    def expression(self) -> Node:
        place = self.token.place
        self._enter(place)
        terms = [(self._negative(), self._term())]
        while sign := self.accept("+", "-"):
            terms.append((sign.text == "-", self._term()))
        self._depth -= 1
        return terms[0][1] if terms == [(False, terms[0][1])] else Sum(tuple(terms), place)

    def _enter(self, place: Place) -> None:
        self._depth += 1
        if self._depth > DEEPEST:
            raise self.source.error(
                place, f"nested more than {DEEPEST} deep; give a name to a part of it"
            )

    def _negative(self) -> bool:
        negative = False
        while sign := self.accept("+", "-"):
            negative ^= sign.text == "-"
        return negative

    def _term(self) -> Node:
        place = self.token.place
        factors = [(False, self._factor())]
        while sign := self.accept("*", "/"):
            factors.append((sign.text == "/", self._factor()))
        return factors[0][1] if len(factors) == 1 else Product(tuple(factors), place)

    def _factor(self) -> Node:
        place = self.token.place
        if self._negative():
            return Sum(((True, self._power()),), place)
        return self._power()

    def _power(self) -> Node:
        place = self.token.place
        base = self.atom()
        if not self.accept("^", "**"):
            return base
        self._enter(self.token.place)
        exponent = self._factor()
        self._depth -= 1
        return Power(base, exponent, place)

    def atom(self) -> Node:
        token = self.token
        if token.kind == "number":
            return Number(Fraction(self.take().text), token.place)
        if token.kind == "name":
            return self._named()
        opening = self.expect("(", "a name, a number or '('")
        inner = self.expression()
        self.close(opening)
        return inner

    def _named(self) -> Node:
        name, indices = self.take(), None
        if self.sees("["):
            indices = self.indices()
        if not self.sees("("):
            return Quantity(name, indices)
        opening = self.take()
        arguments = [self.expression()]
        while self.accept(","):
            arguments.append(self.expression())
        self.close(opening)
        if indices is None:
            return Call(name, tuple(arguments))
        if name.text not in REDUCTIONS:
            raise self.source.error(
                opening.place, f"found '(' after {name.text}[...], expected an operator"
            )
        if len(arguments) > 1:
            raise self.source.error(
                name.place, f"{name.text} takes one summand, not {len(arguments)}"
            )
        return Reduction(name, indices, arguments[0])

    def indices(self) -> tuple[Token, ...]:
        """[n, c], or [] for none."""
        opening = self.expect("[")
        if self.accept("]"):
            return ()
        found = [self.name("the name of an axis")]
        while self.accept(","):
            found.append(self.name("the name of an axis"))
        self.close(opening)
        return tuple(found)

    def close(self, opening: Token) -> None:
        """The bracket that closes ``opening``."""
        closing = {"(": ")", "[": "]"}[opening.text]
        if not self.accept(closing):
            between = "an operator or " if opening.text == "(" else "',' or "
            self.fail(
                f"{between}'{closing}' for the '{opening.text}' in column {opening.place.start + 1}"
            )

    def end(self, *others: str) -> None:
        """The end of the statement, where an expression could also have gone on."""
        if self.token.kind == "end":
            return
        if self.sees(")", "]"):
            raise self.source.error(
                self.token.place, f"found {self.token}, but no bracket is open here"
            )
        choices = ["an operator", *others, "the end of the line"]
        self.fail(", ".join(choices[:-1]) + f" or {choices[-1]}")

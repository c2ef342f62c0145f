r"""What a parser of LaTeX does with names, brackets and functions.

A name is a quantity, unless it is a d before one, an E or a Var before a bracket, or a function.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import NoReturn, Self, TypeAlias

from derive.grammar.elaborate import APPLIED
from derive.grammar.equation import Bound
from derive.grammar.latex_items import Group, Item
from derive.grammar.latex_names import Cursor, Written, begins_name, name, printed
from derive.grammar.latex_vocabulary import Vocabulary
from derive.grammar.parser import DEEPEST
from derive.grammar.source import Place, Source
from derive.grammar.tokens import Token
from derive.grammar.tree import Call, Node, Power, Quantity

WORDS = frozenset(name for name in APPLIED if len(name) > 1)
OPENING = {"(": ")", "[": "]", r"\{": r"\}"}
# E[x] and Var[x], E_B[μ] and E_B[σ²], by the operator and the quantity in it.
MOMENTS = {
    ("E", "x"): "mean",
    ("Var", "x"): "variance",
    ("E", "mu"): "E_mu",
    ("E", "var"): "E_var",
}


@dataclass(frozen=True)
class Differential:
    """∂ of a quantity, or of the loss: half of a derivative, and no value."""

    of: Quantity | None
    place: Place


Part: TypeAlias = Node | Differential


@dataclass
class Record:
    """What is noted while one equation is read."""

    bounds: list[Bound] = field(default_factory=list)
    sizes: list[Token] = field(default_factory=list)
    fonts: dict[str, str] = field(default_factory=dict)
    losses: dict[str, Place] = field(default_factory=dict)
    depth: int = 0


class LatexReader(Cursor, ABC):
    """Reads names, brackets and functions; what is inside them is read by ``expression``."""

    def __init__(
        self,
        source: Source,
        row: tuple[Item, ...],
        end: Token,
        vocabulary: Vocabulary,
        record: Record,
    ) -> None:
        super().__init__(source, row, end)
        self._vocabulary, self._record = vocabulary, record

    def _inside(self, row: tuple[Item, ...], opening: Token | Group, what: str) -> Self:
        end = Token("end", f"the end of {what}", opening.place)
        return type(self)(self.source, row, end, self._vocabulary, self._record)

    @abstractmethod
    def expression(self) -> Node:
        """The expression that begins here."""

    @abstractmethod
    def whole(self) -> Node:
        """An expression, and nothing behind it."""

    def fail(self, message: str, place: Place | None = None) -> NoReturn:
        raise self.source.error(place or self.place, message)

    def _value(self, part: Part) -> Node:
        if isinstance(part, Differential):
            self.fail(
                r"a \partial belongs to a quotient of two: \frac{\partial \ell}{\partial x_i}",
                part.place,
            )
        return part

    def _enter(self, place: Place) -> None:
        self._record.depth += 1
        if self._record.depth > DEEPEST:
            self.fail(f"nested more than {DEEPEST} deep; give a name to a part of it", place)

    def _exponent(self, above: tuple[Item, ...]) -> Node:
        return self._inside(above, above[0], "the exponent").whole()

    # --- Brackets --------------------------------------------------------------------------------

    def _parenthesis(self, opening: Token) -> Node:
        stretched = opening.text == r"\left"
        bracket = self.take() if stretched else opening
        if not isinstance(bracket, Token) or bracket.text not in OPENING:
            self.fail(r"\left needs one of ( [ \{ behind it", opening.place)
        inner = self.expression()
        self._close(bracket, stretched)
        return inner

    def _close(self, bracket: Token, stretched: bool) -> None:
        closing = OPENING[bracket.text]
        right = self.accept(r"\right")
        if stretched and not right:
            self.fail(
                rf"found {self.item}, expected an operator or \right{closing} for the "
                rf"\left{bracket.text} in column {bracket.place.start + 1}"
            )
        if right and not stretched:
            self.fail(r"\right without its \left", right.place)
        if not self.accept(closing):
            self.fail(
                f"found {self.item}, expected an operator or '{closing}' for the "
                f"'{bracket.text}' in column {bracket.place.start + 1}"
            )

    def _call(self, at: Token, function: str) -> Node:
        if not self.sees("(", "[", r"\left"):
            self.fail(f"{at.text} needs its argument in parentheses", at.place)
        opening = self.take()
        assert isinstance(opening, Token)
        stretched = opening.text == r"\left"
        bracket = self.take() if stretched else opening
        if not isinstance(bracket, Token) or bracket.text not in OPENING:
            self.fail(r"\left needs one of ( [ \{ behind it", opening.place)
        arguments = [self.expression()]
        while self.accept(","):
            arguments.append(self.expression())
        self._close(bracket, stretched)
        called = Call(Token("name", function, at.place), tuple(arguments))
        if not self.accept("^"):
            return called
        sign = Token("sign", "^", self.place)
        return Power(called, self._exponent(self.argument(sign)), at.place)

    # --- Names -----------------------------------------------------------------------------------

    def _named(self) -> Part:
        if self.sees("d") and not self._vocabulary.knows("d"):
            token = self.take()
            assert isinstance(token, Token)
            return self._differential(token)
        written = self._written()
        if written.key == "d" and not self._vocabulary.knows("d"):
            return self._differential(Token("name", "d", written.place))
        if written.key in ("E", "Var") and self._opens_moment(written):
            return self._moment(written.key, Token("name", written.key, written.place))
        if self.sees("(", r"\left"):
            if written.key in self._vocabulary.functions or written.key in WORDS:
                return self._call(Token("name", written.key, written.place), written.key)
            if written.key == r"\sigma":
                self.fail(
                    r"\sigma before a parenthesis may be the sigmoid: write \cdot between them"
                )
        return self._quantity(written)

    def _written(self) -> Written:
        """A name; fonts must not tell two apart."""
        written = name(self)
        font = self._record.fonts.setdefault(written.key, written.font)
        if font != written.font:
            self.fail(f"{written.key} in two fonts: are they the same?", written.place)
        return written

    def _quantity(self, written: Written) -> Node:
        single = len(written.key) == 1 and not written.below and not written.above
        known = self._vocabulary.knows(written.key) or written.key in self._vocabulary.losses
        if single and not known:
            token = Token("name", written.key, written.place)
            self._record.sizes.append(token)  # a size, if a sum says so
            return Quantity(token, None)
        return self._vocabulary.resolved(self.source, written, self._exponent)

    def _differential(self, sign: Token) -> Differential:
        if self.sees("^", "_"):
            what = (
                r"second derivatives are not read"
                if self.sees("^")
                else r"\partial takes no subscript"
            )
            self.fail(rf"{what}: write \frac{{\partial \ell}}{{\partial x_i}}")
        if not begins_name(self):
            self.fail(f"{sign.text} stands before one quantity, not before {self.item}")
        written = self._written()
        if self._vocabulary.is_loss(written):
            self._record.losses.setdefault(written.key, written.place)
            if len(self._record.losses) > 1:
                self.fail(f"two losses, {' and '.join(self._record.losses)}", written.place)
            return Differential(None, sign.place)
        node = self._quantity(written)
        if not isinstance(node, Quantity):
            self.fail("derivatives are taken of quantities, not of their powers", written.place)
        return Differential(node, sign.place)

    def _is_variance(self) -> bool:
        """V a r in a row, before a bracket."""
        row = [self.ahead(k) for k in range(4)]
        return "".join(i.text if isinstance(i, Token) else " " for i in row) in ("Var[", "Var(")

    def _opens_moment(self, written: Written) -> bool:
        known = self._vocabulary.knows(written.key)
        return not known and printed(written.below) in ("", "B") and self.sees("[", "(", r"\left")

    def _moment(self, operator: str, at: Token) -> Node:
        if self._is_variance():
            for _ in operator:
                self.take()
        opening = self.take()
        assert isinstance(opening, Token)
        inner = self._parenthesis(opening)
        label = inner.name.text if isinstance(inner, Quantity) else ""
        if (operator, label) not in MOMENTS or not isinstance(inner, Quantity):
            known = ", ".join(f"{o}[{q}]" for o, q in MOMENTS)
            self.fail(f"{operator} of this is not known here; known: {known}", at.place)
        if not self._vocabulary.has(MOMENTS[operator, label]):
            said = f"{operator}[...] is no quantity of this layer; batch_norm_inference has it"
            self.fail(said, at.place)
        return Quantity(Token("name", MOMENTS[operator, label], at.place), inner.indices)

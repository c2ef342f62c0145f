"""The one table of names: how each quantity is written in text, in ASCII and in LaTeX.

Every renderer reads the same :class:`Symbol`, so that a quantity has one name everywhere.  A label
that is not in the table prints as itself: users define layers of their own.  The tables themselves
are files, which :mod:`derive.render.notation_file` reads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

INDEX_ABOVE = "(i)"


@dataclass(frozen=True)
class Symbol:
    """A name in three alphabets.

    ``square`` says that the name itself ends in a square (σ², the variance), ahead of any index in
    text and above it in LaTeX.  ``subscript`` is printed where no index is: the statistics of a
    mini-batch are μ_B as long as no channel is printed, those of row r are μᵣ.  ``superscript`` is
    for LaTeX, W^{[l]}; if it ends in (i), the indices stand there: Z^{[l](i)}.
    """

    text: str
    ascii: str
    latex: str
    square: bool = False
    subscript: str = ""
    superscript: str = ""

    def adjoint(self) -> Symbol:
        """The identifier of the derivative of the loss: dx for x."""
        return replace(
            self, text="d" + self.text, ascii="d" + self.ascii, latex=r"\mathtt{d}" + self.latex
        )

    def tangent(self) -> Symbol:
        """The identifier of the tangent: x_dot for x."""
        return replace(
            self,
            text=self.text + "_dot",
            ascii=self.ascii + "_dot",
            latex=self.latex + r"\mathtt{\_dot}",
        )

    def by(self, other: Symbol) -> Symbol:
        """The identifier of a derivative with respect to another quantity: dy_dx."""
        one, two = self.adjoint(), other.adjoint()
        return Symbol(
            f"{one.text}_{two.text}",
            f"{one.ascii}_{two.ascii}",
            rf"{one.latex}\mathtt{{\_}}{two.latex}",
        )


def same(name: str) -> Symbol:
    """A label that prints as itself: italic if it is one letter, upright in LaTeX if longer."""
    escaped = "".join(_LATEX_ESCAPES.get(letter, letter) for letter in name)
    latex = escaped if len(name) == 1 else rf"\mathrm{{{escaped}}}"
    return Symbol(name, name.encode("ascii", "backslashreplace").decode(), latex)


_LATEX_ESCAPES = {letter: "\\" + letter for letter in "#$%&_{}"} | {
    "\\": r"\backslash{}",
    "^": r"\hat{}",
    "~": r"\sim{}",
}


@dataclass(frozen=True)
class Notation:
    """A table of names for quantities and for the sizes of axes, and the letters for indices.

    The first alphabet is for the first of the axes that a document shows, the next for the second;
    ``sums`` lists, in the same order, letters that an index of summation takes first.  ``only``
    has, by layer, symbols that take precedence there.  With ``identifiers`` a derivative is one
    name (dx, dy_dx) and not a quotient (∂ℓ/∂x, ∂y/∂x).
    """

    name: str
    symbols: Mapping[str, Symbol]
    alphabets: tuple[str, ...]
    sums: tuple[str, ...] = ()
    sizes: Mapping[str, Symbol] = field(default_factory=dict)
    loss: Symbol = Symbol("ℓ", "l", r"\ell")
    delta: Symbol = Symbol("δ", "delta", r"\delta")
    identifiers: bool = False
    only: Mapping[str, Mapping[str, Symbol]] = field(default_factory=dict)

    @property
    def for_sums(self) -> str:
        """The letters that sums take first."""
        return "".join(self.sums)

    def symbol(self, label: str) -> Symbol:
        """The entry of a label, or the label itself."""
        return self.symbols.get(label) or same(label)

    def size(self, name: str) -> Symbol:
        """The entry of an axis's size, or its own name."""
        return self.sizes.get(name) or same(name)

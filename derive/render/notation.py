"""The one table of names: how each quantity is written in text, in ASCII and in LaTeX.

Every renderer reads the same :class:`Symbol`, so that a quantity has one name everywhere.  A label
that is not in the table prints as itself: users define layers of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True)
class Symbol:
    """A name in three alphabets.

    ``square`` says that the name itself ends in a square (σ², the variance), ahead of any index in
    text and above it in LaTeX.  ``subscript`` is printed where no index is: the statistics of a
    mini-batch are μ_B as long as no channel is printed, those of row r are μᵣ.
    """

    text: str
    ascii: str
    latex: str
    square: bool = False
    subscript: str = ""


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
    """A table of names, and the letters for indices: the first alphabet is for the first of the
    axes that a document shows, the next for the second."""

    name: str
    symbols: Mapping[str, Symbol]
    loss: Symbol = Symbol("ℓ", "l", r"\ell")
    delta: Symbol = Symbol("δ", "delta", r"\delta")
    # Letters that exist as Unicode subscripts, without l, which would look like the loss.
    alphabets: tuple[str, ...] = ("ijk", "rst", "puv", "aho")

    def symbol(self, label: str) -> Symbol:
        """The entry of a label, or the label itself."""
        return self.symbols.get(label) or same(label)


PAPER = Notation(
    "paper",
    {
        "x_hat": Symbol("x\N{COMBINING CIRCUMFLEX ACCENT}", "x_hat", r"\hat{x}"),
        "mu": Symbol("μ", "mu", r"\mu", subscript="B"),
        "var": Symbol("σ", "sigma", r"\sigma", square=True, subscript="B"),
        "mean_square": Symbol("RMS", "RMS", r"\mathrm{RMS}", square=True),
        "gamma": Symbol("γ", "gamma", r"\gamma"),
        "beta": Symbol("β", "beta", r"\beta"),
        "eps": Symbol("ε", "eps", r"\varepsilon"),
    },
)
"""The names of Ioffe & Szegedy 2015, whose B is the mini-batch."""

PLAIN = Notation(
    "plain", {label: replace(symbol, subscript="") for label, symbol in PAPER.symbols.items()}
)
"""The same names without the B, for layers that do not normalise over a mini-batch."""

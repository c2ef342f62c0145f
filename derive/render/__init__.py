"""Printing of formulas: one layout of an expression, several renderers of it.

``equation`` and ``formula`` decide everything about the shape; ``to_text``, ``to_line`` and
``to_latex`` only draw what was decided.
"""

from derive.render.latex import to_latex
from derive.render.layout import ByCase, equation, formula
from derive.render.notation import Notation, Symbol
from derive.render.notation_file import PAPER, notation
from derive.render.text import to_line, to_lines, to_text
from derive.trace import JacobianEntry

__all__ = [
    "PAPER",
    "ByCase",
    "JacobianEntry",
    "Notation",
    "Symbol",
    "equation",
    "formula",
    "notation",
    "to_latex",
    "to_line",
    "to_lines",
    "to_text",
]

"""LaTeX read back by the parser of audited formulas has the value that was printed.

Its twins are test_meaning.py for text and test_mathml.py for MathML.
"""

from __future__ import annotations

from itertools import product

import pytest

from derive.expr import Axis, Var, free_axes
from derive.grammar.formulas import formula_of
from derive.grammar.indices import indices_of
from derive.grammar.latex_rows import latex_equations
from derive.grammar.latex_vocabulary import Vocabulary
from derive.grammar.source import Source
from derive.render import PAPER, ByCase, JacobianEntry, equation, to_latex
from tests.derive.render.formulas import (
    BATCH_NORM,
    beta,
    c,
    eps,
    gamma,
    m,
    mu,
    r,
    u,
    var,
    x,
    x_hat,
    y,
)
from tests.derive.render.reader import SIZES, loop

NAMES = {q.label: q for q in (x, gamma, beta, eps, mu, var, x_hat, y, u, r)} | {"m": m, "C": c.size}
VOCABULARY = Vocabulary(NAMES, PAPER, {}, batch="m")
# Published formulas have neither tangents nor a sum on the left, and their cases stand in prose.
READABLE = [
    name
    for name, entry in BATCH_NORM.items()
    if isinstance(entry.lhs, Var | JacobianEntry)
    and not isinstance(entry.rhs, ByCase)
    and name != "y_dot"
]


def disagreement(latex: str, name: str) -> float:
    """The largest difference between what the LaTeX says and the formula of that name."""
    entry = BATCH_NORM[name]
    (parsed,) = latex_equations(Source("formula", latex), VOCABULARY)
    indices = indices_of(parsed, NAMES, ["n"])
    read = formula_of(parsed, {**NAMES, **indices.sizes}, indices.letters)
    pairs = [(read.rhs, entry.rhs)]
    if not isinstance(entry.lhs, JacobianEntry) and not isinstance(read.lhs, JacobianEntry):
        pairs.append((read.lhs, entry.lhs))
    worst = 0.0
    for got, wanted in pairs:
        assert not isinstance(wanted, ByCase)
        axes = sorted(free_axes(wanted) | free_axes(got), key=lambda axis: axis.name)
        for place in product(*(range(SIZES[axis.size.name]) for axis in axes)):
            at: dict[Axis, int] = dict(zip(axes, place, strict=True))
            worst = max(worst, abs(loop(got, at, ("n",)) - loop(wanted, at, ("n",))))
    return worst


def latex_of(name: str) -> str:
    entry = BATCH_NORM[name]
    return to_latex(equation(entry.lhs, entry.rhs, PAPER, ("n",)))


@pytest.mark.parametrize("name", READABLE)
def test_latex_means_what_it_prints(name: str) -> None:
    assert disagreement(latex_of(name), name) < 1e-12


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"- \hat{x}_i", r"+ \hat{x}_i"),
        (r"\gamma}{m", r"\gamma}{2 m"),
        (r"\hat{x}_j", r"\hat{x}_i"),
    ],
)
def test_damaged_latex_is_seen(old: str, new: str) -> None:
    latex = latex_of("dx_closed")
    assert old in latex
    assert disagreement(latex.replace(old, new, 1), "dx_closed") > 1e-3

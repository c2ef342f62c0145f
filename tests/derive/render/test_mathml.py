"""MathML: well-formed, of the elements that browsers know, and with the formula's meaning."""

from __future__ import annotations

from xml.etree import ElementTree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Expr

from derive.expr import Var, add, adjoint, free_axes, mul, tangent
from derive.render import ByCase, JacobianEntry, equation, formula, notation
from derive.render.latex_name import PLAIN as COMMANDS
from derive.render.latex_name import WITH_ARGUMENT, fault
from derive.render.mathml import to_mathml
from derive.render.mathml_name import from_latex
from derive.render.notation_file import NAMES
from tests.derive.render.formulas import ALL, DX, HALF, PLAIN, gamma, m, spread, x
from tests.derive.render.mathml_reader import cases, to_ascii
from tests.derive.render.strategies import expressions
from tests.derive.render.test_meaning import disagreement

CORE = {
    *("math", "mi", "mn", "mo", "mtext", "mspace", "mrow", "mfrac", "msqrt", "mstyle"),
    *("msub", "msup", "msubsup", "munder", "mover", "munderover", "mtable", "mtr", "mtd"),
}
CHILDREN = {"mfrac": 2, "msub": 2, "msup": 2, "munder": 2, "mover": 2, "msubsup": 3}


def malformed(mathml: str) -> list[str]:
    """What is not MathML Core: other elements, the wrong number of children, empty tokens."""
    found = []
    for element in ElementTree.fromstring(mathml).iter():
        wanted = CHILDREN.get(element.tag, len(element))
        if element.tag not in CORE or len(element) != wanted:
            found.append(f"{element.tag} of {len(element)}")
        if element.tag in ("mi", "mn", "mo", "mtext") and (not element.text or len(element)):
            found.append(f"{element.tag} with {element.text!r}")
    return found


@pytest.mark.parametrize("name", NAMES)
def test_every_formula_is_well_formed(name: str) -> None:
    for entry in ALL.values():
        tree = equation(entry.lhs, entry.rhs, notation(name), entry.shown)
        assert malformed(to_mathml(tree)) == []


@pytest.mark.parametrize(
    "mathml",
    ["<math><mi></mi></math>", "<math><mfrac><mn>1</mn></mfrac></math>", "<math><b/></math>"],
)
def test_what_is_malformed_is_seen(mathml: str) -> None:
    assert malformed(mathml)


@pytest.mark.parametrize("name", ALL)
def test_formulas_mean_what_they_show(name: str) -> None:
    entry = ALL[name]
    line = to_ascii(to_mathml(equation(entry.lhs, entry.rhs, entry.notation, entry.shown)))
    left, right = line.split(" = ", maxsplit=1)
    pairs = [(right, entry.rhs)]
    if isinstance(entry.lhs, JacobianEntry):
        free = free_axes(entry.lhs.of) | free_axes(entry.lhs.wrt)
    else:
        free = free_axes(entry.lhs)
        pairs.append((left, entry.lhs))
    if isinstance(entry.rhs, ByCase):
        by_case = {True: entry.rhs.equal, False: entry.rhs.different}
        pairs = [(body, by_case[equal]) for body, equal in cases(right)]
        assert len(pairs) == 2
    for shown, expr in pairs:
        assert disagreement(shown, expr, free, entry.shown) < 1e-12


@settings(max_examples=150, deadline=None)
@given(expressions)
def test_random_expressions_mean_what_they_show(expr: Expr) -> None:
    mathml = to_mathml(formula(expr, PLAIN, ("n",)))
    assert malformed(mathml) == []
    assert disagreement(to_ascii(mathml), expr, free_axes(expr), ("n",)) < 1e-9


DAMAGES = [
    ("<mo>−</mo>", "<mo>+</mo>"),
    ("<mi>m</mi><mo>\u2062</mo>", ""),
    ("msqrt", "mrow"),
    ("<mi>γ</mi>", "<mn>1</mn>"),
    ("<mi>j</mi></msub>", "<mi>i</mi></msub>"),
]


@pytest.mark.parametrize(("old", "new"), DAMAGES)
def test_a_damaged_formula_is_seen(old: str, new: str) -> None:
    rhs = mul(gamma, m**-1, spread(-HALF), DX)
    mathml = to_mathml(formula(rhs, PLAIN, ("n",)))
    assert old in mathml
    line = to_ascii(mathml.replace(old, new))
    assert disagreement(line, rhs, free_axes(x), ("n",)) > 1e-3


# --- Names ----------------------------------------------------------------------------------------

NAMED = {
    r"\hat{x}": '<mover accent="true"><mi>x</mi><mo stretchy="false">ˆ</mo></mover>',
    r"\mathrm{RMS}": "<mi>RMS</mi>",
    r"\mathtt{x\_hat}": '<mi class="tt">x_hat</mi>',
    r"\mathtt{d}\mathtt{x\_hat}": '<mi class="tt">dx_hat</mi>',
    r"\mathrm{E}[x]": '<mrow><mi mathvariant="normal">E</mi><mo stretchy="false">[</mo><mi>x</mi>'
    '<mo stretchy="false">]</mo></mrow>',
    r"\mathcal{L}": "<mi>ℒ</mi>",
    r"\mathbf{Z}": "<mi>𝐙</mi>",
    r"\boldsymbol{\mu}": "<mi>𝝁</mi>",
    r"{A^{\prime}}": '<msup><mi>A</mi><mo stretchy="false">′</mo></msup>',
    r"{x_{ab}^2}": "<msubsup><mi>x</mi><mrow><mi>a</mi><mi>b</mi></mrow><mn>2</mn></msubsup>",
    r"\Gamma": '<mi mathvariant="normal">Γ</mi>',
}


@pytest.mark.parametrize("latex", NAMED)
def test_names(latex: str) -> None:
    assert from_latex(latex) == NAMED[latex]


_tokens = st.sampled_from([*sorted(COMMANDS | WITH_ARGUMENT), *"ab1 {}{}^_[]()"])


@given(st.lists(_tokens, max_size=8).map("".join))
def test_whatever_a_notation_may_have_has_mathml(latex: str) -> None:
    if not fault(latex):
        assert malformed(f"<math>{from_latex(latex)}</math>") == []


@given(st.text("ab_{}%#$&^~\\<>", min_size=1, max_size=6))
def test_any_label_is_escaped(label: str) -> None:
    for quantity in (Var(label), adjoint(Var(label)), tangent(Var(label))):
        assert malformed(to_mathml(formula(quantity, PLAIN, ()))) == []


def test_an_unknown_command_is_refused() -> None:
    with pytest.raises(TypeError, match="no MathML for"):
        from_latex(r"\input{x}")


def test_a_leading_minus_is_a_sign_and_no_subtraction() -> None:
    mathml = to_mathml(equation(x, add(mul(-1, gamma), m), PLAIN, ("n",)))
    assert '<mo>=</mo><mo form="prefix">−</mo>' in mathml

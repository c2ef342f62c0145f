"""What LaTeX a name may be made of, and what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from derive.render.latex_name import PLAIN, WITH_ARGUMENT, fault
from tests.derive.render.latex_faults import faults

GOOD = [
    *(r"\gamma", r"\hat{x}", r"\mathrm{E}[x]", r"\mathtt{inv\_std}", r"{x_{a}^b}", "ab"),
    *(r"\tilde{\mathbf{Z}}", r"{A^{\prime}}", r"\boldsymbol{\mu}", r"{W^{(k-1)}}"),
]
BAD = {
    r"\input{x}": r"the command \input",
    r"\write18{ls}": r"the command \write",
    r"\def\x{y}": r"the command \def",
    r"\catcode`\%=12": r"the command \catcode",
    r"\csname input\endcsname": r"the command \csname",
    r"\hat{\input{x}}": r"the command \input",
    r"^^5cinput": "^ must be inside braces",
    r"{x^^5c}": "^ needs a letter or braces",
    r"\hat": r"\hat needs braces",
    r"\hat x": r"\hat needs braces",
    r"\hat{}": "empty braces",
    "x_i": "_ must be inside braces",
    "{x^a^b}": "the second one",
    "{x_}": "_ needs a letter or braces",
    r"{x_\hat{a}}": "_ needs a letter or braces",
    "{x": "brackets are not balanced",
    "x}": "brackets are not balanced",
    "a)": "brackets are not balanced",
    "{(]}": "brackets are not balanced",
    "}{": "brackets are not balanced",
    "": "it is empty",
    " ": "it is empty",
    "$x$": "the character $",
    "a & b": "the character &",
    "#1": "the character #",
    "x%": "the character %",
    "~": "the character ~",
    "a\nb": r"the character '\n'",
    r"\\": r"the command \\",
    "\\": "the character \\",
    "é": "the character é",
    "[x]": "it begins with [",
    "{" * 9 + "x" + "}" * 9: "nested too deeply",
}


@pytest.mark.parametrize("latex", GOOD)
def test_good_latex(latex: str) -> None:
    assert not fault(latex)


@pytest.mark.parametrize("latex", BAD)
def test_bad_latex(latex: str) -> None:
    assert BAD[latex] in fault(latex)


_tokens = st.sampled_from(
    [*sorted(PLAIN | WITH_ARGUMENT), *"ab1 {}{}^_[]()$&%#~\\é", r"\input", r"\left", "\n"]
)


@given(st.lists(_tokens, max_size=8).map("".join))
def test_whatever_is_accepted_is_balanced_and_of_the_allowed_commands(latex: str) -> None:
    if not fault(latex):
        assert not faults(latex + "_i")
        assert latex.isascii()
        assert not set(latex) & set("$&%#~\n")


def test_in_a_superscript_more_may_stand() -> None:
    assert not fault("[l](i)", script=True)
    assert not fault("(k)-1", script=True)
    assert "empty" in fault("", script=True)
    assert "the second one" in fault("a^b^c", script=True)

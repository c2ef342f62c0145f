"""Formulas in LaTeX: each is read as it prints, or refused at its place."""

from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sympy import Expr

from derive.errors import SourceError
from derive.expr import Var
from derive.grammar.equation import Equation, to_text
from derive.grammar.formulas import Formula, formula_of
from derive.grammar.indices import indices_of
from derive.grammar.latex_rows import latex_equations
from derive.grammar.latex_vocabulary import Vocabulary
from derive.grammar.python_syntax import python_equations
from derive.grammar.source import Source
from derive.layers.batch_norm import beta, c, eps, gamma, mu, n, var, x, x_hat, y
from derive.render.notation_file import PAPER, notation
from tests.derive.grammar.latex_cases import EDITED, READ, REFUSED

NAMES: dict[str, Expr] = {
    **{v.label: v for v in (x, gamma, beta, eps, mu, var, x_hat, y)},
    "m": n.size,
    "C": c.size,
    "u": Var("u", c),
    "R": Var("R", n, n.prime(), c),
}
VOCABULARY = Vocabulary(NAMES, PAPER, {}, batch="m")
AXES = (n, c)


def read(text: str, vocabulary: Vocabulary = VOCABULARY) -> list[Equation]:
    return latex_equations(Source("formula", text), vocabulary)


def meaning(equation: Equation) -> Formula:
    indices = indices_of(equation, NAMES, ["n"])
    return formula_of(equation, {**NAMES, **indices.sizes}, indices.letters)


def meanings(text: str) -> list[Formula]:
    return [meaning(equation) for equation in read(text)]


@pytest.mark.parametrize(("text", "reading"), (READ | EDITED).items())
def test_a_formula_is_read_as_it_prints(text: str, reading: str) -> None:
    (equation,) = read(text)
    assert to_text(equation) == reading


@pytest.mark.parametrize("text", [text for text in READ | EDITED if "N" not in text])
def test_a_reading_says_what_the_formula_says(text: str) -> None:
    """Read again by the other parser, which shares nothing with this one but the syntax tree."""
    (equation,) = read(text)
    (again,) = python_equations(Source("reading", to_text(equation)), NAMES, AXES)
    assert meaning(again) == meaning(equation)


@pytest.mark.parametrize(("text", "column", "said"), REFUSED)
def test_what_could_be_two_things_is_refused(text: str, column: int, said: str) -> None:
    with pytest.raises(SourceError) as caught:
        meanings(text)
    assert str(caught.value).startswith(f"formula:1:{column}: ")
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(caught.value.line) <= 80


def test_there_are_enough_of_them() -> None:
    assert len(READ) >= 60
    assert len(REFUSED) >= 60


# --- Several equations ----------------------------------------------------------------------------

ROWS = [
    (r"y_i = x_i = \mu", ["y[i] = x[i]", "y[i] = mu"]),
    (
        r"\begin{aligned} y_i &= x_i \\ &= \gamma \\ &\quad + \beta \end{aligned}",
        ["y[i] = x[i]", "y[i] = gamma + beta"],
    ),
    (
        r"\begin{align*} y_i &= x_i \\ \mu &= 0 \end{align*}",
        ["y[i] = x[i]", "mu = 0"],
    ),
    (
        r"\eqalign{ & y = \gamma {\kern 1pt} x  \cr & {\kern 1pt} = \beta \cr}",
        ["y = gamma*x", "y = beta"],
    ),
    (
        r"\frac{\partial x_i}{\partial x_j} ="
        r"\begin{cases} 1, & i = j \\ 0, & i \neq j \end{cases}",
        ["dx[i]/dx[j] = 1, i = j", "dx[i]/dx[j] = 0, i != j"],
    ),
    (
        r"\frac{dx_i}{dx_j}=\left\{ \begin{array}{rr} 1, & i = j\\ 0, & \text{otherwise}\\"
        r"\end{array} \right.",
        ["dx[i]/dx[j] = 1, i = j", "dx[i]/dx[j] = 0, i != j"],
    ),
]


@pytest.mark.parametrize(("text", "readings"), ROWS)
def test_rows_chains_and_cases(text: str, readings: list[str]) -> None:
    assert [to_text(equation) for equation in read(text)] == readings


@pytest.mark.parametrize(
    "text",
    [
        r"y_i = \begin{cases} 1, & i = j \end{cases}",
        r"y_i = \begin{cases} 1 \\ 2 \end{cases}",
        r"y_i = \begin{cases} 1, & i = j \\ 2, & i = j \end{cases}",
        r"y_i = \begin{cases} 1, & i > j \\ 2, & i = j \end{cases}",
        r"y_i = \begin{cases} 1, & i = j",
        r"\begin{aligned} y_i &= x_i",
        r"y_i = x_i, i = i",
        r"y_i = x_i, i",
        r"\mu = 1, i = j",
    ],
)
def test_cases_that_are_not_two_are_refused(text: str) -> None:
    with pytest.raises(SourceError):
        meanings(text)


# --- Other names ----------------------------------------------------------------------------------


def test_the_names_are_those_of_a_notation() -> None:
    labels = {label: value for label, value in NAMES.items() if label != "C"}
    lamp = Vocabulary(labels, notation("lamp"), {})
    text = r"\frac{\partial e}{\partial x_i} = \frac{w}{k\sqrt{v + \varepsilon}} s_i - m"
    assert [to_text(equation) for equation in read(text, lamp)] == [
        "dl/dx[i] = gamma/(m*sqrt(var + eps))*x_hat[i] - mu"
    ]
    layer = Vocabulary(labels, notation("layer"), {})
    text = r"\tilde{Z}^{[l](i)} = \gamma \hat{Z}^{[l](i)} + \beta"
    assert [to_text(equation) for equation in read(text, layer)] == ["y[i] = gamma*x_hat[i] + beta"]
    with pytest.raises(SourceError, match=r"unknown name \\tilde{Z}; known here: "):
        read(r"\tilde{Z} = 1", layer)


def test_further_names_are_taken() -> None:
    others = {"u_B": "mu", "x'": "y", r"\tau^2": "var", "E": "loss", "N": "m"}
    more = Vocabulary(NAMES, PAPER, others)
    text = r"\frac{\partial E}{\partial x'_i} = u_B + \tau^2 + \tau + N"
    assert [to_text(equation) for equation in read(text, more)] == [
        "dl/dy[i] = mu + var + sqrt(var) + m"
    ]
    with pytest.raises(SourceError, match="unknown name L"):
        read(r"\frac{\partial L}{\partial x_i} = 0", more)


# --- Anything at all ------------------------------------------------------------------------------

PIECES = (
    *("x", "y", "i", "j", "m", "d", "E", "1", "2", "+", "-", "=", "/", ",", ".", "'", "|", "$"),
    *(
        "(",
        ")",
        "[",
        "]",
        "{",
        "}",
        "^",
        "_",
        "&",
        "\\\\",
        "{x_i}",
        "_{i=1}^m",
        r"\left",
        r"\right",
    ),
    *(r"\frac", r"\over", r"\sum", r"\partial", r"\ell", r"\gamma", r"\mu", r"\sigma", r"\hat"),
    *(r"\sqrt", r"\cdot", r"\begin{cases}", r"\end{cases}", r"\text", r"\exp", r"\delta"),
)


@given(st.lists(st.sampled_from(PIECES), max_size=25))
def test_nonsense_is_refused_and_nothing_else_happens(pieces: list[str]) -> None:
    try:
        equations = [(equation, meaning(equation)) for equation in read("".join(pieces))]
    except SourceError:
        return
    for equation, says in equations:
        (again,) = python_equations(Source("reading", to_text(equation)), NAMES, AXES)
        assert meaning(again) == says


@given(st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(SourceError):
        read(text)

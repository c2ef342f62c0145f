"""What is said of each mistake, and where the caret stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from derive.errors import InputError, SourceError
from derive.grammar import load, parse_layer
from derive.grammar.parser import DEEPEST
from derive.grammar.tokens import MOST_TOKENS
from tests.derive.grammar.cases import HEAD, with_output

# An expression on one line; on the next the column in it and what is said of it.
_LINES = (Path(__file__).parent / "mistakes.txt").read_text(encoding="utf-8").splitlines()
EXPRESSIONS = [
    (expression, *said.strip().split(": ", 1))
    for expression, said in zip(_LINES[::2], _LINES[1::2], strict=True)
] + [
    ("", "0", "found the end of the line, expected a name, a number or '('"),
    ("x * ", "4", "found the end of the line, expected a name, a number or '('"),
    (
        "\u200bx",
        "1",
        "the character (ZERO WIDTH SPACE, U+200B) is not part of the format; delete it",
    ),
    (
        "x\x07",
        "2",
        "the character (a control character, U+0007) is not part of the format; delete it",
    ),
]

# A file (after HEAD, where it begins with a +), the line and column, and what is said of it.
FILES = [
    ("", 1, 1, "nothing is declared; expected an input such as x[n, c]"),
    ("# only a comment\n", 2, 1, "nothing is declared; expected an input such as x[n, c]"),
    ("axes: n\nx[n]\n", 3, 1, "nothing is defined; expected a definition such as y[n, c] = ..."),
    ("axes: n\ny[n] = 2*z\n", 3, 1, "no input is declared; expected one such as x[n, c]"),
    (
        "+y[c] = gamma * x / eps\n",
        3,
        1,
        "y is declared over c, but its right-hand side varies over n, c",
    ),
    (
        "+y[n, c] = gamma / eps\n",
        3,
        1,
        "y is declared over n, c, but its right-hand side varies over c",
    ),
    (
        "+y = x * eps * gamma",
        3,
        1,
        "y is declared over no axis, but its right-hand side varies over n, c",
    ),
    ("+z[c] = w*gamma\nw[c] = z + eps\ny[n, c] = x*z", 3, 8, "a cycle: z needs w, w needs z"),
    ("+z[c] = z*gamma*eps\ny[n, c] = x*z", 3, 8, "z is defined by itself"),
    (
        "+y[n, c] = x*z\nz[c] = gamma*eps\n",
        3,
        13,
        "z is defined only in line 4; move that above this",
    ),
    (
        "+beta[c]\ny[n, c] = x*gamma*eps\n",
        3,
        1,
        "beta is not used: the output, y, does not depend on it",
    ),
    (
        "+z[c] = gamma\ny[n, c] = x*gamma*eps\n",
        3,
        1,
        "z is not used: the output, y, does not depend on it",
    ),
    ("axes: n, c, k\nx[n,c]\ny[n,c]=x", 1, 13, "the axis k is not used"),
    ("+x[n, c]\ny[n, c] = x*gamma*eps\n", 3, 1, "the name x is used twice, first in line 2"),
    ("+gamma[c] = eps\n", 3, 1, "the name gamma is used twice, first in line 2"),
    ("+y[n,c] = x*gamma*eps; y[n,c] = 2*x", 3, 23, "the name y is used twice, first in line 3"),
    (
        "+dx[c] = gamma*eps\ny[n,c]=x*dx",
        3,
        1,
        "dx is the name of the adjoint of x; call it something else",
    ),
    (
        "+R[n,c]= x*gamma*eps",
        3,
        1,
        "R is the name of the matrix factor of the Jacobian; call it something else",
    ),
    (
        "+C = eps\ny[n,c]=x*C*gamma",
        3,
        1,
        "C is the name of the size of the axis c; call it something else",
    ),
    ("+c = eps\ny[n,c]=x*c*gamma", 3, 1, "c is the name of the axis c; call it something else"),
    (
        "+lambda = eps\n y[n,c]=x*gamma*lambda",
        3,
        1,
        "lambda is a word of Python, the language of the kernels; call it lambda_",
    ),
    ("axes: n, n\nx[n]\ny[n]=x", 1, 10, "n is already an axis; name the size of n: n (SIZE)"),
    (
        "axes: n, N\nx[n, N]\ny[n,N]=x",
        1,
        10,
        "N is already the size of an axis; name the size of N: N (SIZE)",
    ),
    ("axes: n (m), c (m)\nx[n, c]\ny[n, c]=x", 1, 17, "m is already the size of an axis"),
    ("axes: n\naxes: c\nx[n]\ny[n]=x", 2, 1, "a second 'axes: NAMES'; a file describes one layer"),
    (
        "axes: n c\nx[n]\ny[n]=x",
        1,
        9,
        "found 'c', expected ',' and another axis, ';' or the end of the line",
    ),
    ("axes: n (m\nx[n]\ny[n]=x", 1, 11, "found the end of the line, expected ')'"),
    ("axes: 3\nx[n]\ny[n]=x", 1, 7, "found '3', expected the name of an axis"),
    ("x[n]\ny[n] = x", 1, 3, "no axes are declared; begin with 'axes: n'"),
    ("axes: n\nx[k]\ny[k]=x", 2, 3, "unknown axis k; known here: n"),
    ("axes: n\nx[n] > 1\ny[n]=x", 2, 8, "found '1', expected 0: a quantity can be > 0 or >= 0"),
    (
        "axes: n\nx[n] = \ny[n]=x",
        2,
        7,
        "found the end of the line, expected a name, a number or '('",
    ),
    (
        "axes: n\nx[n] y[n]=x",
        2,
        6,
        "found 'y', expected '> 0', '>= 0', '=', ';' or the end of the line",
    ),
    (
        "axes: n\n3\n",
        2,
        1,
        "found '3', expected a declaration such as x[n, c] or a definition such as mu[c] = ...",
    ),
    (
        "axes: n\nx[n];= 3\n",
        2,
        6,
        "found '=', expected a declaration such as x[n, c] or a definition such as mu[c] = ...",
    ),
    (
        "layer a\nlayer b\naxes: n\nx[n]\ny[n]=x",
        2,
        1,
        "a second 'layer NAME: TITLE'; a file describes one layer",
    ),
    ("source: a\nsource: b\n", 2, 1, "a second 'source: TEXT'; a file describes one layer"),
    ("layer a b\n", 1, 9, "found 'b', expected ':' with a title, ';' or the end of the line"),
    ("axes: n\nx[n]\nstages: z\ny[n]=x", 3, 9, "no quantity z is defined; known here: y"),
    (
        "axes: n\nx[n]\ny[n]=x; eps := 3",
        3,
        13,
        "found ':', expected '> 0', '>= 0', '=', ';' or the end of the line",
    ),
    ("axes: n\nconstant x[n]\ny[n]=x", 3, 1, "no input is declared; expected one such as x[n, c]"),
    (
        "axes: n\nconstant x[n] = 3\n",
        2,
        15,
        "found '=', expected '> 0', '>= 0', ';' or the end of the line",
    ),
    (
        "axes: n\nx[n]; y[n]=x : a\nstages: y, y2",
        3,
        12,
        "no quantity y2 is defined; did you mean y?",
    ),
]


def error_of(text: str) -> SourceError:
    with pytest.raises(SourceError) as caught:
        parse_layer(text, "my")
    return caught.value


@pytest.mark.parametrize(("expression", "column", "message"), EXPRESSIONS)
def test_a_mistake_in_an_expression(expression: str, column: str, message: str) -> None:
    before = len(with_output("").splitlines()[2])
    error = error_of(with_output(expression))
    assert str(error) == f"my:3:{before + int(column)}: {message}"
    assert error.caret.index("^") == before + int(column) - 1


@pytest.mark.parametrize(("text", "line", "column", "message"), FILES)
def test_a_mistake_in_a_file(text: str, line: int, column: int, message: str) -> None:
    text = HEAD + text[1:] if text.startswith("+") else text
    error = error_of(text)
    assert str(error) == f"my:{line}:{column}: {message}"
    assert error.line == text.split("\n")[line - 1]
    assert error.caret.index("^") == column - 1


def test_the_place_is_shown() -> None:
    error = error_of(with_output("gama * x"))
    assert error.detail == (
        "    y[n, c] = gamma * x / eps + gama * x\n"
        "                                ^^^^"
    )  # fmt: skip
    assert InputError("nowhere").detail == ""


def test_a_long_line_is_shown_in_part() -> None:
    error = error_of(with_output(" + ".join(["x"] * 100 + ["z"] + ["x"] * 100)))
    assert len(error.line) < 80
    assert error.line.startswith("…")
    assert error.line.endswith("…")
    assert error.line[error.caret.index("^")] == "z"


def test_wide_letters_and_tabs_before_the_place() -> None:
    error = error_of("axes: n\nx[n]\n日本\ty")
    assert error.line == "日本 y"
    error = error_of("layer l: 日本 \u202e\naxes: n\n")
    assert error.caret.index("^") == len("layer l: ") + 2 * 2 + 1


@pytest.mark.parametrize("opening", ["(", "-(", "exp(", "sum[n](", "x^(", "max(1, "])
def test_nesting_has_an_end(opening: str) -> None:
    deep = opening * (DEEPEST + 1) + "x" + ")" * (DEEPEST + 1)
    assert "nested more than 50 deep; give a name to a part of it" in str(
        error_of(with_output(deep))
    )


def test_towers_of_powers_have_an_end() -> None:
    assert "nested more than 50 deep" in str(error_of(with_output("x" + "^1" * 60)))


def test_lengths_have_an_end() -> None:
    many = with_output(" + ".join(["x"] * MOST_TOKENS))
    assert str(error_of(many)) == "my:3:1: more than 2000 names, numbers and signs in one file"
    lines = "".join(f"z{k} = eps\n" for k in range(101))
    assert str(error_of(HEAD + lines)) == "my:103:1: more than 100 definitions in one file"
    names = "".join(f"z{k}[n]\n" for k in range(30)) + "y[n] = q"
    assert str(error_of("axes: n\n" + names)).endswith(
        "known here: z0, z1, z2, z3, z4, z5, z6, z7, z8, z9, z10, z11, z12, z13, z14, …"
    )


@pytest.mark.parametrize(
    "expression",
    ["*".join(["1e99"] * 20), "+".join(f"1/{10**30 + k}" for k in range(99)), "9^64^0*(9^64)^64"],
)
def test_numbers_have_an_end(expression: str) -> None:
    assert "a number of more than a thousand digits" in str(error_of(with_output(expression)))


def test_roots_of_numbers_have_an_end() -> None:
    message = str(error_of(with_output(f"x*sqrt({10**15 + 37})")))
    assert message.endswith("a root of a number takes one of at most twelve digits")


FILE_ERRORS = [
    (b"", "bad.layer:1:1: nothing is declared; expected an input such as x[n, c]"),
    (b"axes: n\nx[n]\n\xff", "bad.layer:3: byte 0xff is not UTF-8; save the file as UTF-8 text"),
    (b"#" * 100_001, "bad.layer: longer than 100 kB, so this is no definition file"),
    (
        b"\x00\x01",
        "bad.layer:1:1: the character (a control character, U+0000) is not part of the format; "
        "delete it",
    ),
]


@pytest.mark.parametrize(("data", "message"), FILE_ERRORS)
def test_a_file_that_is_no_definition(tmp_path: Path, data: bytes, message: str) -> None:
    path = tmp_path / "bad.layer"
    path.write_bytes(data)
    with pytest.raises(InputError) as caught:
        load(path)
    assert str(caught.value).removeprefix(f"{tmp_path}/") == message


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"none.layer: cannot be read: No such file or directory"):
        load(tmp_path / "none.layer")
    with pytest.raises(InputError, match=r": cannot be read: Is a directory"):
        load(tmp_path)


@pytest.mark.parametrize("stem", ["123", "_", "class", "日本", "x" * 41])
def test_a_file_whose_name_is_no_name(tmp_path: Path, stem: str) -> None:
    path = tmp_path / f"{stem}.layer"
    path.write_text("axes: n\nx[n]\ny[n] = x\n", encoding="utf-8")
    with pytest.raises(InputError, match="is no name for a layer; begin the file with 'layer NAME"):
        load(path)

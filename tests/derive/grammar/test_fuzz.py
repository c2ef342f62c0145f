"""Random layers survive being written and read; random texts are read or refused, never worse."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

from hypothesis import example, given, settings
from hypothesis import strategies as st

from derive.errors import InputError, SourceError
from derive.grammar import parse_layer, to_text
from derive.grammar.elaborate import APPLIED
from derive.grammar.source import hidden
from tests.derive.grammar.cases import ANNOTATED, HEAD, with_output

SOME = settings(max_examples=60, deadline=None, derandomize=True)
SLOWEST = 5.0  # seconds for one text, on a slow and busy machine

# --- Random layers -------------------------------------------------------------------------------

NUMBERS = ["0", "1", "2", "0.5", "3e-2", "1/3", "m", "C"]
ATOMS = st.sampled_from(["x", "gamma", "mu", "eps", *NUMBERS])
POWERS = ["2", "-1", "(1/2)", "(-3/2)", "(1/3)", "0"]
UNARY = sorted({*APPLIED, "sqrt"} - {"max"})


def _grown(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(
        st.tuples(inner, st.sampled_from("+-*/"), inner).map("({0[0]}) {0[1]} ({0[2]})".format),
        st.tuples(inner, st.sampled_from("+-*/"), inner).map("{0[0]} {0[1]} {0[2]}".format),
        st.tuples(inner, st.sampled_from(POWERS)).map("({0[0]})^{0[1]}".format),
        st.tuples(st.sampled_from(UNARY), inner).map("{0[0]}({0[1]})".format),
        st.tuples(inner, inner).map("max({0[0]}, {0[1]})".format),
        inner.map("sum[n](x * ({}))".format),
        inner.map("mean[n, c](x - ({}))".format),
    )


EXPRESSIONS = st.recursive(ATOMS, _grown, max_leaves=8)


@SOME
@given(EXPRESSIONS, EXPRESSIONS)
@example("exp(m)^2*exp(x^2 - gamma)", "abs(mean[n, c](x) - 2*3)")
@example("((mean[n](x))^-1)^-1", "x*exp(eps)^(-1/3)*exp(mu)")
def test_a_random_layer_is_read_as_it_was_written(first: str, second: str) -> None:
    text = (
        f"{HEAD}mu[c] = mean[n](x) : of {{the}} batch\nz[n, c] = gamma*x*mu*eps + {first}\n"
        f"y[n, c] = z - ({second})"
    )
    try:
        layer = parse_layer(text)
    except SourceError:
        return  # division by zero, a root of -1, a sum over n inside a sum over n
    assert parse_layer(to_text(layer)) == layer


# --- Random texts --------------------------------------------------------------------------------

PIECES = st.sampled_from(
    [
        *["x", "gamma", "mu", "n", "c", "m", "eps", "y[n, c] = ", "x[n, c]", "axes: n", "layer "],
        *[
            "source:",
            "stages:",
            "constant ",
            "sum[n](",
            "mean[n,c](",
            "sqrt(",
            "max(",
            "exp(",
            "g(",
        ],
        *["(", ")", "[", "]", "+", "-", "*", "/", "^", "**", "=", ":", ";", ">", ">=", ",", "#"],
        *[
            "0",
            "1",
            "0.5",
            "1e99",
            "64",
            "9" * 30,
            "\n",
            "\r",
            "\t",
            " ",
            "é",
            "−",
            "\x00",
            "\u202e",
        ],
    ]
)


def read(text: str) -> None:
    """The text is a layer, or an error that can be printed."""
    start = perf_counter()
    refusal = _refusal(lambda: parse_layer(text))
    assert perf_counter() - start < SLOWEST
    if refusal:
        assert len(refusal.detail.splitlines()) in (0, 2)


def _refusal(parse: Callable[[], object]) -> InputError | None:
    """The error, if there is one; it can be printed."""
    try:
        parse()
    except InputError as caught:
        refusal = caught
    else:
        return None
    assert len(str(refusal).splitlines()) == 1
    assert not any(map(hidden, str(refusal) + refusal.detail.replace("\n", "")))
    return refusal


@SOME
@given(st.text(max_size=200))
def test_any_text_is_read_or_refused(text: str) -> None:
    read(text)


@SOME
@given(st.lists(PIECES, max_size=40).map("".join))
def test_any_text_of_words_of_the_format_is_read_or_refused(text: str) -> None:
    read(text)
    read(with_output(text))


@SOME
@given(st.lists(st.tuples(st.integers(0, len(ANNOTATED)), st.integers(0, 4), PIECES), max_size=3))
def test_a_damaged_file_is_read_or_refused(damages: list[tuple[int, int, str]]) -> None:
    text = ANNOTATED
    for at, length, piece in damages:
        text = text[:at] + piece + text[at + length :]
    read(text)


LONG = [
    " + ".join(f"(x + {k})^2" for k in range(100)),
    "-" * 1900 + "x",
    "(" * 1900,
    "tanh(gamma - x*" * 25 + "x" + ")" * 25,
]


def test_long_texts_take_a_bearable_time() -> None:
    for expression in LONG:
        read(with_output(expression))

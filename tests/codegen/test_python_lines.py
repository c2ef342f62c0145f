"""Lines end at 100 columns, and say what the unbroken statement says."""

from __future__ import annotations

import ast
import textwrap
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from codegen.backends.python_lines import (
    WIDTH,
    broken,
    call,
    indented,
    one_a_line,
    paragraph,
    signature,
    statement,
    tuple_of,
)

WORDS = st.text("abcdefgh_", min_size=1, max_size=24).map(lambda word: "x" + word)
INDENTS = st.sampled_from([0, 4, 8])


def _combined(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    few = st.lists(inner, min_size=2, max_size=5)
    return st.one_of(
        few.map(" + ".join),
        few.map(" - ".join),
        few.map(" * ".join),
        inner.map(lambda text: f"({text})"),
        inner.map(lambda text: f"-({text})"),
        inner.map(lambda text: f"np.sqrt({text})**3"),
        inner.map(lambda text: f"layout.total({text}) / m"),
        WORDS.map(lambda word: f"{word}[:, None]"),
    )


EXPRESSIONS = st.recursive(WORDS, _combined, max_leaves=40)


def tree(lines: list[str] | str) -> str:
    """The syntax tree of some lines of a function's body, apart from where they stand."""
    text = lines if isinstance(lines, str) else "\n".join(lines)
    return ast.dump(ast.parse(textwrap.dedent(text)))


def columns(lines: list[str] | str) -> int:
    return max(len(line) for line in (lines.splitlines() if isinstance(lines, str) else lines))


# --- Statements ----------------------------------------------------------------------------------


@settings(max_examples=80, deadline=None)
@given(WORDS, EXPRESSIONS, INDENTS)
def test_a_broken_statement_means_the_same(target: str, expression: str, indent: int) -> None:
    text = f"{target}[block] = {expression}"
    lines = broken(text, indent)
    assert columns(lines) <= WIDTH
    assert tree(lines) == tree(text)
    assert (len(lines) == 1) == (indent + len(text) <= WIDTH)
    assert all(line.startswith(" " * indent) and line == line.rstrip() for line in lines)


LONG = [f"term_number_{k}" for k in range(8)]


def test_it_breaks_before_the_outermost_additions() -> None:
    text = f"y = u * ({LONG[0]} - {LONG[1]}) + {' * '.join(LONG[2:5])} - {LONG[6]} + {LONG[7]}"
    assert len(text) > WIDTH
    assert broken(text, 4) == [
        "    y = (",
        "        u * (term_number_0 - term_number_1)",
        "        + term_number_2 * term_number_3 * term_number_4",
        "        - term_number_6",
        "        + term_number_7",
        "    )",
    ]


def test_and_where_that_is_not_enough_before_factors_and_inside_brackets() -> None:
    assert broken(f"y = {' * '.join(LONG)}", 4) == [
        "    y = (",
        *(f"        {'* ' if k else ''}{name}" for k, name in enumerate(LONG)),
        "    )",
    ]
    assert broken(f"y = layout.total({' + '.join(LONG)})", 0) == [
        "y = (",
        "    layout.total(term_number_0",
        *(f"    + {name}" for name in LONG[1:-1]),
        "    + term_number_7)",
        ")",
    ]


def test_the_width_is_used_to_its_last_column() -> None:
    text = f"y = {'a' * 60} + "
    text += "b" * (WIDTH - 4 - len(text))
    assert broken(text, 4) == ["    " + text]
    assert len(broken(text + "b", 4)) == 4
    assert statement(text[:-7], "why", 4) == [f"    {text[:-7]}  # why"]
    assert statement(text[:-6], "why", 4) == ["    # why", f"    {text[:-6]}"]


def test_a_comment_stands_beside_above_or_on_several_lines() -> None:
    assert statement("y = a", "", 4) == ["    y = a"]
    assert statement("y = a", "why", 4) == ["    y = a  # why"]
    text = f"y = {' + '.join(LONG[:5])}"
    assert statement(text, "the reason for this line", 4) == [
        "    # the reason for this line",
        "    " + text,
    ]
    above = statement(text, "many words " * 20, 4)
    assert len(above) == 4
    assert columns(above) <= WIDTH
    assert all(line.startswith("    # ") for line in above[:-1])


LETTERS = st.characters(exclude_categories=["Cs", "Cc"], include_characters="\n\r\t#\\'\"")
NOTES = st.lists(st.text(LETTERS, min_size=1, max_size=15), max_size=30).map(" ".join)


@settings(max_examples=50, deadline=None)
@given(WORDS, EXPRESSIONS, NOTES, INDENTS)
def test_no_comment_becomes_code(target: str, expression: str, note: str, indent: int) -> None:
    text = f"{target} = {expression}"
    lines = statement(text, note, indent)
    assert columns(lines) <= WIDTH
    assert tree(lines) == tree(text)
    words = [line.partition("#")[2] for line in lines]
    assert " ".join(words).split() == note.split()


# --- Signatures and calls ------------------------------------------------------------------------

NAMES = st.lists(WORDS, max_size=9, unique=True)


@settings(max_examples=50, deadline=None)
@given(WORDS, NAMES)
def test_a_signature_means_the_same(name: str, parameters: list[str]) -> None:
    typed = [f"{parameter}: Any" for parameter in parameters]
    head = signature(name, typed, "tuple[Array, ...]")
    assert columns(head) <= WIDTH
    whole = f"def {name}({', '.join(typed)}) -> tuple[Array, ...]:"
    assert tree(f"{head}\n    return ()") == tree(f"{whole}\n    return ()")


@settings(max_examples=50, deadline=None)
@given(NAMES.filter(bool), NAMES, INDENTS)
def test_a_call_means_the_same(targets: list[str], arguments: list[str], indent: int) -> None:
    function = f"{tuple_of(targets[:3])} = _backward"
    text = call(function, arguments, indent)
    assert columns(text) <= WIDTH
    assert tree(text) == tree(f"{function}({', '.join(arguments)})")
    assert all(line.startswith(" " * indent) for line in text.splitlines())


def test_arguments_go_on_one_line_on_their_own_or_each() -> None:
    assert call("f", ["a", "b"], 4) == "    f(a, b)"
    middle = call("result_of_the_call = function_with_a_long_name", LONG[:5], 4).splitlines()
    assert [len(line.split(", ")) for line in middle] == [1, 5, 1]
    assert call("f", LONG, 4).splitlines() == ["    f(", *(f"        {a}," for a in LONG), "    )"]


# --- The rest ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "text"), [([], "()"), (["a"], "(a,)"), (["a", "b"], "a, b"), (list("abc"), "a, b, c")]
)
def test_tuples(names: list[str], text: str) -> None:
    assert tuple_of(names) == text
    assert len(ast.parse(text).body) == 1
    space = {name: k for k, name in enumerate(names)}
    assert eval(text, {}, space) == tuple(range(len(names)))


def test_lists_of_lines() -> None:
    assert indented(["a", "b"]) == "    a\n    b"
    assert indented(["a", "b"], 8) == "        a\n        b"
    assert indented([]) == ""
    assert one_a_line(["a: int", "b: int = 0"]) == "    a: int,\n    b: int = 0,\n"
    assert one_a_line([]) == ""


@settings(max_examples=50, deadline=None)
@given(st.lists(WORDS, min_size=1, max_size=60), INDENTS)
def test_paragraphs(words: list[str], indent: int) -> None:
    text = paragraph(" ".join(words), indent)
    assert columns(text) <= WIDTH
    assert text.split() == words
    lines = text.splitlines()
    assert all(line.startswith(" " * indent) for line in lines)
    for line, following in pairwise(lines):  # as full as they can be
        assert len(line) + 1 + len(following.split()[0]) > WIDTH

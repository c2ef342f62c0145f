"""Lines of Python source, broken at :data:`WIDTH` columns.  Nothing here knows a formula."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from itertools import product

WIDTH = 100


def indented(lines: Iterable[str], by: int = 4) -> str:
    """The lines as one text."""
    return "\n".join(" " * by + line for line in lines)


def block(lines: Iterable[str], by: int = 4) -> str:
    """The lines as whole lines of a text; nothing where there are none."""
    return "".join(" " * by + line + "\n" for line in lines)


def paragraph(text: str, by: int = 4) -> str:
    """Words filled to the width."""
    space = " " * by
    filled = textwrap.TextWrapper(WIDTH, space, space, break_on_hyphens=False)
    return filled.fill(text)


def one_a_line(entries: Iterable[str], by: int = 4) -> str:
    """Parameters or arguments, each on its own line with its comma."""
    return "".join(f"{' ' * by}{entry},\n" for entry in entries)


def tuple_of(names: Sequence[str]) -> str:
    """A tuple as it stands after ``return`` or before ``=``: ``a, b`` or ``(a,)``."""
    return ", ".join(names) if len(names) > 1 else f"({''.join(f'{name},' for name in names)})"


def statement(text: str, note: str, indent: int) -> list[str]:
    """A line of code with its comment beside it, or above where that is too long."""
    note = " ".join(note.split())
    if not note:
        return broken(text, indent)
    if indent + len(text) + len("  # ") + len(note) <= WIDTH:
        return [f"{' ' * indent}{text}  # {note}"]
    comment = f"{' ' * indent}# "
    filled = textwrap.TextWrapper(WIDTH, comment, comment, break_on_hyphens=False)
    return [*filled.wrap(note), *broken(text, indent)]


def broken(text: str, indent: int) -> list[str]:
    """An assignment or a return, if it is too long broken before its outermost additions, and where
    that is not enough before multiplications and inside brackets."""
    space = " " * indent
    if indent + len(text) <= WIDTH:
        return [space + text]
    sign = " += " if " += " in text else " = "
    start = "return " if text.startswith("return ") else text.partition(sign)[0] + sign
    expression = text.removeprefix(start)
    parts = [expression]
    for depth, signs in product(range(expression.count("(") + 1), ("+-", "+-*/")):
        parts = _parts(expression, depth, signs)
        if indent + 4 + max(map(len, parts)) <= WIDTH:
            break
    return [f"{space}{start}(", *(f"{space}    {part}" for part in parts), f"{space})"]


def _parts(expression: str, deepest: int, signs: str) -> list[str]:
    """The expression cut before each of the signs that stands in no more than so many brackets."""
    parts, depth, start = [], 0, 0
    for k, letter in enumerate(expression):
        depth += (letter in "([") - (letter in ")]")
        if depth <= deepest and letter in signs and expression[k - 1 : k + 2] == f" {letter} ":
            parts.append(expression[start : k - 1])
            start = k
    return [*parts, expression[start:]]


def signature(name: str, parameters: Sequence[str], returns: str) -> str:
    """The head of a function."""
    return _bracketed(f"def {name}", parameters, f" -> {returns}:", 0)


def call(function: str, arguments: Sequence[str], indent: int) -> str:
    """A call, or an assignment of one."""
    return _bracketed(function, arguments, "", indent)


def _bracketed(before: str, entries: Sequence[str], after: str, indent: int) -> str:
    """On one line, else with the entries on a line of their own, else with a line for each."""
    space, inside = " " * indent, ", ".join(entries)
    line = f"{space}{before}({inside}){after}"
    if len(line) <= WIDTH:
        return line
    middle = f"{space}    {inside}\n"
    if len(middle) > WIDTH + 1:
        middle = one_a_line(entries, indent + 4)
    return f"{space}{before}(\n{middle}{space}){after}"

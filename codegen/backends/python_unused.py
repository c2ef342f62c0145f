"""Support code that a module does not need: what no other part of its text names is left out."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator

FUNCTION = re.compile(r"^def (_\w+)", re.MULTILINE)
METHOD = re.compile(r"^    def ((?!__)\w+)\(\s*self", re.MULTILINE)


def without_unused(text: str) -> str:
    """A module without private functions, and methods, that nothing in it names.

    Raises SyntaxError if the text is not Python.
    """
    words = Counter(re.findall(r"\w+", text))  # which is quick, and finds no less
    once = any(words[name] == 1 for name in FUNCTION.findall(text))
    if not once and set(METHOD.findall(text)) <= set(re.findall(r"\.(\w+)", text)):
        return text
    tree = ast.parse(text)
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    named |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    lines = text.splitlines(keepends=True)
    unused = [f for f in _own(tree) if f.name not in named]
    for function in unused:
        first = min([function.lineno, *(d.lineno for d in function.decorator_list)]) - 1
        while not lines[first - 1].strip():
            first -= 1
        for k in range(first, function.end_lineno or 0):
            lines[k] = ""
    return without_unused("".join(lines)) if unused else text


def _own(tree: ast.Module) -> Iterator[ast.FunctionDef]:
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("_"):
            yield node
        if isinstance(node, ast.ClassDef):
            methods = (step for step in node.body if isinstance(step, ast.FunctionDef))
            yield from (method for method in methods if not method.name.startswith("__"))

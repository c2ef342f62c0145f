"""A module has the support code that it needs, and no other."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from codegen.backends.python_unused import without_unused

GENERATED = sorted((Path(__file__).parents[2] / "generated").glob("*_kernels/[!_]*.py"))
MODULE = '''\
class _Rows:
    """Some rows."""

    def __init__(self) -> None:
        self.sums = _zeros()

    @property
    def mean(self) -> float:
        return self.total() / 2

    def total(self) -> float:
        return 0.0


def _zeros() -> list[float]:
    return []


@staticmethod
def _ones() -> list[float]:
    return _many()


def _many() -> list[float]:
    return []


def forward() -> _Rows:
    """What a module offers is named elsewhere."""
    return _Rows()
'''


def test_what_nothing_names_is_left_out_and_what_that_alone_named() -> None:
    made = without_unused(MODULE)
    names = {node.name for node in ast.walk(ast.parse(made)) if isinstance(node, ast.FunctionDef)}
    assert names == {"__init__", "_zeros", "forward"}
    assert made.count("@") == 0
    assert "\n\n\n\n" not in made
    assert without_unused(made) == made


@pytest.mark.parametrize("path", GENERATED, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_generated_modules_have_nothing_else(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    own = {f.name for f in tree.body if isinstance(f, ast.FunctionDef) and f.name[0] == "_"}
    own |= {f.name for c in classes for f in c.body if isinstance(f, ast.FunctionDef)}
    named = {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
    named |= {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
    assert own - {"__init__"} <= named

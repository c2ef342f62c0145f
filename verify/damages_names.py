"""Second names: dbeta = sum_dy gives a value another, e = np.exp(x, out=x) an array."""

from __future__ import annotations

import ast
from collections.abc import Iterable


def second_names(nodes: Iterable[ast.AST]) -> dict[str, str]:
    """Names of what was written into another array or into scratch, and where that is."""
    lies: dict[str, str] = {}
    for node in nodes:
        if isinstance(node, ast.Assign) and isinstance(node.value, ast.Call):
            for keyword in (k for k in node.value.keywords if k.arg == "out"):
                room, _, _ = ast.unparse(keyword.value).partition(",")  # scratch.like(3, ...)
                lies[ast.unparse(node.targets[0])] = lies.get(room, room)
            for place in node.value.args[-1:]:  # rows.times(x, factor, rows.place(y))
                if ast.unparse(place).startswith("rows.place("):
                    lies[ast.unparse(node.targets[0])] = ast.unparse(place)
    return lies


def copies(nodes: Iterable[ast.AST]) -> set[str]:
    """Names of values that have one already."""
    return {
        ast.unparse(target)
        for node in nodes
        if isinstance(node, ast.Assign) and not isinstance(node.value, ast.BinOp | ast.Call)
        for target in node.targets
    }

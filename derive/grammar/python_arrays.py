"""What array code needs to know of its parts: the axes of an array, and the value of a number."""

from __future__ import annotations

import ast
from collections.abc import Mapping

from sympy import Expr

from derive.expr import Axis, Var, free_axes
from derive.grammar.indices import children
from derive.grammar.tree import Node, Quantity, Reduction


def varies(node: Node, names: Mapping[str, Expr]) -> set[Axis]:
    """The axes that the array of a node has; ``names`` says what each name stands for."""
    if isinstance(node, Reduction):
        gone = {token.text for token in node.axes}
        return {axis for axis in varies(node.body, names) if axis.base not in gone}
    if isinstance(node, Quantity):
        value = names.get(node.name.text)
        if isinstance(value, Var):
            return set(value.axes)
        return set() if value is None else set(free_axes(value))
    return set().union(*(varies(child, names) for child in children(node)))


def constant(node: ast.expr) -> object:
    """The number, with its sign, or other constant that is written; None for anything else."""
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        value = constant(node.operand)
        return -value if type(value) is int else None
    return node.value if isinstance(node, ast.Constant) else None

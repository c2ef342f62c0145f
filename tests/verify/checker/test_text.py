"""What is printed is what was proved: each line, run as Python, has the value of its formula."""

from __future__ import annotations

import math
import re
from fractions import Fraction
from itertools import product
from random import Random
from typing import Any

import pytest

from derive.derivation import derive
from derive.layers import LAYERS
from verify.certificate import certificate
from verify.checker.replay import Checker, check
from verify.checker.terms import Expr
from verify.checker.text import line, statement

COUNT = {"n": 3, "c": 2, "g": 2, "s": 2, "k": 2}
FUNCTIONS = {"exp": math.exp, "log": math.log, "tanh": math.tanh}
Table = dict[tuple[int, ...], float]


def tables(checker: Checker) -> dict[str, Table]:
    """Random positive numbers for every name."""
    rng = Random(0)
    return {
        name: {
            at: rng.uniform(0.5, 1.5) for at in product(*(range(COUNT[index[0]]) for index in own))
        }
        for name, own in checker.names.indices.items()
    }


def of_tree(expr: Expr, names: dict[str, Table], at: dict[str, int]) -> float:
    if isinstance(expr, int | Fraction):
        return float(expr)
    kind, *args = expr
    if kind == "var":
        return names[args[0]][tuple(at[index] for index in args[1:])]
    if kind == "size":
        return COUNT[args[0]]
    if kind == "sum":
        places = product(*(range(COUNT[index]) for index in args[1:]))
        return sum(
            of_tree(args[0], names, at | dict(zip(args[1:], place, strict=True)))
            for place in places
        )
    if kind == "fn":
        return float(FUNCTIONS[args[0]](of_tree(args[1], names, at)))
    if kind == "pow":
        return float(of_tree(args[0], names, at) ** (args[1] / args[2]))
    parts = [of_tree(arg, names, at) for arg in args]
    return sum(parts) if kind == "add" else math.prod(parts)


def of_text(text: str, checker: Checker, names: dict[str, Table], at: dict[str, int]) -> float:
    """sum[n](…) is a function of n, and x[n,c] an entry of a table."""

    def total(*axes: str) -> Any:
        places = list(product(*(range(COUNT[axis]) for axis in axes)))
        return lambda body: sum(body(*place) for place in places)

    def called(found: re.Match[str]) -> str:
        axes = found[1].split(",")
        return f"total({', '.join(map(repr, axes))})(lambda {found[1]}: "

    code = re.sub(r"sum\[([a-z,]+)\]\(", called, text.replace("^", "**"))
    code = re.sub(r"(\w+)\[(\w+)\]", r"\1[\2,]", code)
    scalars = {name: table[()] for name, table in names.items() if () in table}
    sizes = {size: COUNT[axis] for axis, size in checker.names.sizes.items()}
    return float(eval(code, {**names, **scalars, **sizes, **FUNCTIONS, **at, "total": total}))


@pytest.mark.parametrize(
    "name", ["batch_norm", "layer_norm", "group_norm", "softmax_cross_entropy", "block_tanh"]
)
def test_each_line_has_the_value_of_its_formula(name: str) -> None:
    checker = check(certificate(derive(LAYERS[name])))
    names, shown = tables(checker), list(statement(checker))
    at = dict.fromkeys(checker.names.sizes, 1)
    formulas = (checker.names.defined, checker.gradients)
    for left, formula in ((name, expr) for table in formulas for name, expr in table.items()):
        text = line(formula, checker.names.sizes)
        found, due = of_text(text, checker, names, at), of_tree(formula, names, at)
        assert found == pytest.approx(due, rel=1e-9, abs=1e-9), (left, text)
        assert any(printed.endswith(f" = {text}") for printed in shown)


A, B = ("var", "a"), ("var", "b")
LINES = [
    (("mul", -1, A), "-a"),
    (("mul", -1, ("mul", -1, A)), "-(-a)"),
    (("mul", A, ("mul", -1, B)), "a*(-b)"),
    (("add", A, ("mul", -1, ("add", A, B))), "a - (a + b)"),
    (("pow", ("mul", A, B), 2, 1), "(a*b)^2"),
    (("pow", ("mul", -1, A), 2, 1), "(-a)^2"),
    (("pow", ("pow", A, 2, 1), 1, 2), "(a^2)^(1/2)"),
    (("pow", A, -1, 1), "a^(-1)"),
    (("mul", ("pow", A, -1, 1), ("pow", B, -1, 2)), "1/(a*b^(1/2))"),
    (("mul", A, ("pow", ("mul", A, B), -1, 1)), "a/(a*b)"),
    (("mul", ("mul", A, ("pow", B, -1, 1)), ("pow", A, -1, 1)), "a/b/a"),
    (("mul", Fraction(-1, 2), A), "(-1/2)*a"),
    (("add", -2, A), "-2 + a"),
    (("pow", -2, 2, 1), "(-2)^2"),
    (("pow", Fraction(1, 2), 2, 1), "(1/2)^2"),
    (("delta", "n", "n'"), "delta[n,n']"),
    (("fn", "exp", ("add", A, B)), "exp(a + b)"),
]


@pytest.mark.parametrize(("expr", "text"), LINES)
def test_brackets(expr: Expr, text: str) -> None:
    assert line(expr, {}) == text

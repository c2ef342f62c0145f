"""Text: golden pictures, widths and alphabets."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from hypothesis import given, settings
from sympy import Expr, Rational

from derive.expr import SumOver, Var, mul, tangent
from derive.render import PAPER, equation, formula, to_line, to_text
from derive.render.line import columns
from derive.render.text import to_picture
from derive.render.tree import Node
from tests.derive.render.formulas import ALL, BATCH_NORM, PLAIN, n, spread, var, x
from tests.derive.render.golden import ASCII, LINES, PICTURES
from tests.derive.render.strategies import expressions


def tree(name: str) -> Node:
    entry = ALL[name]
    return equation(entry.lhs, entry.rhs, entry.notation, entry.shown)


@pytest.mark.parametrize("name", PICTURES)
def test_pictures(name: str) -> None:
    assert "\n".join(to_text(tree(name))) == PICTURES[name].strip("\n")


@pytest.mark.parametrize("name", ASCII)
def test_ascii_pictures(name: str) -> None:
    assert "\n".join(to_text(tree(name), ascii=True)) == ASCII[name].strip("\n")


@pytest.mark.parametrize("name", LINES)
def test_lines(name: str) -> None:
    assert to_line(tree(name)) == LINES[name]


@pytest.mark.parametrize("ascii", [False, True])
@pytest.mark.parametrize("name", ALL)
def test_every_formula_is_clean(name: str, ascii: bool) -> None:
    rows = to_text(tree(name), ascii)
    for row in rows:
        assert columns(row) <= 80
        assert row == row.rstrip()
        assert not ascii or row.isascii()
        assert ascii or not set(row) & set("│┌┐└┘|┃")


@pytest.mark.parametrize("name", BATCH_NORM)
def test_batch_norm_is_two_dimensional_within_80_columns(name: str) -> None:
    node = tree(f"batch norm: {name}")
    assert max(map(columns, to_picture(node))) <= 80
    if name != "y_dot":  # its names are long in ASCII; to_text gives the one-line form
        assert max(map(columns, to_picture(node, ascii=True))) <= 80


@settings(max_examples=200, deadline=None)
@given(expressions)
def test_random_expressions_are_pure(expr: Expr) -> None:
    node = formula(expr, PLAIN, ("n",))
    assert all(row.isascii() for row in to_text(node, ascii=True, width=10**6))
    assert to_line(node, ascii=True).isascii()
    assert all(row == row.rstrip() for row in to_text(node, width=10**6))


def test_narrow_terminals_get_one_line_and_then_several() -> None:
    node = tree("batch norm: dx_closed")
    assert len(to_text(node, width=60)) == 3
    line = to_line(node)
    assert to_text(tree("batch norm: r"), width=30) == [to_line(tree("batch norm: r"))]
    assert to_text(node, width=45) == [
        "∂ℓ/∂xᵢ = γ/(m √(σ²_B + ε)) (m ∂ℓ/∂yᵢ",
        "    − Σⱼ ∂ℓ/∂yⱼ − x̂ᵢ Σⱼ ∂ℓ/∂yⱼ x̂ⱼ)",
    ]
    for width in (24, 40, 50):
        rows = to_text(node, width=width)
        assert " ".join(row.strip() for row in rows) == line
    assert to_text(node, width=5)[0] == "∂ℓ/∂xᵢ"


def test_a_sum_is_broken_at_its_own_terms_first() -> None:
    assert to_text(tree("batch norm: dx"), width=48) == [
        "∂ℓ/∂xᵢ = (1/√(σ²_B + ε)) ∂ℓ/∂x̂ᵢ",
        "    + (2(xᵢ − μ_B)/m) ∂ℓ/∂σ²_B + (1/m) ∂ℓ/∂μ_B",
    ]


def test_dots() -> None:
    def show(quantity: Var, ascii: bool = False) -> str:
        return to_line(formula(quantity, PAPER, ("n",)), ascii)

    assert show(tangent(x)) == "x\N{COMBINING DOT ABOVE}ᵢ"
    assert show(tangent(x), ascii=True) == "x_dot_i"
    assert show(tangent(var)) == "(σ²_B)˙"
    assert show(tangent(var), ascii=True) == "sigma^2_dot_B"


def test_labels_beyond_ascii_and_columns() -> None:
    assert to_line(formula(Var("τ"), PAPER, ()), ascii=True).isascii()
    assert columns("x̂ᵢ") == 2
    assert columns("幅") == 2


def test_tall_powers() -> None:
    squared = SumOver(mul(x, spread(Rational(-1))), n) ** 2
    assert to_text(formula(squared, PAPER, ("n",))) == [
        "⎛ m     xᵢ   ⎞2",
        "⎜ ∑  ────────⎟",
        "⎝i=1 σ²_B + ε⎠",
    ]


def test_no_dependence_on_the_hash_seed() -> None:
    program = (
        "from tests.derive.render.formulas import ALL\n"
        "from derive.render import equation, to_latex, to_line, to_text\n"
        "for entry in ALL.values():\n"
        "    tree = equation(entry.lhs, entry.rhs, entry.notation, entry.shown)\n"
        "    print(ascii((to_text(tree), to_line(tree), to_latex(tree))))\n"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "2")
    }
    assert len(outputs) == 1

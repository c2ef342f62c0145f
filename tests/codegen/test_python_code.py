"""Printed code means what the expression means, and never rounds by itself."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from fractions import Fraction
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from sympy import (
    Add,
    Expr,
    Float,
    Function,
    I,
    Integer,
    Mul,
    Pow,
    Rational,
    exp,
    log,
    oo,
    pi,
    sin,
    sqrt,
    tanh,
)

from codegen.backends.python_code import code
from derive.expr import Axis, Delta, SumOver, Var, add, mul
from derive.functions import Absolute, Erf, Gauss, Maximum, Relu, Sigmoid, Sign, Step
from verify.evaluate import evaluate
from verify.fields import Values
from verify.loading import load

n = Axis("n", "m")
m = n.size
a, b, c = (Var(label, positive=True) for label in "abc")
VARS = (a, b, c)


def name(node: Expr) -> str:
    assert isinstance(node, Var)
    return node.label


class Formal:
    """Rationals with any two functions for the root and the exponential: if the code takes them of
    the same arguments and does the same with their values, they need not be the real ones."""

    def number(self, value: int | Fraction) -> Fraction:
        return Fraction(value)

    def sqrt(self, value: Fraction) -> Fraction:
        return value * value + 3

    def exp(self, value: Fraction) -> Fraction:
        return value * value * value - 5

    def log(self, value: Fraction) -> Fraction:
        return 7 - value * value

    def transcendental(self, name: str, value: Fraction) -> Fraction:
        return {"log": value * 7 - 2, "erf": value * 5, "gauss": value * value + 1}[name]


class Exact(ast.NodeTransformer):
    """Whole numbers as Fractions, so that 1 / 2 is exact as well."""

    def visit_Constant(self, node: ast.Constant) -> ast.AST:
        assert type(node.value) is int
        return ast.Call(ast.Name("Fraction", ast.Load()), [node], [])


def value_of(text: str, values: Mapping[str, Any]) -> Any:
    tree = ast.fix_missing_locations(Exact().visit(ast.parse(text, mode="eval")))
    space = {"np": Formal(), "Fraction": Fraction, **values}
    return eval(compile(tree, "<code>", "eval"), space)


def value_as_it_stands(text: str, values: Mapping[str, Any]) -> Any:
    module = load(f"def value(np, {', '.join(values)}):\n    return {text}\n", "code")
    return module.value(SimpleNamespace(sqrt=Formal().sqrt, exp=Formal().exp), **values)


# --- By hand -------------------------------------------------------------------------------------

TEXTS = [
    (mul(-1, Pow(a, 2)), "-a**2"),
    (Pow(add(mul(-1, a), b), 2), "(-a + b)**2"),
    (mul(a, Pow(mul(b, c), -1)), "a / (b * c)"),
    (mul(a, Pow(b, -1), c), "a * c / b"),
    (Pow(add(a, b), -2), "1 / (a + b)**2"),
    (mul(-1, a, b, Pow(c, -1)), "-(a * b) / c"),
    (mul(-1, a, Pow(c, -1)), "-a / c"),
    (mul(-1, Pow(c, -1)), "-1 / c"),
    (mul(-1, a, b), "-a * b"),
    (mul(Rational(2, 3), a), "2 * a / 3"),
    (mul(Rational(-1, 2), a, b), "-(a * b) / 2"),
    (mul(Rational(1, 2), Pow(b, -1)), "1 / (2 * b)"),
    (mul(a, add(b, c)), "a * (b + c)"),
    (mul(a, Pow(add(b, c), -1)), "a / (b + c)"),
    (mul(a, Pow(b, -2)), "a / b**2"),
    (add(a, mul(-1, add(b, c), c)), "a - (b + c) * c"),
    (Add(a, Mul(-1, Add(b, c), evaluate=False), evaluate=False), "a - (b + c)"),
    (Add(a, Mul(-1, add(b, mul(-1, c)), evaluate=False), evaluate=False), "a - (b - c)"),
    (add(mul(-1, a), mul(-2, b), -3), "-a - 2 * b - 3"),
    (add(a, mul(-1, b, Pow(c, -1))), "a - b / c"),
    (sqrt(a), "np.sqrt(a)"),
    (Pow(a, Rational(3, 2)), "np.sqrt(a)**3"),
    (Pow(a, Rational(-1, 2)), "1 / np.sqrt(a)"),
    (mul(b, Pow(add(a, 1), Rational(-3, 2))), "b / np.sqrt(a + 1)**3"),
    (Pow(Pow(a, 2), 3), "a**6"),
    (Pow(Pow(add(a, b), 2), Rational(1, 2)), "a + b"),
    (exp(mul(-1, a)), "np.exp(-a)"),
    (Pow(add(exp(a), 1), 2), "(np.exp(a) + 1)**2"),
    (mul(m, a), "m * a"),
    (mul(a, Pow(add(m, -1), -1)), "a / (m - 1)"),
    (Integer(0), "0"),
    (Integer(-2), "-2"),
    (mul(Integer(-2), a), "-2 * a"),
    (Mul(a, Integer(-2), evaluate=False), "a * (-2)"),
    (Rational(-1, 2), "-1 / 2"),
]


@pytest.mark.parametrize(("expr", "text"), TEXTS, ids=[text for _, text in TEXTS])
def test_precedence_by_hand(expr: Expr, text: str) -> None:
    assert code(expr, name) == text
    values = {"a": Fraction(2, 3), "b": Fraction(-5), "c": Fraction(7, 2), "m": 4}
    assert value_of(text, values) == direct(expr, values)


def test_names_that_are_not_words_are_bracketed_where_they_have_to_be() -> None:
    x = Var("x", n)
    shown = {x: "x[:, None]", a: "p + q", b: "layout.total(x)"}

    def other(node: Expr) -> str:
        return shown[node]

    assert code(mul(x, b), other) == "x[:, None] * layout.total(x)"
    assert code(mul(a, x), other) == "(p + q) * x[:, None]"
    assert code(Pow(a, -2), other) == "1 / (p + q)**2"


def test_sums_and_deltas_are_printed_by_the_caller() -> None:
    total, delta = SumOver(Var("x", n), n), Delta(n, n.prime())
    seen: list[Expr] = []

    def other(node: Expr) -> str:
        seen.append(node)
        return "it"

    assert code(Mul(2, total, delta), other) == "2 * it * it"
    assert set(seen) == {total, delta}


@pytest.mark.parametrize(
    ("expr", "said"),
    [
        (sin(a), "no code for sin: sin(a)"),
        (add(1, sin(a)), "no code for sin: sin(a)"),
        (sqrt(sin(a)), "no code for sin: sin(a)"),
        (Float(0.5), "no code for Float: 0.500000000000000"),
        (mul(a, Float(0.5)), "no code for Float: 0.500000000000000"),
        (pi, "no code for Pi: pi"),
        (I, "no code for ImaginaryUnit: I"),
        (oo, "no code for Infinity: oo"),
        (Pow(a, Rational(1, 3)), "no code for the power 1/3"),
        (Pow(a, Rational(-2, 3)), "no code for the power 2/3"),
        (Pow(a, b), "no code for the power b"),
        (Pow(2, m), "no code for the power m"),
        (n, "no code for Axis: n"),
    ],
    ids=str,
)
def test_an_unknown_node_is_named(expr: Expr, said: str) -> None:
    with pytest.raises(TypeError) as raised:
        code(expr, name)
    assert str(raised.value) == said


# --- Random expressions --------------------------------------------------------------------------

NUMBERS = st.integers(-3, 3).map(Integer)
RATIONALS = st.builds(Rational, st.integers(-5, 5), st.integers(1, 4))
EXPONENTS = st.sampled_from([Rational(k, 2) for k in (-6, -4, -3, -2, -1, 1, 3, 4, 6)])


def _larger(inner: st.SearchStrategy[Expr]) -> st.SearchStrategy[Expr]:
    few = st.lists(inner, min_size=2, max_size=3)
    return st.one_of(
        few.map(lambda terms: add(*terms)),
        few.map(lambda factors: mul(*factors)),
        few.map(lambda terms: Add(*terms)),  # in SymPy's order, its numbers distributed
        few.map(lambda factors: Mul(*factors)),
        st.tuples(inner, EXPONENTS).filter(lambda p: p[0] != 0).map(lambda pair: Pow(*pair)),
        st.tuples(RATIONALS, inner).map(lambda pair: mul(*pair)),
        inner.map(exp),
    )


LEAVES = st.one_of(st.sampled_from([*VARS, m]), NUMBERS)
EXPRESSIONS = st.recursive(LEAVES, _larger, max_leaves=10)
POINTS = st.fixed_dictionaries(
    {**{v.label: st.fractions(-4, 4, max_denominator=5) for v in VARS}, "m": st.integers(2, 9)}
)


def direct(expr: Expr, values: Mapping[str, Any]) -> Fraction:
    given_values: Values = {v.label: {(): values[v.label]} for v in VARS}
    return evaluate(expr, Formal(), given_values, {"m": values["m"]}, {})


@settings(max_examples=100, deadline=None)
@given(EXPRESSIONS, POINTS)
def test_random_expressions(expr: Expr, values: Mapping[str, Any]) -> None:
    try:
        expected = direct(expr, values)
    except (TypeError, ZeroDivisionError):  # SymPy made zoo, I or a power of a number of it
        assume(False)
    text = code(expr, name)
    assert value_of(text, values) == expected
    literals = [node.value for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Constant)]
    assert all(type(literal) is int for literal in literals)
    assert "." not in text.replace("np.sqrt", "").replace("np.exp", "")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(RATIONALS, st.sampled_from(VARS)), min_size=1, max_size=3), POINTS)
def test_no_coefficient_rounds(
    terms: list[tuple[Rational, Var]], values: Mapping[str, Any]
) -> None:
    """Run as it stands, with Python's own numbers in it, q·v/m + … stays a fraction."""
    expr = add(*(mul(number, var, Pow(m, -1)) for number, var in terms))
    assume(expr != 0)
    result = value_as_it_stands(code(expr, name), values)
    assert type(result) is Fraction
    assert result == direct(expr, values)


NUMBERS_ALONE = [
    (add(a, Rational(1, 2)), "(2 * a + 1) / 2"),
    (add(a, Rational(-1, 3), mul(-2, Pow(m, -1))), "(3 * m * a - 6 - m) / (3 * m)"),
    (mul(a, add(Rational(1, 2), Pow(m, -1))), "a * (2 + m) / (2 * m)"),
    (add(a, 2, m), "a + 2 + m"),
]


@pytest.mark.parametrize(("expr", "text"), NUMBERS_ALONE, ids=[text for _, text in NUMBERS_ALONE])
def test_no_quotient_of_numbers_alone_is_left_to_python(expr: Expr, text: str) -> None:
    """It would be rounded: nothing in it says what kind of number it should be."""
    assert code(expr, name) == text
    values = {"a": Fraction(2, 3), "m": 7}
    result = value_as_it_stands(text, values)
    assert type(result) is Fraction
    assert result == direct(expr, {"b": Fraction(1), "c": Fraction(1), **values})
    assert type(value_as_it_stands("a + 1 / 3", {"a": Fraction(1)})) is float


FUNCTIONS = [
    (log(a), "np.log(a)"),
    (Absolute(a), "np.abs(a)"),
    (Sign(a), "np.sign(a)"),
    (Maximum(a, add(b, 1)), "np.maximum(a, b + 1)"),
    (Relu(a), "np.maximum(a, 0)"),
    (Step(a), "np.where(a > 0, 1, 0)"),
    (tanh(a), "np.tanh(a)"),
    (Sigmoid(a), "1 / (1 + np.exp(-a))"),
]


@pytest.mark.parametrize(("expr", "text"), FUNCTIONS, ids=[text for _, text in FUNCTIONS])
def test_elementwise_functions(expr: Expr, text: str) -> None:
    assert code(expr, name) == text


@pytest.mark.parametrize("function", [Erf, Gauss])
def test_numpy_has_no_erf(function: type[Function]) -> None:
    with pytest.raises(TypeError, match=f"no code for {function.__name__}"):
        code(function(a), name)


def test_a_wrong_text_is_seen() -> None:
    values = {"a": Fraction(2), "b": Fraction(3), "c": Fraction(5), "m": 4}
    right = direct(mul(a, Pow(mul(b, c), -1)), values)
    assert value_of("a / (b * c)", values) == right
    assert value_of("a / b * c", values) != right
    with pytest.raises(AssertionError):
        value_of("0.5 * a", values)

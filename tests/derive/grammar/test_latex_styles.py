r"""One formula in many hands: random expressions, each part set in a style drawn for it.

The value of an expression is built beside its text, by SymPy, and what is read must be that value.
Styles are fractions by \frac, \over and /, products with a sign and without, brackets of all kinds,
needless braces and spaces, scripts in either order, sums with each way to write their bounds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Expr, Integer, Pow, Rational, sqrt

from derive.errors import SourceError
from derive.expr import SumOver, Var, add, adjoint, mul
from derive.grammar.formulas import formula_of
from derive.grammar.indices import indices_of
from derive.grammar.latex_rows import latex_equations
from derive.grammar.latex_vocabulary import Vocabulary
from derive.grammar.source import Source
from derive.layers.batch_norm import beta, c, eps, gamma, mu, n, var, x, x_hat, y
from derive.render.notation_file import PAPER
from verify.evaluate import evaluate

NAMES: dict[str, Expr] = {
    **{v.label: v for v in (x, gamma, beta, eps, mu, var, x_hat, y)},
    "m": n.size,
}
VOCABULARY = Vocabulary(NAMES, PAPER, {}, batch="m")
INDEXED = {x: ["x"], y: ["y"], x_hat: [r"\hat{x}", r"\widehat{x}", r"{\widehat x}", r"\hat x"]}
SCALARS: dict[Expr, list[str]] = {
    gamma: [r"\gamma", r"{\gamma}"],
    mu: [r"\mu", r"\mu_B", r"{\mu _B}", r"\mu_{\mathcal{B}}"],
    var: [r"\sigma^2", r"\sigma_B^2", r"\sigma^2_B", r"\sigma_{\mathcal B}^{2}"],
    sqrt(var): [r"\sigma", r"\sigma_B"],
    sqrt(var + eps): [r"\sqrt{\sigma^2 + \epsilon}", r"\sqrt {\sigma _B^2 + \varepsilon }"],
    eps: [r"\epsilon", r"\varepsilon"],
    n.size: ["m", r"\lvert B \rvert"],
    Integer(2): ["2"],
    Rational(1, 2): ["0.5", r"\frac12", r"{1 \over 2}"],
}


@dataclass(frozen=True)
class Set:
    """A text with its value; ``loose`` if a sign stands outside its brackets."""

    text: str
    value: Expr
    loose: bool = False
    number: bool = False


def factor(part: Set, draw: st.DrawFn) -> Set:
    """In brackets, if it would fall apart beside another factor."""
    if not part.loose:
        return part
    left, right = draw(
        st.sampled_from(
            [("(", ")"), ("[", "]"), (r"\left(", r"\right)"), (r"\bigl[", r"\bigr]"), ("{(", ")}")]
        )
    )
    return Set(f"{left}{part.text}{right}", part.value)


@st.composite
def atoms(draw: st.DrawFn, letter: str) -> Set:
    index = {"i": n, "j": n.prime(), "k": n.prime(2)}[letter]
    if draw(st.booleans()):
        value = draw(st.sampled_from(list(SCALARS)))
        text = draw(st.sampled_from(SCALARS[value]))
        return Set(text, value, number=value.is_number)
    quantity: Var = draw(st.sampled_from(list(INDEXED)))
    name = draw(st.sampled_from(INDEXED[quantity]))
    there = quantity.at(index, c)
    shape = draw(st.sampled_from(["{0}_{1}", "{0}_{{{1}}}", "{0}^{{({1})}}", "{{{0}_{1}}}"]))
    text = shape.format(name, letter)
    if draw(st.booleans()):
        return Set(text, there)
    quotient = draw(
        st.sampled_from(
            [
                r"\frac{{\partial \ell}}{{\partial {0}}}",
                r"{{{{\partial \ell}} \over {{\partial {0}}}}}",
                r"\frac{{\partial\ell}}{{\partial {{{0}}}}}",
            ]
        )
    )
    return Set(quotient.format(text), adjoint(there))


@st.composite
def expressions(draw: st.DrawFn, letter: str, depth: int) -> Set:
    if depth == 0:
        return draw(atoms(letter))
    kind = draw(st.sampled_from(["sum", "product", "fraction", "slash", "power", "total"]))
    one = draw(expressions(letter, depth - 1))
    if kind == "total" and letter == "k":
        kind = "sum"
    if kind == "power":
        exponent = draw(st.sampled_from(["2", "{2}", "{-1}", "{-2}"]))
        value = Pow(one.value, int(exponent.strip("{}")))
        return Set(f"({one.text})^{exponent}", value)
    if kind == "total":
        return total(draw, letter, depth)
    two = draw(expressions(letter, depth - 1))
    if kind == "sum":
        sign = draw(st.sampled_from([" + ", " - ", "+", "-"]))
        negative = "-" in sign
        second = two if not two.text.startswith("-") else factor(two, draw)
        value = add(one.value, mul(-1, second.value) if negative else second.value)
        if negative and second.loose:
            second = factor(second, draw)
        return Set(one.text + sign + second.text, value, loose=True)
    if kind == "fraction":
        shape = draw(st.sampled_from([r"\frac{{{0}}}{{{1}}}", r"{{{0} \over {1}}}"]))
        return Set(shape.format(one.text, two.text), mul(one.value, Pow(two.value, -1)))
    left, right = factor(one, draw), factor(two, draw)
    if kind == "slash":
        text = f"({left.text}/({right.text}))" if "/" not in left.text + right.text else None
        if text is None or r"\sum" in left.text + right.text:
            return Set(rf"\frac{{{one.text}}}{{{two.text}}}", mul(one.value, Pow(two.value, -1)))
        return Set(text, mul(left.value, Pow(right.value, -1)))
    if r"\sum" in left.text:  # what follows would be summed as well
        left = Set(f"({left.text})", left.value)
    signs = [r" \cdot ", r" \times "]
    plain = not (right.number or left.number or right.text[0] in "([{\\" or "/" in left.text)
    signs += [" ", r"\,", r" {} "] * (plain and right.text[0].isalpha())
    if right.text.startswith((r"\hat", r"\widehat", r"\gamma", r"\mu", r"\frac{\partial")):
        signs += [" "] * (not left.number)
    return Set(left.text + draw(st.sampled_from(signs)) + right.text, mul(left.value, right.value))


def total(draw: st.DrawFn, letter: str, depth: int) -> Set:
    inner = {"i": "j", "j": "k"}[letter]
    index = {"j": n.prime(), "k": n.prime(2)}[inner]
    quantity: Var = draw(st.sampled_from(list(INDEXED)))
    name = f"{INDEXED[quantity][0]}_{inner}"  # so that the summand has the index
    rest = factor(draw(expressions(inner, depth - 1)), draw)
    if r"\sum" in rest.text or letter != "i":
        rest = Set(r"\gamma", gamma)
    bounds = draw(
        st.sampled_from(
            [
                "_{{{0}=1}}^m",
                "_{{{0} = 1}}^{{m}}",
                "_{0}",
                r"_{{{0} \in B}}",
                r"\limits_{0}^m",
            ]
        )
    )
    text = rf"\sum{bounds.format(inner)} {name} \cdot {rest.text}"
    return Set(text, SumOver(mul(quantity.at(index, c), rest.value), index))


class Floats:
    """Plain numbers; every root here is of a positive one."""

    def number(self, value: int | Fraction) -> float:
        return float(value)

    def sqrt(self, a: float) -> float:
        return math.sqrt(a)

    def exp(self, a: float) -> float:
        return math.exp(a)

    def log(self, a: float) -> float:
        return math.log(a)

    def transcendental(self, name: str, a: float) -> float:
        raise NotImplementedError(name, a)


def values(m: int) -> dict[str, dict[tuple[int, ...], float]]:
    rng = Random(m)
    found: dict[str, dict[tuple[int, ...], float]] = {}
    for quantity in (x, y, x_hat, adjoint(x), adjoint(y), adjoint(x_hat)):
        found[quantity.label] = {(at, 0): rng.uniform(-2, 2) for at in range(m)}
    for quantity in (gamma, mu, var):
        found[quantity.label] = {(0,): rng.uniform(1, 2)}
    return {**found, eps.label: {(): 0.3}}


def numbers(expr: Expr) -> list[float]:
    """Its values at a few places, where a sum is a loop."""
    return [
        evaluate(expr, Floats(), values(m), {"m": m}, {n: at, c: 0})
        for m, at in ((7, 0), (7, 1), (11, 2))
    ]


@settings(max_examples=120, deadline=None, derandomize=True)
@given(expressions("i", 3))
def test_every_style_of_one_formula_is_read_alike(part: Set) -> None:
    text = f"y_i = {part.text}"
    try:
        (equation,) = latex_equations(Source("formula", text), VOCABULARY)
        indices = indices_of(equation, NAMES, ["n"])
        read = formula_of(equation, {**NAMES, **indices.sizes}, indices.letters).rhs
    except SourceError as error:
        refused = str(error)
        assert "division by zero" in refused or "the summand varies over" in refused, text
        return
    assert numbers(read) == pytest.approx(numbers(part.value), rel=1e-6), text

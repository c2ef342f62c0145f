"""Expressions as Python code over arrays.  A node that is not listed raises, naming its type.

No floating-point literal is ever printed (x/2, never 0.5*x), so that the same code also computes
exactly when it is run on fractions; nor is a quotient of numbers alone beside another term, which
would be a float: x + 1/2 is (2*x + 1)/2.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from sympy import Add, Expr, Function, Integer, Mul, Pow, S, Symbol, exp, log, tanh

from derive.expr import Axis, Delta, SumOver, Var, add, mul
from derive.functions import (
    Absolute,
    Activation,
    ActivationSlope,
    Maximum,
    Relu,
    Sigmoid,
    Sign,
    Step,
)

Name = Callable[[Expr], str]

FUNCTIONS: Mapping[type[Function], str] = {
    exp: "np.exp({})",
    tanh: "np.tanh({})",
    log: "np.log({})",
    Absolute: "np.abs({})",
    Sign: "np.sign({})",
    Maximum: "np.maximum({}, {})",
    Relu: "np.maximum({}, 0)",
    Step: "np.where({} > 0, 1, 0)",
    Activation: "g({})",
    ActivationSlope: "slope({})",
}

QUANTITIES = (Var, SumOver, Delta, Function)  # what is an array or float already
SUM, PRODUCT, POWER, ATOM = range(4)  # how tightly a piece of code binds


def code(expr: Expr, name: Name) -> str:
    """Python code for an expression; ``name`` prints Vars, δs and sums."""
    return _print(expr, name)[0]


def _print(expr: Expr, name: Name) -> tuple[str, int]:
    if isinstance(expr, Var | Delta | SumOver):
        text = name(expr)
        return text, _tightness(text)
    if expr.is_Integer:
        return str(expr), ATOM if expr >= 0 else SUM
    if isinstance(expr, Symbol) and not isinstance(expr, Axis):
        return expr.name, ATOM
    if isinstance(expr, Add):
        whole = _over_one(expr)
        return (_sum(expr, name), SUM) if whole == expr else _print(whole, name)
    if isinstance(expr, Mul) or expr.is_Rational or (isinstance(expr, Pow) and _inverted(expr)):
        return _product(expr, name)
    if isinstance(expr, Pow):
        return _power(expr, name)
    if isinstance(expr, Sigmoid):
        return _print(expr.by_exp(), name)
    if type(expr) in FUNCTIONS:
        return FUNCTIONS[type(expr)].format(*(code(arg, name) for arg in expr.args)), ATOM
    raise TypeError(f"no code for {type(expr).__name__}: {expr}")


def _tightness(text: str) -> int:
    """How tightly the code for a name, a sum or a matrix product binds."""
    if " @ " in text:
        return PRODUCT
    return ATOM if text.replace("_", "a").isalnum() or text.endswith((")", "]")) else SUM


def _bracket(expr: Expr, name: Name, tightness: int) -> str:
    text, binds = _print(expr, name)
    return text if binds >= tightness else f"({text})"


def _over_one(expr: Expr) -> Expr:
    """A sum with fractions of numbers and sizes among its terms, over one denominator."""
    numbers = [term for term in expr.args if not term.has(*QUANTITIES)]
    rest = [term for term in expr.args if term not in numbers]
    above, below = Add(*numbers).as_numer_denom()
    if below == 1 or not rest:
        return expr
    return mul(add(mul(below, add(*rest)), above), Pow(below, -1))


def _sum(expr: Add, name: Name) -> str:
    text = ""
    for term in expr.args:
        if term.as_coeff_Mul()[0].is_negative:
            minus = " - " if text else "-"
            text += minus + _bracket(mul(-1, term), name, PRODUCT)
        else:
            text += (" + " if text else "") + _bracket(term, name, PRODUCT)
    return text


def _inverted(expr: Pow) -> bool:
    return bool(expr.exp.is_Rational and expr.exp.is_negative)


def _product(expr: Expr, name: Name) -> tuple[str, int]:
    number, rest = expr.as_coeff_Mul(rational=True)  # a Float stays a factor, to be refused
    sign = "-" if number.is_negative else ""
    above: list[Expr] = [] if abs(number.p) == 1 else [Integer(abs(number.p))]
    below: list[Expr] = [] if number.q == 1 else [Integer(number.q)]
    for factor in Mul.make_args(rest):
        if isinstance(factor, Pow) and _inverted(factor):
            below.append(Pow(factor.base, -factor.exp))
        elif isinstance(factor, Add) and not factor.has(*QUANTITIES):
            top_part, bottom_part = factor.as_numer_denom()
            above.append(top_part)
            below += [bottom_part] if bottom_part != 1 else []
        elif factor is not S.One:
            above.append(factor)
    top = " * ".join(_bracket(f, name, POWER) for f in above) or "1"
    if not below:
        return sign + top, SUM if sign else PRODUCT
    bottom = " * ".join(_bracket(f, name, POWER) for f in below)
    if len(below) > 1:
        bottom = f"({bottom})"
    if sign and len(above) > 1:
        top = f"({top})"
    return f"{sign}{top} / {bottom}", SUM if sign else PRODUCT


def _power(expr: Pow, name: Name) -> tuple[str, int]:
    base, exponent = expr.base, expr.exp
    if exponent.is_Integer:
        return f"{_bracket(base, name, ATOM)}**{exponent}", POWER
    if exponent.is_Rational and exponent.q == 2:
        root = f"np.sqrt({code(base, name)})"
        return (root, ATOM) if exponent.p == 1 else (f"{root}**{exponent.p}", POWER)
    raise TypeError(f"no code for the power {exponent}")

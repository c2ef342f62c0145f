"""The value of a formula at given numbers, by plain loops over its indices.

This is the oracle's own reading of :mod:`derive.expr`: a sum is a loop, a Kronecker delta a
comparison, and nothing is simplified, substituted or differentiated.  An index bound by a sum
hides an outer one of the same name, as in any program.  "Any function" g is g(a) = a^3 + 2a here,
as it is in :mod:`verify.references`, and g' is what that has for a slope.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from fractions import Fraction
from itertools import product
from math import prod

from sympy import Add, Expr, Function, Mul, Pow, Rational, Symbol, exp, log, tanh

from derive.expr import Axis, Delta, SumOver, Var, free_axes, sorted_axes
from derive.functions import (
    Absolute,
    Activation,
    ActivationSlope,
    Erf,
    Gauss,
    Maximum,
    Relu,
    Sigmoid,
    Sign,
    Step,
)
from verify.fields import Arithmetic, Index, Scalar, Values


def _tanh(numbers: Arithmetic, a: Scalar) -> Scalar:
    square = numbers.exp(a) ** 2
    return (square - 1) / (square + 1)


def _sign(numbers: Arithmetic, a: Scalar) -> Scalar:
    return numbers.number(int(a > 0) - int(-a > 0))


def _absolute(numbers: Arithmetic, a: Scalar) -> Scalar:
    return a * _sign(numbers, a)  # whose slope at 0 is 0


FUNCTIONS: Mapping[type[Function], Callable[..., Scalar]] = {
    exp: lambda numbers, a: numbers.exp(a),
    log: lambda numbers, a: numbers.log(a),
    Erf: lambda numbers, a: numbers.transcendental("erf", a),
    Gauss: lambda numbers, a: numbers.transcendental("gauss", a),
    Sign: _sign,
    Absolute: _absolute,
    Maximum: lambda numbers, a, b: (a + b + _absolute(numbers, a - b)) / 2,
    tanh: _tanh,
    Sigmoid: lambda numbers, a: 1 / (numbers.exp(-a) + 1),
    Relu: lambda numbers, a: a if a > 0 else numbers.number(0),
    Step: lambda numbers, a: numbers.number(int(a > 0)),
    Activation: lambda numbers, a: a**3 + a * 2,
    ActivationSlope: lambda numbers, a: a**2 * 3 + 2,
}


def evaluate(
    expr: Expr,
    numbers: Arithmetic,
    values: Values,
    sizes: Mapping[str, int],
    index: Mapping[Axis, int],
) -> Scalar:
    """The value of ``expr`` at one index.

    ``values`` gives each Var by label and index, ``sizes`` each size symbol by name (m -> 5),
    ``index`` a position for every free axis of the expression.  A node that is not known raises
    TypeError with its type; a value, size or index that is missing, KeyError.
    """
    return Evaluator(numbers, values, sizes).at(expr, index)


class Evaluator:
    """Evaluates formulas at one point, remembering sums and powers between calls."""

    def __init__(self, numbers: Arithmetic, values: Values, sizes: Mapping[str, int]) -> None:
        self._numbers, self._values, self._sizes = numbers, values, sizes
        self._axes: dict[Expr, tuple[Axis, ...]] = {}
        self._memo: dict[tuple[Expr, Index], Scalar] = {}

    def at(self, expr: Expr, index: Mapping[Axis, int]) -> Scalar:
        """The value of ``expr``; arguments and errors as in :func:`evaluate`."""
        match expr:
            case Var():
                return self._values[expr.label][tuple(index[axis] for axis in expr.axes)]
            case Rational():
                return self._numbers.number(Fraction(int(expr.p), int(expr.q)))
            case Add():
                return sum(self.at(term, index) for term in expr.args)
            case Mul():
                return prod(self.at(factor, index) for factor in expr.args)
            case SumOver() | Pow():
                return self._remembered(expr, index)
            case Function() if type(expr) in FUNCTIONS:
                return self._remembered(expr, index)
            case Delta():
                first, second = expr.indices
                return self._numbers.number(int(index[first] == index[second]))
            case Symbol() if not isinstance(expr, Axis):
                return self._numbers.number(self._sizes[expr.name])
        raise TypeError(f"{type(expr).__name__} cannot be evaluated: {expr}")

    def _remembered(self, expr: Expr, index: Mapping[Axis, int]) -> Scalar:
        if expr not in self._axes:
            self._axes[expr] = sorted_axes(free_axes(expr))
        key = expr, tuple(index[axis] for axis in self._axes[expr])
        if key not in self._memo:
            self._memo[key] = self._compute(expr, index)
        return self._memo[key]

    def _compute(self, expr: SumOver | Pow | Function, index: Mapping[Axis, int]) -> Scalar:
        if isinstance(expr, SumOver):
            ranges = (range(self._sizes[axis.size.name]) for axis in expr.axes)
            return sum(
                self.at(expr.body, {**index, **dict(zip(expr.axes, positions, strict=True))})
                for positions in product(*ranges)
            )
        if isinstance(expr, Function):
            arguments = (self.at(argument, index) for argument in expr.args)
            return FUNCTIONS[type(expr)](self._numbers, *arguments)
        base, exponent = self.at(expr.base, index), expr.exp
        if not isinstance(exponent, Rational) or exponent.q > 2:
            raise TypeError(f"the power {expr} has neither a whole nor a half-whole exponent")
        if exponent.q == 2:
            base = self._numbers.sqrt(base)
        return base ** int(exponent.p)

"""From the syntax tree to expressions of :mod:`derive.expr`.

A :class:`Scope` says what a name stands for and what an index letter is; the rest is the same for
layers and for single formulas.  Terms and factors get SymPy's order, so that two ways of writing
one product are equal, but numbers are not distributed: 2*(x - mu) stays as it is.
"""

from __future__ import annotations

from functools import cmp_to_key
from typing import NoReturn, Protocol

from sympy import Abs, Add, Basic, Expr, I, Integer, Mul, Pow, Rational, nan, oo, zoo

from derive.expr import HALF, Axis, Delta, SumOver, Var, free_axes, mean, mul, sorted_axes
from derive.functions import FUNCTIONS, Absolute, Activation
from derive.grammar.parser import REDUCTIONS
from derive.grammar.source import Place, Source, suggestion
from derive.grammar.tokens import Token
from derive.grammar.tree import (
    Call,
    Derivative,
    Node,
    Number,
    Power,
    Product,
    Quantity,
    Reduction,
    Sum,
)

LARGEST_POWER = 64  # of an exponent's numerator and denominator
MOST_BITS = 3320  # of a computed number: a thousand digits
ROOT_BITS = 40  # of a number under a root, which SymPy takes apart into primes
LARGEST_ARGUMENT = 1000  # of a function of a number
APPLIED = {**FUNCTIONS, "g": Activation}
CALLABLE = sorted((*APPLIED, "sqrt", *REDUCTIONS))


class Scope(Protocol):
    """The names that can be used at one place.  Each method raises SourceError."""

    @property
    def source(self) -> Source: ...

    def quantity(self, written: Quantity) -> Expr:
        """What a name with its indices stands for."""
        ...

    def derivative(self, written: Derivative) -> Expr:
        """What a derivative stands for."""
        ...

    def axis(self, written: Token) -> Axis:
        """What an index letter is."""
        ...

    def listed(self, axes: frozenset[Axis]) -> str:
        """The names of axes, or ``no axis``."""
        ...

    def is_quantity(self, label: str) -> bool:
        """Whether the name stands for something."""
        ...


class Elaborator:
    """Elaborates syntax trees in one scope."""

    def __init__(self, scope: Scope) -> None:
        self._scope = scope

    def __call__(self, node: Node) -> Expr:
        """The expression.  Raises SourceError for what has no meaning in the scope."""
        return ordered(self._expr(node))

    def _expr(self, node: Node) -> Expr:
        match node:
            case Number(value):
                return Rational(value.numerator, value.denominator)
            case Quantity():
                return self._scope.quantity(node)
            case Derivative():
                return self._scope.derivative(node)
            case Sum():
                return self._sum(node)
            case Product():
                return self._product(node)
            case Power():
                return self._power(self._expr(node.base), self._exponent(node.exponent), node.place)
            case Reduction():
                return self._reduction(node)
            case Call():
                return self._call(node)

    def _fail(self, place: Place, message: str) -> NoReturn:
        raise self._scope.source.error(place, message)

    def _sum(self, node: Sum) -> Expr:
        number: Expr = Integer(0)
        terms: list[Expr] = []
        for negative, term in node.terms:
            value = self._expr(term)
            value = times(-1, value) if negative else value
            if value.is_Rational:
                number = self._sound(number + value, term.place)
            else:
                terms.append(value)
        return self._sound(Add(number, *terms), node.place)

    def _product(self, node: Product) -> Expr:
        number: Expr = Integer(1)
        factors: list[Expr] = []
        for divides, factor in node.factors:
            value = self._expr(factor)
            if divides:
                value = self._power(value, Integer(-1), factor.place)
            coefficient, rest = value.as_coeff_Mul()
            number = self._sound(number * coefficient, factor.place)
            factors.append(rest)
        return self._sound(times(number, *factors), node.place)

    def _exponent(self, node: Node) -> Expr:
        exponent = self._expr(node)
        if not exponent.is_Rational:
            self._fail(
                node.place,
                f"an exponent is a rational number such as 2 or (1/2), not {_shown(exponent)}",
            )
        return exponent

    def _power(self, base: Expr, exponent: Expr, place: Place) -> Expr:
        p, q = abs(exponent.p), exponent.q
        if max(p, q) > LARGEST_POWER:
            self._fail(place, f"the exponent {exponent} is too large: {LARGEST_POWER} is the limit")
        if base.is_zero and exponent < 0:
            self._fail(place, "division by zero")
        if q > 1 and _bits(base.as_coeff_Mul()[0]) > ROOT_BITS:
            self._fail(place, "a root of a number takes one of at most twelve digits")
        power = Pow(base, exponent)
        if exponent.q > 1 and power.has(Abs):  # sqrt(x^2)
            power = power.replace(Abs, Absolute)
        return self._sound(power, place)

    def _reduction(self, node: Reduction) -> Expr:
        body = self._expr(node.body)
        axes: list[Axis] = []
        for token in node.axes:
            axis = self._scope.axis(token)
            if axis in axes:
                self._fail(token.place, f"the axis {token.text} is summed over twice")
            if axis not in free_axes(body):
                self._fail(
                    token.place,
                    f"a {node.function.text} over {token.text}, but the summand varies over "
                    f"{self._scope.listed(free_axes(body))}",
                )
            axes.append(axis)
        if not axes:
            self._fail(
                node.place, f"{node.function.text} needs an axis: {node.function.text}[n](...)"
            )
        total: Expr = SumOver(body, *axes)
        return mean(body, *sorted_axes(axes)) if node.function.text == "mean" else total

    def _call(self, node: Call) -> Expr:
        name = node.function.text
        if self._scope.is_quantity(name):
            self._fail(node.place, f"{name} is no function; a product needs its sign: {name}*(...)")
        if name in REDUCTIONS:
            self._fail(node.place, f"{name} needs its axes: {name}[n](...)")
        if name not in APPLIED and name != "sqrt":
            self._fail(node.place, f"unknown function {name}{suggestion(name, CALLABLE)}")
        wanted = 2 if name == "max" else 1
        if len(node.arguments) != wanted:
            words = {1: "one argument", 2: "two arguments"}
            self._fail(node.place, f"{name} takes {words[wanted]}, not {len(node.arguments)}")
        arguments = [self._expr(argument) for argument in node.arguments]
        if name == "sqrt":
            return self._power(arguments[0], HALF, node.place)
        for value, argument in zip(arguments, node.arguments, strict=True):
            self._check_argument(name, value, argument.place)
        return self._sound(APPLIED[name](*arguments), node.place)

    def _check_argument(self, name: str, value: Expr, place: Place) -> None:
        """SymPy computes the value of a function of a number, however large, to find its sign."""
        if value.free_symbols:
            return
        if not value.is_Rational or abs(value) > LARGEST_ARGUMENT:
            self._fail(
                place,
                f"{name} of a number takes a rational one of at most {LARGEST_ARGUMENT}, "
                f"not {_shown(value)}",
            )

    def _sound(self, expr: Expr, place: Place) -> Expr:
        """The expression, if it is real and of a reasonable size."""
        for term in Add.make_args(expr):
            for factor in Mul.make_args(term):
                if factor in (I, nan, oo, -oo, zoo) or (
                    factor.is_Pow and factor.base.is_negative and factor.base.is_Rational
                ):
                    self._fail(place, "this has no real value")
                if factor.is_Rational and _bits(factor) > MOST_BITS:
                    self._fail(place, "a number of more than a thousand digits")
                if factor.is_Pow and factor.exp.is_Rational and abs(factor.exp.p) > LARGEST_POWER:
                    self._fail(
                        place, f"the power {factor.exp} of one factor: {LARGEST_POWER} is the limit"
                    )
        return expr


def times(*factors: Expr | int) -> Expr:
    """The product in SymPy's order, with no number distributed over a sum of terms."""
    number: Expr = Integer(1)
    rest: list[Expr] = []
    for factor in factors:
        coefficient, other = Mul(factor).as_coeff_Mul()
        number = number * coefficient
        rest.append(other)
    coefficient, together = Mul(*rest).as_coeff_Mul()
    number = number * coefficient
    if together.is_Add and number not in (0, 1):
        return Mul._from_args((number, together))
    product: Expr = Mul(number, together)
    return product


def ordered(expr: Expr) -> Expr:
    """Terms and factors in SymPy's order throughout, which SymPy itself does not always restore."""
    if isinstance(expr, SumOver):
        total: Expr = SumOver(ordered(expr.body), *expr.axes)
        return total
    if isinstance(expr, Mul):
        expr = mul(expr)  # merges exp(a) exp(b)
    if isinstance(expr, Var | Delta) or not expr.args:
        return expr
    args = [ordered(arg) for arg in expr.args]
    if isinstance(expr, Add | Mul):
        product: Expr = expr.func._from_args(sorted(args, key=cmp_to_key(Basic.compare)))
        return _as_mean(product)
    return expr.func(*args, evaluate=False)


def _as_mean(product: Expr) -> Expr:
    """sum[n](x)/m in the order of factors that mean[n](x) has."""
    totals = [factor for factor in Mul.make_args(product) if isinstance(factor, SumOver)]
    if len(totals) != 1:
        return product
    (total,) = totals
    written = mean(total.body, *total.axes)
    return written if set(Mul.make_args(product)) == set(Mul.make_args(written)) else product


def _bits(number: Expr) -> int:
    """The length of a rational number; 0 of anything else."""
    return max(number.p.bit_length(), number.q.bit_length()) if number.is_Rational else 0


def _shown(value: Expr) -> str:
    text = str(value)
    return text if len(text) < 40 else "this one"

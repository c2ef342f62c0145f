"""From a normal form back to the formula a person would write.

A polynomial is split into its *content*, the factor that all terms share, and its *primitive part*:
γ/(m√(σ²+ε)) · (m g − Σg − x̂Σgx̂).  This is also where u and R of the Jacobian come from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, reduce
from math import gcd, lcm

from sympy import Expr, Pow

from derive.expr import Definition, SumOver, Var, add, mul
from derive.normal_form import NormalForm
from derive.polynomial import (
    Coefficient,
    Monomial,
    Poly,
    common_monomial,
    generators,
    join,
    name_of,
    plus,
    power_of,
    times,
)


@dataclass(frozen=True)
class Factored:
    """content · primitive, both as expressions with the roots written out."""

    content: Expr
    primitive: Expr

    @property
    def expr(self) -> Expr:
        return mul(self.content, self.primitive)


def closed_form(expr: Expr, normal_form: NormalForm) -> Expr:
    """The expression in closed form."""
    return factored(normal_form.poly(expr), normal_form).expr


def factored(poly: Poly, normal_form: NormalForm) -> Factored:
    """Content and primitive part of a polynomial; for a single term the primitive part is 1."""
    poly = _resolved(poly, normal_form)
    if not poly:
        return Factored(mul(1), mul(0))
    shared = common_monomial(poly)
    terms = {join(powers, power_of(shared, -1)): c for powers, c in poly.items()}
    order = sorted(terms, key=lambda powers: _reading_key(powers, terms[powers]))
    number = _common_coefficient(tuple(terms[powers] for powers in order))
    chart = normal_form.chart
    content = mul(_coefficient(number, chart.constants), _product(shared))
    primitive = add(
        *(
            mul(_coefficient(_quotient(terms[powers], number), chart.constants), _product(powers))
            for powers in order
        )
    )
    return Factored(chart.display(content), chart.display(primitive))


def _product(powers: Monomial) -> Expr:
    """Scalars first, then indexed quantities, then sums, each group by name."""

    def rank(item: tuple[Expr, int]) -> tuple[int, str, tuple[int, ...]]:
        generator = item[0]
        if isinstance(generator, Var):
            levels = tuple(axis.level for axis in generator.axes)
            return 1 if generator.axes else 0, generator.label, levels
        return 3 if isinstance(generator, SumOver) else 2, name_of(generator), ()

    return mul(*(Pow(generator, power) for generator, power in sorted(powers, key=rank)))


@cache
def _quotient(p: Coefficient, q: Coefficient) -> Coefficient:
    return p / q


@cache
def _coefficient(value: Coefficient, constants: tuple[Expr, ...]) -> Expr:
    """A rational function of sizes and constants, as numerator over denominator."""

    def term(item: tuple[tuple[int, ...], Expr], sign: int = 1) -> Expr:
        exponents, number = item
        symbols = zip(constants, exponents, strict=True)
        return mul(Pow(number, sign), *(Pow(symbol, sign * power) for symbol, power in symbols))

    above = add(*(term(item) for item in value.numer.terms()))
    if len(value.denom) == 1:  # factor by factor: SymPy would put those of a product in its order
        return mul(above, term(value.denom.terms()[0], -1))
    return mul(above, Pow(add(*(term(item) for item in value.denom.terms())), -1))


@cache
def _common_coefficient(values: tuple[Coefficient, ...]) -> Coefficient:
    """gcd of the numerators over lcm of the denominators; negative if every value is."""
    if len(values) == 1:
        return values[0]
    field = values[0].field
    top = [value.numer.primitive() for value in values]
    bottom = [value.denom.primitive() for value in values]
    number = field(reduce(gcd, (int(content) for content, _ in top)))
    number /= field(reduce(lcm, (int(content) for content, _ in bottom)))
    number *= field(reduce(lambda a, b: a.gcd(b), (part for _, part in top)))
    number /= field(reduce(lambda a, b: a.lcm(b), (part for _, part in bottom)))
    negative = all(_negative(value) for value in values)
    return -number if negative != _negative(number) else number


def _negative(value: Coefficient) -> bool:
    return bool(value.numer.LC < 0) != bool(value.denom.LC < 0)


def _reading_key(powers: Monomial, coefficient: Coefficient) -> tuple[bool, int, int, list[str]]:
    """Positive terms before negative ones, few sums before many, short before long."""
    sums = sum(isinstance(generator, SumOver) for generator, _ in powers)
    degree = sum(abs(power) for _, power in powers)
    return _negative(coefficient), sums, degree, [name_of(generator) for generator, _ in powers]


def _resolved(poly: Poly, normal_form: NormalForm) -> Poly:
    """Roots multiplied out where that leaves fewer terms: 1 − ε/(σ²+ε) becomes σ²/(σ²+ε)."""
    chart = normal_form.chart
    roots = [g for g in generators([poly]) if isinstance(g, Var) and g.label in chart.roots]
    if not roots:
        return poly
    for var in roots:
        root = chart.roots[var.label]
        under_root = normal_form.plain.poly(Definition(root.var, root.base).at(*var.axes))
        expanded = _without_root(poly, var, root.degree, under_root)
        if expanded is not None and len(expanded) < len(poly):
            poly = expanded
    return poly


def _without_root(poly: Poly, root: Var, degree: int, under_root: Poly) -> Poly | None:
    """Every term over the highest power of the root, its numerator expanded."""
    powers_of_root = {powers: dict(powers).get(root, 0) for powers in poly}
    highest = max(powers_of_root.values())
    total: Poly = {}
    for powers, coefficient in poly.items():
        count, left_over = divmod(highest - powers_of_root[powers], degree)
        if left_over:
            return None
        term: Poly = {join(powers, power_of(((root, 1),), count * degree)): coefficient}
        for _ in range(count):
            term = times(term, under_root)
        total = plus(total, term)
    return total

"""Expectations of polynomials in a sample, to second order.

The elements of a sample are independent draws from one distribution, x with E[x] and Var[x].  Then
E is linear, and E[xᵢ xⱼ] = E[x]² + δᵢⱼ Var[x], whatever the distribution.  :func:`expected`
takes the expectation by these two rules; the steps of a derivation are certified with it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sympy import Expr, Function, Mul

from derive.chart import NotNormalError
from derive.expr import (
    Axis,
    Delta,
    SumOver,
    Var,
    add,
    avoid,
    mul,
    rebuild,
)
from derive.normal_form import NormalForm
from derive.polynomial import Monomial


class Expected(Function):
    """E[body], over all samples."""

    nargs = 1
    is_real = True


@dataclass(frozen=True)
class Population:
    """Where the elements of ``x`` come from: their mean and their variance, the same for each."""

    x: Var
    mean: Var
    variance: Var

    def moment(self, draws: list[Var]) -> Expr:
        """E of a product of at most two elements of the sample."""
        if not draws:
            return mul(1)
        if len(draws) == 1:
            return self.mean
        if len(draws) == 2:
            first, second = draws
            pairs = zip(first.axes, second.axes, strict=True)
            same = mul(*(Delta(a, b) for a, b in pairs))
            return add(mul(self.mean, self.mean), mul(same, self.variance))
        raise NotNormalError(f"the expectation of a product of {len(draws)} elements")


def expected(expr: Expr, population: Population, normal_form: NormalForm) -> Expr:
    """The expression with every E[·] in it worked out.

    ``normal_form`` must not eliminate x.  Raises NotNormalError for what is not a polynomial of
    second order in x.
    """
    if isinstance(expr, Expected):
        return add(
            *(
                mul(*constants, SumOver(population.moment(draws), *bound))
                for constants, draws, bound in _terms(expr.args[0], population, normal_form)
            )
        )
    if not expr.args or isinstance(expr, Delta | Var):
        return expr
    if isinstance(expr, SumOver):
        total: Expr = SumOver(expected(expr.body, population, normal_form), *expr.axes)
        return total
    return rebuild(expr, (expected(arg, population, normal_form) for arg in expr.args))


def linear(expr: Expr, population: Population, normal_form: NormalForm) -> Expr:
    """E[body] as sums of E[products of elements of the sample]."""
    return add(
        *(
            mul(*constants, SumOver(Expected(mul(*draws)) if draws else mul(1), *bound))
            for constants, draws, bound in _terms(expr.args[0], population, normal_form)
        )
    )


Term = tuple[list[Expr], list[Var], tuple[Axis, ...]]


def _terms(body: Expr, population: Population, normal_form: NormalForm) -> Iterator[Term]:
    poly = normal_form.poly(expected(body, population, normal_form))
    for powers, coefficient in poly.items():
        constants, draws, bound = _product(powers, population)
        yield [coefficient.as_expr(), *constants], draws, bound


def _product(powers: Monomial, population: Population) -> Term:
    """A monomial as constants and elements of the sample, under sums over indices of their own."""
    constants: list[Expr] = []
    draws: list[Var] = []
    bound: tuple[Axis, ...] = ()
    for generator, power in powers:
        if not _depends(generator, population.x):
            constants.append(generator**power)
            continue
        if power < 0:
            raise NotNormalError(f"the expectation of a power {power} of {generator}")
        for _ in range(power):
            taken = frozenset(bound).union(*(draw.axes for draw in draws))
            factors, axes = _written_out(generator, taken)
            bound += axes
            for factor in factors:
                base, exponent = factor.as_base_exp()
                if isinstance(base, Var) and base.label == population.x.label:
                    draws += [base] * int(exponent)
                elif _depends(factor, population.x):
                    raise NotNormalError(f"the expectation of {factor}")
                else:
                    constants.append(factor)
    return constants, draws, bound


def _written_out(generator: Expr, taken: frozenset[Axis]) -> tuple[list[Expr], tuple[Axis, ...]]:
    if not isinstance(generator, SumOver):
        return list(Mul.make_args(generator)), ()
    generator = avoid(generator, taken)
    factors, inner = _written_out(generator.body, taken | set(generator.axes))
    return factors, (*generator.axes, *inner)


def _depends(expr: Expr, x: Var) -> bool:
    return any(var.label == x.label for var in expr.atoms(Var))

"""Polynomials in arrays: what a compiled loop or a narrow type makes of sums and results.

A combination is Σ coefficient · product of arrays, with coefficients that one group has one value
of.  It is written out where a formula has brackets, and nothing else is simplified.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping
from typing import TypeVar

from sympy import Add, Expr, Integer, Mul, Pow

from codegen.ir import Assign
from codegen.names import sum_label, unused
from derive.expr import Axis, SumOver, Var, add, free_axes, mul, sorted_axes

Monomial = tuple[Var, ...]  # a product of arrays, in the order of their names
Combination = dict[Monomial, Expr]  # with a coefficient for each product

Key = TypeVar("Key", bound=Hashable)  # a monomial, or what else stands for arrays

NONE: Monomial = ()  # what is multiplied by no array is constant


class NotLinearError(Exception):
    """A result that is no combination of the arrays that are read."""


def sum_of(combinations: Iterable[Mapping[Key, Expr]]) -> dict[Key, Expr]:
    """The sum; what cancels is left out."""
    total: dict[Key, Expr] = {}
    for terms in combinations:
        for key, factor in terms.items():
            total[key] = add(total.get(key, Integer(0)), factor)
    return {key: factor for key, factor in total.items() if factor != 0}


def product_of(combinations: Iterable[Mapping[Monomial, Expr]]) -> Combination:
    """The product, multiplied out."""
    whole: Combination = {NONE: Integer(1)}
    for terms in combinations:
        whole = sum_of(
            {_joined(first, second): mul(p, q)}
            for first, p in whole.items()
            for second, q in terms.items()
        )
    return whole


def combination(expr: Expr, axes: frozenset[Axis], known: dict[Var, Combination]) -> Combination:
    """An expression as a polynomial in arrays that vary over ``axes``.

    ``known`` says what some of them are.  Raises NotLinearError for what is no polynomial.
    """
    if not free_axes(expr) & axes:
        return {(): expr}
    if isinstance(expr, Var):
        return known.get(expr, {(expr,): Integer(1)})
    if isinstance(expr, Add):
        return sum_of(combination(term, axes, known) for term in expr.args)
    if isinstance(expr, Mul):
        return product_of(combination(part, axes, known) for part in expr.args)
    if isinstance(expr, Pow) and expr.exp.is_Integer and expr.exp > 0:
        return product_of([combination(expr.base, axes, known)] * int(expr.exp))
    raise NotLinearError(f"{expr} is no polynomial in arrays")


class PlainSums:
    """Sums of products of arrays over ``axes``, each assigned once and by a name of its own.

    ``assigns`` is where a new one is put, ``taken`` the names that are in use, and ``word`` what
    those of sums begin with.
    """

    def __init__(
        self, axes: tuple[Axis, ...], assigns: list[Assign], taken: set[str], word: str = "sum"
    ) -> None:
        self.axes, self.assigns, self.taken, self.word = axes, assigns, taken, word
        self.known: dict[Expr, Expr] = {}  # what has a name, or a value that is known otherwise

    def of(self, monomial: Monomial) -> Expr:
        """The sum of a product, by its name; of nothing, the size."""
        if monomial == NONE:
            return mul(*(axis.size for axis in self.axes))
        total = SumOver(mul(*monomial), *self.axes)
        if total not in self.known:
            label = unused(sum_label(total).replace("sum", self.word, 1), self.taken)
            self.taken.add(label)
            var = Var(label, *sorted_axes(free_axes(total)))
            self.known[total] = var
            self.assigns.append(Assign(var, total))
        return self.known[total]

    def whole(self, terms: Mapping[Monomial, Expr]) -> Expr:
        """The sum of a combination."""
        return add(*(mul(factor, self.of(monomial)) for monomial, factor in terms.items()))


def written(combination: Mapping[Monomial, Expr]) -> Expr:
    """The combination as an expression."""
    return add(*(mul(factor, *monomial) for monomial, factor in combination.items()))


def coefficient(name: str, factor: Expr, note: str, taken: set[str]) -> Assign:
    """What arrays are multiplied by, under a name of its own."""
    label = unused(name, taken)
    taken.add(label)
    return Assign(Var(label, *sorted_axes(free_axes(factor))), factor, note)


def named(factor: Expr, name: str, assigns: list[Assign], taken: set[str]) -> Expr:
    """A coefficient by its name, where it is assigned; a number or a quantity is itself."""
    if factor.is_Number or isinstance(factor, Var):
        return factor
    assigns.append(coefficient(name, factor, "constant along the reduction", taken))
    return assigns[-1].target


def _joined(first: Monomial, second: Monomial) -> Monomial:
    return tuple(sorted((*first, *second), key=lambda var: var.name))

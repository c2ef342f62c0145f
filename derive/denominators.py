"""Division by a polynomial in one generator, such as 1/(√(σ²) + ε).

c(uʲ + k)ⁿ is inverted through the generator d = uʲ + k, which then occurs in negative powers only.
Beside it stay u⁰ … uʲ⁻¹: partial fractions, uʲ/d = 1 − k/d and u⁻ⁱ/d = (u⁻ⁱ − uʲ⁻ⁱ/d)/k, remove
every other power of u.  What is left is a basis, so that equal fractions have equal normal forms.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from sympy import Add, Expr, Pow

from derive.expr import Var
from derive.polynomial import (
    ONE,
    Coefficient,
    Monomial,
    Poly,
    common_monomial,
    generators,
    join,
    monomial,
    plus,
    power_of,
    times,
)


class Denominators:
    """The generators d made so far, with u, j and k."""

    def __init__(self, field: Any, roots: Collection[str]) -> None:
        self._field, self._roots = field, roots
        self._made: dict[Expr, tuple[Expr, int, Coefficient]] = {}

    def __contains__(self, generator: Expr) -> bool:
        return generator in self._made

    def inverse(self, base: Poly) -> Poly | None:
        """1/base, or None if base is not a monomial times a power of some uʲ + k."""
        shared = common_monomial(base)
        terms = {join(powers, power_of(shared, -1)): value for powers, value in base.items()}
        found = generators([terms])
        if len(found) != 1:
            return None
        (u,) = found
        by_power = {dict(powers).get(u, 0): value for powers, value in terms.items()}
        top, n = max(by_power), len(by_power) - 1
        j = top // n
        if (top - j) not in by_power:
            return None
        leading = by_power[top]
        k = by_power[top - j] / (leading * n)
        power: Poly = {ONE: leading}
        for _ in range(n):
            power = times(power, {((u, j),): self._field.one, ONE: k})
        if power != terms:
            return None
        if isinstance(u, Var) and u.label in self._roots:  # 1/r is the root: (1/r + ε), not (r + …)
            shared, leading = join(shared, ((u, j * n),)), leading * k**n
            j, k = -j, 1 / k
        d = Add(Pow(u, j), k.as_expr())
        self._made[d] = u, j, k
        return {join(power_of(shared, -1), ((d, -n),)): 1 / leading}

    def reduce(self, poly: Poly) -> Poly:
        """Partial fractions."""
        if not self._made:
            return poly
        pending, done = dict(poly), Poly()
        while pending:
            powers, coefficient = pending.popitem()
            term = {powers: coefficient}
            one = self._one(powers)
            if one is None:
                done = plus(done, term)
            else:
                pending = plus(pending, times(term, one))
        return done

    def _one(self, powers: Monomial) -> Poly | None:
        """The 1 to multiply by next: (uʲ + k)/d, (d − k)/uʲ or (d − uʲ)/k."""
        exponents, one = dict(powers), self._field.one
        for d in exponents:
            if d not in self._made:
                continue
            u, j, k = self._made[d]
            steps = exponents.get(u, 0) * (1 if j > 0 else -1)
            if exponents[d] > 0:
                return {monomial({d: -1, u: j}): one, ((d, -1),): k}
            if steps >= abs(j):
                return {monomial({d: 1, u: -j}): one, ((u, -j),): -k}
            if steps < 0:
                return {((d, 1),): 1 / k, ((u, j),): -1 / k}
        return None

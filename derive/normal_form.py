"""The trusted kernel: the normal form of an expression, and proof by normal form.

``NormalForm(chart).zero(a - b)`` proves a = b for every axis size.  The steps are few and each is
an identity of finite sums: eliminate what the chart eliminates, expand, pull constants out of sums,
contract δs, split sums into independent factors, apply the identities that the chart derived.

What the normal form cannot represent raises :class:`~derive.chart.NotNormalError`; it never
guesses.  Equal normal forms prove equality; different ones, for expressions in the chart's
generators, are not a disproof by themselves (:mod:`verify.exact` has the counterexamples).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import copy
from dataclasses import replace
from functools import cached_property, reduce
from typing import Any

from sympy import Add, Expr, Function, Integer, Mul, Pow, exp, integer_nthroot

from derive.chart import Chart, Identity, NotNormalError, lowest, match, settled
from derive.denominators import Denominators
from derive.elimination import elimination_order
from derive.expr import (
    Axis,
    Definition,
    Delta,
    SumOver,
    Var,
    add,
    free_axes,
    labels,
    mul,
    rename,
)
from derive.functions import Maximum
from derive.polynomial import (
    ONE,
    Coefficient,
    Monomial,
    Poly,
    minus,
    plus,
    raised,
    rational,
    rational_functions,
    scale,
    times,
)


class NormalForm:
    """Normal forms over one chart.

    ``known`` holds further definitions to unfold (adjoints, tangents); ``cited`` collects the
    identities that were used since it was last cleared, so that a step can name its reason.
    What does not speak of them is left to the normal form that this one extends, and remembered
    there for all its extensions.
    """

    def __init__(self, chart: Chart, known: Mapping[str, Definition] | None = None) -> None:
        self.chart = chart
        self.known = dict(known or {})
        self.cited: list[Identity] = []
        self.field: Any = rational_functions(chart.constants)
        self._constants = dict(zip(chart.constants, self.field.gens, strict=True))
        self._cache: dict[Expr, tuple[Poly, tuple[Identity, ...]]] = {}
        self._checked: set[tuple[Expr, int]] = set()
        self._denominators = Denominators(self.field, chart.roots)
        self._extends: NormalForm | None = None
        self._extensions: dict[tuple[tuple[str, Definition], ...], NormalForm] = {}
        self._new: frozenset[str] = frozenset()

    def knowing(self, known: Mapping[str, Definition]) -> NormalForm:
        """The same chart with more definitions to unfold; for the same ones, the same object."""
        if (key := tuple(known.items())) not in self._extensions:
            self._extensions[key] = self._extended(known)
        return self._extensions[key]

    def _extended(self, known: Mapping[str, Definition]) -> NormalForm:
        extended = copy(self)
        extended.known, extended.cited = {**self.known, **known}, []
        extended._cache, extended._extensions = {}, {}
        new = frozenset(label for label in known if known[label] != self.known.get(label))
        spoken = (labels(definition.expr) for definition in self.known.values())
        apart = new.isdisjoint(self.chart.labels.union(self.known, *spoken))
        extended._extends, extended._new = (self, new) if apart else (None, frozenset())
        return extended

    @cached_property
    def plain(self) -> NormalForm:
        """The same generators, with nothing eliminated and no identity used."""
        return NormalForm(replace(self.chart, eliminated={}, identities=()))

    def zero(self, expr: Expr) -> bool:
        """Whether the normal form is 0: a proof of expr = 0 for every size."""
        return not self.poly(expr)

    def equal(self, left: Expr, right: Expr) -> bool:
        """Whether the two have the same normal form: a proof of left = right for every size."""
        ours, theirs = self.poly(left), self.poly(right)
        return ours == theirs or not self._denominators.reduce(minus(ours, theirs))

    def citing(self, expr: Expr) -> tuple[Poly, tuple[Identity, ...]]:
        """The normal form and the identities that it took."""
        self.cited.clear()
        poly = self.poly(expr)
        unique: dict[str, Identity] = {str(identity.total): identity for identity in self.cited}
        return poly, tuple(unique.values())

    def expr(self, poly: Poly) -> Expr:
        """The polynomial as an expression in the chart's generators."""
        return add(
            *(
                mul(coefficient.as_expr(), *(Pow(base, power) for base, power in powers))
                for powers, coefficient in poly.items()
            )
        )

    # --- Conversion ------------------------------------------------------------------------------

    def poly(self, expr: Expr) -> Poly:
        """The normal form of an expression."""
        result, cited = self._remembered(expr)
        self.cited.extend(cited)
        return result

    def _remembered(self, expr: Expr) -> tuple[Poly, tuple[Identity, ...]]:
        """The normal form, with the identities that it took."""
        if self._extends is not None and self._new.isdisjoint(labels(expr)):
            return self._extends._remembered(expr)
        found = self._cache.get(expr)
        if found is None:
            outer, self.cited = self.cited, []
            result = self._denominators.reduce(self._align(self._convert(expr)))
            self._check(result)
            found = self._cache[expr] = result, tuple(self.cited)
            self.cited = outer
        return found

    def _convert(self, expr: Expr) -> Poly:
        if expr.is_Rational:
            return self._constant(rational(self.field, int(expr.p), int(expr.q)))
        if expr in self._constants:
            return self._constant(self._constants[expr])
        if isinstance(expr, Var):
            for table in (self.known, self.chart.eliminated):
                if expr.label in table:
                    return self.poly(table[expr.label].at(*expr.axes))
            return self._generator(expr)
        if isinstance(expr, Delta):
            return self._generator(expr)
        if isinstance(expr, Add):
            return plus(*(self.poly(arg) for arg in expr.args))
        if isinstance(expr, Mul):
            return reduce(times, map(self.poly, expr.args))
        if isinstance(expr, Pow):
            return self._power(self.poly(expr.base), expr.exp)
        if isinstance(expr, SumOver):
            return self._sum(self.poly(expr.body), expr.axes)
        if isinstance(expr, Maximum):
            return self.poly(expr.by_absolute())
        if isinstance(expr, Function) and len(expr.args) == 1:
            return self._function(expr)
        raise NotNormalError(f"no normal form for {type(expr).__name__}: {expr}")

    def _constant(self, value: Coefficient) -> Poly:
        return {ONE: value} if value else {}

    def _generator(self, generator: Expr) -> Poly:
        return {((generator, 1),): self.field.one}

    def _function(self, expr: Expr) -> Poly:
        argument = expr.args[0]
        if (known := self._alias(expr.func, argument)) is not None:
            return self.poly(known)
        if isinstance(expr, exp):
            return self._exponential(self.poly(argument))
        argument = settled(self.expr(self.poly(argument)))
        if (known := self._alias(expr.func, argument)) is not None:
            return self.poly(known)
        applied = expr.func(argument)
        return self._generator(applied) if applied.func is expr.func else self.poly(applied)

    def _alias(self, function: type[Function], argument: Expr) -> Expr | None:
        """The quantity that was defined as this function of this argument, if one was."""
        if not isinstance(argument, Var):
            return None
        known = self.chart.aliases.get((function, argument.label))
        return None if known is None else known.at(*argument.axes)

    def _exponential(self, exponent: Poly) -> Poly:
        """exp(2a − b) = exp(a)² exp(b)⁻¹: SymPy writes powers of exp inside it."""
        product = self._constant(self.field.one)
        for powers, coefficient in exponent.items():
            number = coefficient.as_expr()
            count = int(number) if number.is_Integer and powers else 1
            term = self.expr({powers: coefficient / count})
            known = self._alias(exp, term)
            factor = self._generator(exp(term)) if known is None else self.poly(known)
            product = times(product, self._power(factor, Integer(count)))
        return product

    # --- Powers ----------------------------------------------------------------------------------

    def _power(self, base: Poly, exponent: Expr) -> Poly:
        if not exponent.is_Rational:
            raise NotNormalError(f"the exponent {exponent} is not a rational number")
        if exponent.is_Integer and exponent >= 0:
            return reduce(times, [base] * int(exponent), self._constant(self.field.one))
        if not base:
            raise NotNormalError("division by an expression that is identically zero")
        if any(isinstance(generator, Delta) for powers in base for generator, _ in powers):
            raise NotNormalError(f"the power {exponent} of {self.expr(base)}, which may be 0")
        if len(base) == 1:
            ((powers, coefficient),) = base.items()
            return {self._root(powers, exponent): self._coefficient_power(coefficient, exponent)}
        if exponent.is_Integer:
            inverse = self._denominators.inverse(base)
            if inverse is None:
                raise NotNormalError(f"division by {self.expr(base)}")
            return self._power(inverse, -exponent)
        raise NotNormalError(f"a root of {self.expr(base)}, which the chart has no generator for")

    def _root(self, powers: Monomial, exponent: Expr) -> Monomial:
        p, q = int(exponent.p), int(exponent.q)
        for generator, power in powers:
            if power * p % q:
                raise NotNormalError(f"the fractional power {power * exponent} of {generator}")
            if q % 2 == 0 and not generator.is_positive:
                raise NotNormalError(f"a root of {generator}, which may be negative")
        return tuple((generator, power * p // q) for generator, power in powers)

    def _coefficient_power(self, coefficient: Coefficient, exponent: Expr) -> Coefficient:
        p, q = int(exponent.p), int(exponent.q)
        if q == 1:
            return raised(coefficient, p)
        number = coefficient.as_expr()
        if number.is_Rational and number > 0:
            (top, above), (bottom, below) = (
                integer_nthroot(int(n), q) for n in number.as_numer_denom()
            )
            if above and below:
                return raised(rational(self.field, top, bottom), p)
        raise NotNormalError(f"the root of {number} is not rational")

    # --- Sums and deltas -------------------------------------------------------------------------

    def _align(self, poly: Poly) -> Poly:
        """δᵢⱼ f(j) = δᵢⱼ f(i), and δᵢⱼ² = δᵢⱼ."""
        if not any(isinstance(generator, Delta) for powers in poly for generator, _ in powers):
            return poly
        return plus(*(self._aligned(powers, value) for powers, value in poly.items()))

    def _aligned(self, powers: Monomial, coefficient: Coefficient) -> Poly:
        for delta, power in powers:
            if not isinstance(delta, Delta):
                continue
            keep, drop = delta.indices
            rest = [(g, p) for g, p in powers if g != delta]
            if power > 1 or any(drop in free_axes(g) for g, _ in rest):
                moved = self._renamed(rest, {drop: keep}, coefficient)
                return self._align(times(moved, self._generator(delta)))
        return {powers: coefficient}

    def _renamed(
        self, powers: list[tuple[Expr, int]], indices: Mapping[Axis, Axis], coefficient: Coefficient
    ) -> Poly:
        product = self._constant(coefficient)
        for generator, power in powers:
            factor = self.poly(rename(generator, indices))
            product = times(product, factor if power == 1 else self._power(factor, Integer(power)))
        return product

    def _sum(self, body: Poly, axes: tuple[Axis, ...]) -> Poly:
        return plus(
            *(self._sum_term(powers, coefficient, axes) for powers, coefficient in body.items())
        )

    def _sum_term(self, powers: Monomial, coefficient: Coefficient, axes: tuple[Axis, ...]) -> Poly:
        for delta, _ in powers:
            if isinstance(delta, Delta) and set(delta.indices) & set(axes):
                gone, stays = delta.indices
                if gone not in axes:
                    gone, stays = stays, gone
                rest = [(g, p) for g, p in powers if g != delta]
                body = self._renamed(rest, {gone: stays}, coefficient)
                return self._sum(body, tuple(axis for axis in axes if axis != gone))
        inside, every = self._flatten(powers, axes)
        if len(every) == len(axes):  # nothing was merged: this is normal
            return self._eliminate({powers: coefficient}, axes)
        return self._eliminate(self._renamed(inside, {}, coefficient), every)

    def _flatten(
        self, powers: Monomial, axes: tuple[Axis, ...]
    ) -> tuple[list[tuple[Expr, int]], tuple[Axis, ...]]:
        """Inner sums that vary with an outer index, merged with it: one product under one Σ.

        Σₐ aₙ Σ꜀ bₙ꜀ and Σ꜀ Σₙ aₙ bₙ꜀ then start from the same place.
        """
        parts: list[tuple[Expr, int]] = []
        used = {axis for generator, _ in powers for axis in free_axes(generator)} | set(axes)
        pending = list(reversed(powers))
        while pending:
            generator, power = pending.pop()
            inner = isinstance(generator, SumOver) and free_axes(generator) & set(axes)
            if not inner or power < 0:
                parts.append((generator, power))
                continue
            for _ in range(power):
                fresh: dict[Axis, Axis] = {}
                for axis in generator.axes:
                    new = axis
                    while new in used:
                        new = new.prime()
                    fresh[axis] = new
                    used.add(new)
                axes += tuple(fresh.values())
                # Sums in it that vary with these are merged in their turn.
                pending.extend(reversed(_powers(rename(generator.body, fresh))))
        return parts, axes

    def _eliminate(self, poly: Poly, axes: tuple[Axis, ...]) -> Poly:
        """Σ over the axes, one at a time, each over just the factors that vary with it."""
        total: Poly = {}
        for powers, coefficient in self._denominators.reduce(poly).items():
            term: Poly = {powers: coefficient}
            for axis in elimination_order(axes, powers, self.chart):
                term = self._denominators.reduce(
                    plus(*(self._over(axis, *item) for item in term.items()))
                )
            total = plus(total, term)
        return total

    def _over(self, axis: Axis, powers: Monomial, coefficient: Coefficient) -> Poly:
        inside = [item for item in powers if axis in free_axes(item[0])]
        term: Poly = {tuple(item for item in powers if axis not in free_axes(item[0])): coefficient}
        if inside:
            return times(term, self._atom(inside, axis))
        return scale(term, self._size(axis))

    def _size(self, axis: Axis) -> Coefficient:
        if axis.size not in self._constants:
            raise NotNormalError(f"the size {axis.size} of {axis} is not among the constants")
        return self._constants[axis.size]

    def _atom(self, parts: list[tuple[Expr, int]], axis: Axis) -> Poly:
        """One irreducible sum as a generator, or what an identity says it is."""
        free = frozenset[Axis]().union(*(free_axes(g) for g, _ in parts)) - {axis}
        bound = lowest(axis, free)
        moved = {axis: bound} if axis != bound else {}
        body: Expr = Mul(*(Pow(settled(rename(g, moved)), p) for g, p in parts))
        total: SumOver = SumOver(body, bound)
        for identity in self.chart.identities:
            renaming = match(identity.total, total)
            if renaming is not None:
                self.cited.append(identity)
                moved = {old: new for old, new in renaming.items() if old != new}
                return self.poly(rename(identity.value, moved))
        return self._generator(total)

    def _check(self, poly: Poly) -> None:
        """Whole powers of generators only, inside sums too, and nothing that was eliminated."""
        for powers in poly:
            for generator, power in powers:
                if not isinstance(power, int):
                    raise NotNormalError(f"the power {power} of {generator} is not whole")
                if (generator, power) not in self._checked:
                    self._check_generator(generator, power)
                    self._checked.add((generator, power))

    def _check_generator(self, generator: Expr, power: int) -> None:
        if isinstance(generator, SumOver):
            for factor, exponent in _powers(generator.body):
                self._check_generator(factor, exponent)
        elif isinstance(generator, Add):
            if generator not in self._denominators or power > 0:
                raise NotNormalError(f"{generator} is not a generator")
        elif not isinstance(generator, Var | Delta | Function):
            raise NotNormalError(f"{generator} is not a generator")
        if isinstance(generator, Var) and generator.label in self.chart.eliminated:
            raise NotNormalError(f"{generator} should have been eliminated")


def _powers(product: Expr) -> list[tuple[Expr, int]]:
    """The factors of a product with their powers; SymPy's as_base_exp would take exp apart."""
    return [
        (factor.base, int(factor.exp)) if factor.is_Pow and factor.exp.is_Integer else (factor, 1)
        for factor in Mul.make_args(product)
    ]

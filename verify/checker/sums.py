"""Sums in normal form, for the checker of certificates alone: exact, small, and its own.

An expression is an int, a Fraction or a tuple (:mod:`verify.checker.formulas`).  Its normal form is
a *polynomial of sums*: a dictionary from terms to Fractions, in which a term is a set of indices to
sum over and the product of atoms to whole powers, negative ones too, that is summed.  So Σᵢaᵢ·Σᵢbᵢ
is the one term Σᵢⱼ aᵢbⱼ, and two sums are equal when a renaming of the indices makes them so.
What is trusted here, each an identity of finite sums of real numbers that holds for every size:

* the laws of a commutative ring; (ab)ᵖ = aᵖbᵖ, with fractional powers of positive atoms only;
* Σ of a sum is the sum of Σ; Σᵢ c = m c where c lacks i; (Σᵢa)(Σⱼb) = Σᵢⱼ ab;
* Σⱼ δᵢⱼ aⱼ = aᵢ and δᵢⱼ aⱼ = δᵢⱼ aᵢ;
* 1/(b + a) = D/b, where D = 1/(1 + k L) for a/b = k L, and so k L D = 1 − D;
* exp(a + b) = exp(a) exp(b); f(−a) = ±f(a) for the functions of ``PARITY``;
* what it is told by the checker, which has proved it: equal quantities, and identities of sums.

Whatever it cannot represent it refuses.  A result holds wherever both sides are defined.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from fractions import Fraction
from functools import reduce
from itertools import product
from types import MappingProxyType

from verify.checker.terms import (
    ONCE,
    ONE,
    Atom,
    Expr,
    Poly,
    Powers,
    ProofError,
    Renaming,
    Term,
    apart,
    axis,
    free,
    frozen,
    frozen_powers,
    indices,
    joined,
    labelled,
    moved,
    plus,
    scaled,
    shape,
    unused,
)

Known = tuple[tuple[str, ...], Expr]  # indices, and an expression over them
PARITY = {"tanh": -1, "erf": -1, "sign": -1, "abs": 1, "gauss": 1}
POSITIVE = ("exp", "sigmoid", "gauss")


@dataclass(frozen=True)
class Identity:
    """Σ over ``bound`` of the product of ``powers`` is ``value``, at all free indices."""

    bound: tuple[str, ...]
    powers: Powers
    value: Expr


@dataclass
class Sums:
    """The normal form, with what it is told.

    ``sizes`` names the size of each axis, ``positive`` tells what is; ``equal`` has, for a name,
    its own indices and what it is replaced by; ``named`` the quantity that is f of another.
    """

    sizes: Mapping[str, str]
    positive: Callable[[str], bool]
    equal: Mapping[str, Known] = field(default_factory=dict)
    named: dict[tuple[str, str], Known] = field(default_factory=dict)
    identities: list[Identity] = field(default_factory=list)

    def knowing(self, more: Mapping[str, Known]) -> Sums:
        """The same with more to replace."""
        return replace(self, equal={**self.equal, **more})

    def zero(self, expr: Expr) -> bool:
        """Whether an expression is 0 for every size."""
        return not self.poly(expr)

    def poly(self, expr: Expr, at: Renaming = MappingProxyType({})) -> Poly:
        """The normal form of an expression, at other indices."""
        if isinstance(expr, int | Fraction):
            return {ONE: Fraction(expr)} if expr else {}
        kind, *args = expr
        if kind == "var":
            own = tuple(at.get(index, index) for index in args[1:])
            if args[0] in self.equal:
                return self._replaced(self.equal[args[0]], own)
            return self.collect(set(), {("var", args[0], *own): 1})
        if kind == "size":
            return self.collect(set(), {("var", self.sizes[args[0]]): 1})
        if kind == "delta":
            return self.collect(set(), {("delta", *sorted(at.get(i, i) for i in args)): 1})
        if kind == "add":
            return plus(*(self.poly(arg, at) for arg in args))
        if kind == "mul":
            return self._product(self.poly(arg, at) for arg in args)
        if kind == "pow":
            return self.power(self.poly(args[0], at), Fraction(args[1], args[2]))
        if kind == "sum":
            over = unused(args[1:])
            return self._each(self.poly(args[0], {**at, **over}), set(over.values()), {})
        if kind == "fn":
            return self._function(args[0], args[1], at)
        raise ProofError(f"there is no operation {kind!r}")

    def _replaced(self, known: Known, own: Iterable[str]) -> Poly:
        return self.poly(known[1], dict(zip(known[0], own, strict=True)))

    def _product(self, polys: Iterable[Poly]) -> Poly:
        return reduce(self.times, polys, {ONE: ONCE})

    def times(self, left: Poly, right: Poly) -> Poly:
        return plus(
            *(
                scaled(self._each(left, *apart(bound, dict(powers))), number)
                for (bound, powers), number in right.items()
            )
        )

    def _each(self, poly: Poly, more: set[str], other: Powers) -> Poly:
        """Every term times the factors, and then summed over more indices."""
        parts = []
        for (bound, factors), number in poly.items():
            own, powers = apart(bound, dict(factors))
            parts.append(scaled(self.collect(own | more, joined(powers, other)), number))
        return plus(*parts)

    def power(self, base: Poly, exponent: Fraction) -> Poly:
        p, q = exponent.numerator, exponent.denominator
        if q == 1 and p >= 0:
            return self._product([base] * p)
        if any(bound or any(a[0] == "delta" for a, _ in factors) for bound, factors in base):
            raise ProofError("a sum or a delta under a root or in a denominator")
        if len(base) == 1:
            (((_, factors), number),) = base.items()
            for atom, power in factors:
                if power * p % q or (q > 1 and not self._is_positive(atom)):
                    raise ProofError(f"the power {power * exponent} of {atom[1]}")
            powers = {atom: power * p // q for atom, power in factors}
            return scaled(self.collect(set(), powers), _root(number, q) ** p)
        if len(base) == 2 and q == 1:
            return self._over(base, -p)
        raise ProofError(f"the power {exponent} of a sum of {len(base)} terms")

    def _is_positive(self, atom: Atom) -> bool:
        if atom[0] == "var":
            return atom[1] in self.sizes.values() or self.positive(atom[1])
        return atom[0] == "fn" and atom[1] in POSITIVE

    def _function(self, name: str, argument: Expr, at: Renaming) -> Poly:
        quantity = isinstance(argument, tuple) and argument[0] == "var"
        if quantity and (known := self.named.get((name, argument[1]))):
            return self._replaced(known, (at.get(index, index) for index in argument[2:]))
        inner = self.poly(argument, at)
        if name == "exp":
            return self._product(self._exponential(*item) for item in inner.items())
        sign = _sign(inner) if name in PARITY else 1
        atom = ("fn", name, frozen(scaled(inner, Fraction(sign))))
        return scaled(self.collect(set(), {atom: 1}), Fraction(PARITY.get(name, 1) ** (sign < 0)))

    def _exponential(self, term: Term, number: Fraction) -> Poly:
        """exp(p/q·a) = exp(a/q)ᵖ."""
        atom = ("fn", "exp", frozen({term: Fraction(1, number.denominator)}))
        return self.collect(set(), {atom: number.numerator})

    # --- One term ---------------------------------------------------------------------------------

    def collect(self, bound: set[str], powers: Powers) -> Poly:
        """The normal form of one term: Σ over ``bound`` of the product of ``powers``."""
        for atom, power in powers.items():
            reduced = None
            if atom[0] == "delta":
                reduced = self._contracted(bound, powers, atom, power)
            elif atom[0] == "over":
                reduced = self._split(bound, powers, atom, power)
            if reduced is not None:
                return reduced
        if idle := bound - free(powers):
            for index in idle:
                powers = joined(powers, {("var", self.sizes[axis(index)]): 1})
            return self.collect(bound - idle, powers)
        for identity in self.identities if bound else ():
            for to, gone in _matches(identity, bound, powers):
                rest = {a: p for a, p in powers.items() if not indices(a) & gone}
                return self._each(self.poly(identity.value, to), bound - gone, rest)
        return {labelled(bound, powers): ONCE}

    def _contracted(self, bound: set[str], powers: Powers, delta: Atom, power: int) -> Poly | None:
        """δᵢⱼ used up where j is summed over, else i written for j beside it."""
        if power < 0:
            raise ProofError("a delta in a denominator")
        keep, gone = delta[1:]
        rest = {atom: p for atom, p in powers.items() if atom != delta}
        if keep == gone:
            return self.collect(bound, rest)
        if gone not in bound and keep in bound:
            keep, gone = gone, keep
        if gone in bound:
            return self.collect(bound - {gone}, moved(rest, {gone: keep}))
        if power > 1 or gone in free(rest):
            return self.collect(bound, joined(moved(rest, {gone: keep}), {delta: 1}))
        return None

    def _over(self, base: Poly, times: int) -> Poly:
        """(b + a)⁻ⁿ = b⁻ⁿ Dⁿ with D = 1/(1 + k L)."""
        (((_, first), a), ((_, second), b)) = base.items()
        ratio = joined(dict(first), {atom: -p for atom, p in second})
        if ratio[_pivot(ratio)] < 0:
            first, second, a, b = second, first, b, a
            ratio = {atom: -p for atom, p in ratio.items()}
        over = ("over", a / b, frozen_powers(ratio))
        powers = {atom: -p * times for atom, p in second} | {over: times}
        return scaled(self.collect(set(), powers), b**-times)

    def _split(self, bound: set[str], powers: Powers, over: Atom, power: int) -> Poly | None:
        """kLD = 1 − D, until the first atom of L has no more than one set of powers beside D."""
        if power < 0:
            raise ProofError("a denominator in a denominator")
        k, ratio = over[1], dict(over[2])
        pivot = _pivot(ratio)
        less = joined(powers, {over: -1})
        if powers.get(pivot, 0) >= ratio[pivot]:
            down = {atom: -p for atom, p in ratio.items()}
            one, other = joined(less, down), joined(powers, down)
            difference = plus(self.collect(bound, one), scaled(self.collect(bound, other), -ONCE))
            return scaled(difference, 1 / k)
        if powers.get(pivot, 0) < 0:
            other = joined(powers, ratio)
            return plus(self.collect(bound, less), scaled(self.collect(bound, other), -k))
        return None


def _pivot(ratio: Powers) -> Atom:
    """The atom of L by which powers are counted, whatever its indices are called."""
    first, *others = sorted(ratio, key=shape)
    if others and shape(others[0]) == shape(first):
        raise ProofError("a denominator with one quantity at two indices")
    return first


def _sign(poly: Poly) -> int:
    """The sign of the first coefficient, whatever the indices are called."""
    shapes: dict[str, Fraction] = {}
    for (bound, factors), number in poly.items():
        seen = repr((len(bound), sorted((shape(atom), power) for atom, power in factors)))
        shapes[seen] = shapes.get(seen, Fraction(0)) + number
    signs = (-1 if shapes[seen] < 0 else 1 for seen in sorted(shapes) if shapes[seen])
    return next(signs, 1)


def _root(number: Fraction, degree: int) -> Fraction:
    """The exact root of a coefficient."""
    if degree == 1:
        return number
    roots = [round(part ** (1 / degree)) for part in (number.numerator, number.denominator)]
    root = Fraction(*roots) if number > 0 else Fraction(0)
    if root**degree != number:
        raise ProofError(f"the root of {number} is not rational")
    return root


def _matches(
    identity: Identity, bound: set[str], powers: Powers
) -> Iterator[tuple[dict[str, str], set[str]]]:
    """The renamings by which a term contains the whole of an identity's sum, and what they make of
    the indices summed over: nothing else in the term may vary with those."""
    kinds = {(atom[:2], p) for atom, p in powers.items() if atom[0] == "var"}
    if any(a[0] == "var" and (a[:2], p) not in kinds for a, p in identity.powers.items()):
        return
    names = sorted(free(identity.powers))
    choices = [
        [
            i
            for i in sorted(bound if name in identity.bound else free(powers))
            if axis(i) == axis(name)
        ]
        for name in names
    ]
    for chosen in product(*choices):
        to = dict(zip(names, chosen, strict=True))
        gone = {to[index] for index in identity.bound}
        outside = {to[name] for name in names if name not in identity.bound}
        if len(gone) == len(identity.bound) and not outside & gone:
            touched = {atom: p for atom, p in powers.items() if indices(atom) & gone}
            if touched == moved(identity.powers, to):
                yield to, gone

"""Terms and polynomials of sums, and the renaming of their indices: for the checker alone.

A *term* is a set of indices to sum over, and the product of atoms to whole powers that is summed; a
*polynomial* maps terms to Fractions.  An atom is a quantity at its indices, a Kronecker delta, a
function of a polynomial, or D = 1/(1 + k L) for a product L of atoms.  The indices summed over are
called n#1, n#2, … in such an order that equal terms are the same term.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from fractions import Fraction
from functools import cache
from itertools import count, groupby, permutations, product
from math import factorial, prod
from typing import Any

Expr = Any  # int, Fraction or one of the tuples above
Atom = tuple[Any, ...]  # ("var", …), ("delta", …), ("fn", f, polynomial), ("over", k, L)
Powers = dict[Atom, int]
Term = tuple[tuple[str, ...], tuple[tuple[Atom, int], ...]]
Poly = dict[Term, Fraction]
Renaming = Mapping[str, str]

ONE: Term = ((), ())
ONCE = Fraction(1)
LARGEST = 10_000  # terms of a formula, and orders of indices that are tried
text = cache(repr)  # the order of atoms: the same in every run
_fresh = count()


class ProofError(ValueError):
    """What cannot be represented, or does not hold, in a few words."""


@cache
def axis(index: str) -> str:
    """The axis of an index: n for n'."""
    found = re.match(r"\w+", index)
    return found.group() if found else ""


@cache
def indices(atom: Atom) -> frozenset[str]:
    """The indices that an atom varies with."""
    if atom[0] == "fn":
        parts = (set(free(dict(factors))) - set(bound) for (bound, factors), _ in atom[2])
        return frozenset[str]().union(*parts)
    if atom[0] == "over":
        return frozenset(free(dict(atom[2])))
    return frozenset(atom[2:] if atom[0] == "var" else atom[1:])


def free(atoms: Iterable[Atom]) -> set[str]:
    return set[str]().union(*map(indices, atoms))


def plus(*polys: Poly) -> Poly:
    total: Poly = {}
    for poly in polys:
        for term, number in poly.items():
            total[term] = total[term] + number if term in total else number
    if len(total) > LARGEST:
        raise ProofError(f"a formula of more than {LARGEST:,} terms")
    return {term: number for term, number in total.items() if number}


def scaled(poly: Poly, number: Fraction) -> Poly:
    if number == 1:
        return poly
    return {term: value * number for term, value in poly.items()} if number else {}


def renamed(atom: Atom, to: Renaming) -> Atom:
    """The atom at other indices."""
    if not indices(atom) & to.keys():
        return atom
    if atom[0] == "var":
        return (*atom[:2], *(to.get(index, index) for index in atom[2:]))
    if atom[0] == "delta":
        return ("delta", *sorted(to.get(index, index) for index in atom[1:]))
    if atom[0] == "over":
        return ("over", atom[1], frozen_powers(moved(dict(atom[2]), to)))
    polys = (_term_at(set(bound), dict(powers), number, to) for (bound, powers), number in atom[2])
    return ("fn", atom[1], frozen(plus(*polys)))


def _term_at(bound: set[str], powers: Powers, number: Fraction, to: Renaming) -> Poly:
    bound, powers = apart(bound, powers)
    return {labelled(bound, moved(powers, to)): number}


def moved(powers: Powers, to: Renaming) -> Powers:
    """The product at other indices; what becomes equal is merged."""
    if not to:
        return powers
    result: Powers = {}
    for atom, power in powers.items():
        new = renamed(atom, to)
        result[new] = result.get(new, 0) + power
    return {atom: power for atom, power in result.items() if power}


def apart(bound: Iterable[str], powers: Powers) -> tuple[set[str], Powers]:
    """The same term, summed over indices that occur nowhere else."""
    to = unused(bound)
    return set(to.values()), moved(powers, to)


def unused(bound: Iterable[str]) -> dict[str, str]:
    """An index that occurs nowhere yet for each of these."""
    return {index: f"{axis(index)}~{next(_fresh)}" for index in bound}


def frozen_powers(powers: Powers) -> tuple[tuple[Atom, int], ...]:
    return tuple(sorted(powers.items(), key=lambda item: text(item[0])))


def frozen(poly: Poly) -> tuple[tuple[Term, Fraction], ...]:
    return tuple(sorted(poly.items(), key=lambda item: repr(item[0])))


def labelled(bound: Iterable[str], powers: Powers) -> Term:
    """The term with the indices summed over called n#1, n#2, …: the same for equal terms.

    Indices are told apart by where they occur, and of those that look alike every order is tried.
    """
    bound = set(bound)
    if not bound:
        return (), frozen_powers(powers)
    taken = free(powers) - bound

    def place(index: str) -> tuple[str, list[str]]:
        marks = {other: f"{axis(other)}?" for other in bound} | {index: f"{axis(index)}!"}
        seen = ((renamed(atom, marks), p) for atom, p in powers.items() if index in indices(atom))
        return axis(index), sorted(map(repr, seen))

    places = {index: place(index) for index in sorted(bound)}
    ranked = groupby(sorted(places, key=places.__getitem__), key=places.__getitem__)
    groups = [list(group) for _, group in ranked]
    if prod(factorial(len(group)) for group in groups) > LARGEST:
        raise ProofError("too many sums that look alike")
    candidates = []
    for order in product(*map(permutations, groups)):
        to = _names([index for group in order for index in group], taken)
        candidates.append((tuple(to.values()), frozen_powers(moved(powers, to))))
    return min(candidates, key=repr)


def _names(order: Iterable[str], taken: set[str]) -> dict[str, str]:
    names: dict[str, str] = {}
    used = set(taken)
    for index in order:
        name = next(n for k in count(1) if (n := f"{axis(index)}#{k}") not in used)
        names[index] = name
        used.add(name)
    return names


def joined(left: Powers, right: Powers) -> Powers:
    result = dict(left)
    for atom, power in right.items():
        result[atom] = result.get(atom, 0) + power
    return {atom: power for atom, power in result.items() if power}


def shape(atom: Atom) -> str:
    return text(renamed(atom, {index: axis(index) + "?" for index in indices(atom)}))

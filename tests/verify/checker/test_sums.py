"""The checker's normal form: against plain loops over numbers, and on its laws one by one."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import prod
from random import Random

import pytest

from verify.checker import terms
from verify.checker.sums import Identity, Sums
from verify.checker.terms import Expr, Poly, ProofError

SIZES = {"n": "m", "c": "C"}
COUNTS = {"n": 3, "c": 2}
X, Y, G = ("var", "x", "n", "c"), ("var", "y", "n"), ("var", "g", "c")
X2 = ("var", "x", "n'", "c")
EPS = ("var", "eps")


def sums() -> Sums:
    return Sums(SIZES, lambda name: name == "eps")


def equal(left: Expr, right: Expr) -> bool:
    return sums().zero(("add", left, ("mul", -1, right)))


# Of functions the normal form knows whether they are odd, even, or neither.
FORMAL = {"tanh": lambda a: a**3 + 2 * a, "abs": lambda a: a**2 + 1, "relu": lambda a: a**2 + a}
Point = dict[tuple[str, ...], Fraction]
Index = dict[str, int]


def value(expr: Expr, point: Point, at: Index) -> Fraction:
    """An expression by its meaning, with no normal form."""
    if isinstance(expr, int | Fraction):
        return Fraction(expr)
    kind, *args = expr
    if kind == "var":
        return point[(args[0], *(str(at[index]) for index in args[1:]))]
    if kind == "size":
        return Fraction(COUNTS[args[0]])
    if kind == "delta":
        return Fraction(at[args[0]] == at[args[1]])
    if kind == "add":
        return sum((value(arg, point, at) for arg in args), Fraction(0))
    if kind == "mul":
        return prod((value(arg, point, at) for arg in args), start=Fraction(1))
    if kind == "pow":
        return value(args[0], point, at) ** args[1]
    if kind == "fn":
        return FORMAL[args[0]](value(args[1], point, at))
    ranges = (range(COUNTS[index[0]]) for index in args[1:])
    places = (dict(zip(args[1:], place, strict=True)) for place in product(*ranges))
    return sum((value(args[0], point, at | place) for place in places), Fraction(0))


def of_poly(poly: Poly, point: Point, at: Index) -> Fraction:
    """The same of a normal form."""
    total = Fraction(0)
    for (bound, factors), number in poly.items():
        for place in product(*(range(COUNTS[index[0]]) for index in bound)):
            here = at | dict(zip(bound, place, strict=True))
            total += number * prod(_atom(a, point, here) ** p for a, p in factors)
    return total


def _atom(atom: Expr, point: Point, at: Index) -> Fraction:
    if atom[0] == "over":
        ratio = prod(_atom(a, point, at) ** p for a, p in atom[2])
        return 1 / (1 + atom[1] * ratio)
    if atom[0] == "fn":
        return FORMAL[atom[1]](of_poly(dict(atom[2]), point, at))
    if atom[0] == "var" and atom[1] in SIZES.values():
        return Fraction(COUNTS[{"m": "n", "C": "c"}[atom[1]]])
    return value(atom, point, at)


def draw(rng: Random, depth: int, free: tuple[str, ...]) -> Expr:
    """A random expression over some indices."""
    if depth == 0:
        names = [name for name in free if name[0] == "n"]
        channels = [name for name in free if name[0] == "c"]
        leaves: list[Expr] = [
            rng.randint(-3, 3),
            Fraction(1, rng.randint(1, 3)),
            ("size", "n"),
            EPS,
        ]
        if names:
            leaves += [("var", "y", rng.choice(names)), ("delta", names[0], rng.choice(names))]
        if names and channels:
            leaves += 3 * [("var", "x", rng.choice(names), rng.choice(channels))]
        return rng.choice(leaves)
    kind = rng.choice(["add", "mul", "mul", "sum", "sum", "pow", "over", "fn"])
    if kind == "fn":
        return ("fn", rng.choice([*FORMAL]), draw(rng, depth - 1, free))
    if kind == "sum":
        index = rng.choice([name for name in ("n", "n'", "c", "n''") if name not in free] or ["c'"])
        return ("sum", draw(rng, depth - 1, (*free, index)), index)
    if kind == "pow":
        return ("pow", draw(rng, depth - 1, free), rng.choice([0, 1, 2]), 1)
    if kind == "over":  # a denominator of two terms
        names = [name for name in free if name[0] == "n"]
        top = ("var", "y", names[-1]) if names else ("size", "n")
        return ("mul", draw(rng, depth - 1, free), ("pow", ("add", top, EPS), -1, 1))
    return (kind, draw(rng, depth - 1, free), draw(rng, depth - 1, free))


def test_it_changes_no_value() -> None:
    """Random expressions and their normal forms have the same value at random numbers."""
    rng = Random(0)
    point: Point = {("eps",): Fraction(3, 7)}
    for n in range(3):
        point["y", str(n)] = Fraction(rng.randint(1, 9), rng.randint(1, 5))
        for c in range(2):
            point["x", str(n), str(c)] = Fraction(rng.randint(-9, 9), rng.randint(1, 5))
    here = {"n": 1, "c": 0}
    met = 0
    for _ in range(400):
        expr = draw(rng, 4, ("n", "c"))
        poly = sums().poly(expr)
        assert of_poly(poly, point, here) == value(expr, point, here), expr
        met += len(poly) > 1
    assert met > 150


EQUAL = [
    (("mul", ("sum", X, "n"), ("sum", Y, "n")), ("sum", ("mul", X2, Y), "n", "n'")),
    (("sum", ("mul", G, X), "n"), ("mul", G, ("sum", X, "n"))),
    (("sum", G, "n"), ("mul", ("size", "n"), G)),
    (("sum", ("mul", ("delta", "n", "n'"), X), "n"), X2),
    (("mul", ("delta", "n", "n'"), X), ("mul", ("delta", "n", "n'"), X2)),
    (("pow", ("pow", EPS, 2, 1), 1, 2), EPS),
    (
        ("mul", G, ("pow", ("add", G, EPS), -1, 1)),
        ("add", 1, ("mul", -1, EPS, ("pow", ("add", EPS, G), -1, 1))),
    ),
    (("fn", "exp", ("add", Y, EPS)), ("mul", ("fn", "exp", EPS), ("fn", "exp", Y))),
    (("fn", "exp", ("mul", 2, Y)), ("pow", ("fn", "exp", Y), 2, 1)),
    (("fn", "tanh", ("mul", -1, Y)), ("mul", -1, ("fn", "tanh", Y))),
    (("fn", "abs", ("add", Y, ("mul", -1, EPS))), ("fn", "abs", ("add", EPS, ("mul", -1, Y)))),
    (
        ("fn", "relu", ("sum", X, "n")),
        ("fn", "relu", ("sum", X2, "n'")),
    ),
    (("sum", ("mul", Y, ("sum", Y, "n")), "n"), ("pow", ("sum", Y, "n"), 2, 1)),
]


@pytest.mark.parametrize(("left", "right"), EQUAL)
def test_equal(left: Expr, right: Expr) -> None:
    assert equal(left, right)


UNEQUAL = [
    (("sum", ("mul", X, Y), "n"), ("mul", ("sum", X, "n"), ("sum", Y, "n"))),
    (("sum", ("mul", X, X2), "n", "n'"), ("sum", ("pow", X, 2, 1), "n")),
    (X, X2),
    (("sum", Y, "n"), ("mul", ("size", "n"), Y)),
    (("delta", "n", "n'"), 1),
    (("fn", "relu", ("mul", -1, Y)), ("mul", -1, ("fn", "relu", Y))),
    (("fn", "sigmoid", ("mul", -1, Y)), ("fn", "sigmoid", Y)),
    # f(Σₙ xₙ aₙ′) under Σₙ′: the index inside is another than the one outside.
    (
        ("sum", ("fn", "relu", ("sum", ("mul", Y, ("var", "y", "n'")), "n")), "n'"),
        ("sum", ("fn", "relu", ("sum", ("mul", Y, Y), "n")), "n'"),
    ),
]


@pytest.mark.parametrize(("left", "right"), UNEQUAL)
def test_unequal(left: Expr, right: Expr) -> None:
    assert not equal(left, right)


REFUSED = [
    (("pow", Y, 1, 2), "the power"),  # of what may be negative
    (("pow", ("pow", Y, 2, 1), 1, 2), "the power"),  # |y|, not y
    (("pow", ("sum", Y, "n"), -1, 1), "a sum or a delta"),
    (("pow", ("delta", "n", "n'"), -1, 1), "a sum or a delta"),
    (("pow", ("add", Y, EPS, G), -1, 1), "a sum of 3 terms"),
    (("pow", 0, -1, 1), "a sum of 0 terms"),
    (("pow", ("sum", Y, "n"), 9, 1), "too many sums that look alike"),
    (("pow", 2, 1, 2), "the root of 2"),
    (("pow", ("add", Y, ("mul", -1, Y)), -1, 1), "a sum of 0 terms"),
    (("pow", ("add", Y, ("var", "y", "n'")), -1, 1), "at two indices"),
    (("pow", ("pow", EPS, 1, 2), 2, 1), "the power 1/2"),  # a root needs a name
]


@pytest.mark.parametrize(("expr", "said"), REFUSED)
def test_what_it_cannot_represent_is_refused(expr: Expr, said: str) -> None:
    with pytest.raises(ProofError, match=said):
        sums().poly(expr)


def test_a_formula_that_explodes_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(terms, "LARGEST", 50)
    many = ("add", *(("var", f"a{k}") for k in range(9)))
    with pytest.raises(ProofError, match="more than 50 terms"):
        sums().poly(("pow", many, 9, 1))


def test_an_identity_wants_the_whole_summand() -> None:
    """Σₙ xₙ꜀ = 0 says nothing about Σₙ xₙ꜀yₙ, Σₙ xₙ꜀² or Σ꜀ xₙ꜀."""
    known = sums()
    (((bound, factors), _),) = known.poly(("sum", X, "n")).items()
    known.identities.append(Identity(bound, dict(factors), 0))
    for zero in (("sum", X, "n"), ("sum", X2, "n'", "c"), ("sum", ("mul", G, X), "n", "c")):
        assert known.zero(zero)
    for other in (("mul", X, Y), ("pow", X, 2, 1), ("mul", X, ("delta", "n", "n'"))):
        assert not known.zero(("sum", other, "n"))
    assert not known.zero(("sum", X, "c"))


def test_a_replacement_captures_no_index() -> None:
    """v꜀ := Σₙ xₙ꜀ inside a sum over n, and at another channel."""
    known = sums().knowing({"v": (("c",), ("sum", X, "n"))})
    other = ("var", "x", "n'", "c'")
    left = ("sum", ("mul", Y, ("var", "v", "c'")), "n")
    right = ("mul", ("sum", Y, "n"), ("sum", other, "n'"))
    assert known.zero(("add", left, ("mul", -1, right)))

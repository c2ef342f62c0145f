"""The formulas of a certificate: read from JSON, with their signs and tangents.

    ["var", v, i, j]    v at its indices           ["add", a, b, …]    ["mul", a, b, …]
    ["size", i]         how many values i takes    ["pow", a, p, q]    a to the power p/q
    ["ratio", p, q]     the number p/q             ["sum", a, i, …]    over all values of i, …
    ["delta", i, j]     1 if i = j, else 0         ["fn", f, a]        an elementwise function

and a whole number for itself.  Here they become tuples of the same shape, and Fractions.  An index
is an axis with marks behind it: n, n' and n'' run over the same range.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from fractions import Fraction
from math import prod
from typing import Any

from verify.checker.terms import Expr, ProofError, axis

NAME, INDEX = re.compile(r"[A-Za-z]\w*"), re.compile(r"([A-Za-z]\w*)'*")
LARGEST = 64  # exponent
POSITIVE, NONNEGATIVE, UNKNOWN = 2, 1, 0  # signs


def fn(name: str, argument: Expr) -> Expr:
    return ("fn", name, argument)


def power(base: Expr, p: int, q: int = 1) -> Expr:
    return ("pow", base, p, q)


def minus(expr: Expr) -> Expr:
    return ("mul", -1, expr)


def summed(expr: Expr, indices: tuple[str, ...]) -> Expr:
    return ("sum", expr, *indices) if indices else expr


# f′(a) by the name of f; at a kink it is 0: |0|′ = relu′(0) = 0.  g is any function.
SLOPES: dict[str, Callable[[Expr], Expr]] = {
    "exp": lambda a: fn("exp", a),
    "log": lambda a: power(a, -1),
    "tanh": lambda a: ("add", 1, minus(power(fn("tanh", a), 2))),
    "sigmoid": lambda a: ("add", fn("sigmoid", a), minus(power(fn("sigmoid", a), 2))),
    "erf": lambda a: fn("gauss", a),  # 2/√π exp(−a²)
    "gauss": lambda a: ("mul", -2, a, fn("gauss", a)),
    "abs": lambda a: fn("sign", a),
    "sign": lambda a: 0,
    "relu": lambda a: fn("step", a),
    "step": lambda a: 0,
    "g": lambda a: fn("g_slope", a),
}
FUNCTIONS = (*SLOPES, "g_slope")
SIGNS = {"exp": 2, "sigmoid": 2, "gauss": 2, "abs": 1, "relu": 1, "step": 1}


def free(expr: Expr) -> frozenset[str]:
    """The indices that an expression varies with."""
    if not isinstance(expr, tuple) or expr[0] == "size":
        return frozenset()
    if expr[0] in ("var", "delta"):
        return frozenset(expr[2 if expr[0] == "var" else 1 :])
    if expr[0] == "sum":
        return free(expr[1]) - frozenset(expr[2:])
    return frozenset().union(*(free(arg) for arg in expr[1:]))


def tangent(expr: Expr, moved: set[str]) -> Expr:
    """The derivative along the tangents v_dot of what is ``moved``."""
    if not isinstance(expr, tuple) or expr[0] in ("size", "delta"):
        return 0
    kind, *args = expr
    if kind == "var":
        return ("var", f"{args[0]}_dot", *args[1:]) if args[0] in moved else 0
    if kind == "add":
        return ("add", *(tangent(arg, moved) for arg in args))
    if kind == "mul":
        rates = [tangent(arg, moved) for arg in args]
        return ("add", *(("mul", *args[:k], r, *args[k + 1 :]) for k, r in enumerate(rates)))
    if kind == "sum":
        return ("sum", tangent(args[0], moved), *args[1:])
    inner = tangent(args[1] if kind == "fn" else args[0], moved)
    if inner == 0:
        return 0
    if kind == "fn":
        if args[0] not in SLOPES:
            raise ProofError(f"{args[0]} has no known slope")
        return ("mul", SLOPES[args[0]](args[1]), inner)
    base, p, q = args
    return ("mul", Fraction(p, q), power(base, p - q, q), inner)


class Names:
    """What has been declared: each name with its own indices, axes with the names of their sizes.

    ``given`` are the assumed signs of inputs, of which ``needed`` were used; ``defined`` holds the
    definitions, whose signs follow; ``positive`` is what is known to be positive beside.
    """

    def __init__(self, sizes: dict[str, str]) -> None:
        self.sizes = sizes
        self.indices: dict[str, tuple[str, ...]] = {}
        self.given: dict[str, int] = {}
        self.needed: set[str] = set()
        self.defined: dict[str, Expr] = {}
        self.positive: set[str] = set()

    def declare(self, name: Any, indices: Any) -> str:
        if not isinstance(name, str) or not NAME.fullmatch(name) or name in self.indices:
            raise ProofError(f"{name!r} is no new name")
        if not isinstance(indices, list):
            raise ProofError(f"{name} wants a list of indices")
        own = tuple(self.index(index) for index in indices)
        if len(set(own)) < len(own) or name in self.sizes.values():
            raise ProofError(f"{name} has an index twice or the name of a size")
        self.indices[name] = own
        return name

    def index(self, node: Any) -> str:
        found = INDEX.fullmatch(node) if isinstance(node, str) else None
        if not found or found[1] not in self.sizes:
            raise ProofError(f"{node!r} is no index of a declared axis")
        return str(node)

    def known(self, node: Any) -> str:
        if not isinstance(node, str) or node not in self.indices:
            raise ProofError(f"{node!r} is not declared")
        return node

    def var(self, name: str) -> Expr:
        """A quantity at its own indices."""
        return ("var", name, *self.indices[name])

    def within(self, expr: Expr, name: str) -> Expr:
        """The expression, if it varies with no index that the quantity lacks."""
        if foreign := free(expr) - set(self.indices[name]):
            raise ProofError(f"{', '.join(sorted(foreign))} is no index of {name}")
        return expr

    def expr(self, node: Any) -> Expr:
        """A formula from JSON, each name declared and at indices of its own axes."""
        if not isinstance(node, list):
            return whole(node)
        kind, *args = node or [None]
        if kind == "ratio" and len(args) == 2 and whole(args[1]) > 0:
            return Fraction(whole(args[0]), args[1])
        if kind == "var" and args:
            name, own = self.known(args[0]), tuple(self.index(index) for index in args[1:])
            if [axis(index) for index in own] != [axis(index) for index in self.indices[name]]:
                raise ProofError(f"{name} varies over {', '.join(self.indices[name])}")
            return ("var", name, *own)
        if kind == "size" and len(args) == 1:
            return ("size", axis(self.index(args[0])))
        if kind == "delta" and len(args) == 2:
            first, second = self.index(args[0]), self.index(args[1])
            if axis(first) == axis(second):
                return ("delta", first, second)
        if kind in ("add", "mul") and len(args) > 1:
            return (kind, *(self.expr(arg) for arg in args))
        if kind == "pow" and len(args) == 3:
            p, q = whole(args[1]), whole(args[2])
            if abs(p) <= LARGEST and 0 < q <= LARGEST:
                return ("pow", self.expr(args[0]), p, q)
        if kind == "sum" and len(args) > 1:
            over = tuple(self.index(index) for index in args[1:])
            if len(set(over)) == len(over):
                return ("sum", self.expr(args[0]), *over)
        if kind == "fn" and len(args) == 3 and args[0] == "max":  # (a + b + |a − b|)/2
            a, b = self.expr(args[1]), self.expr(args[2])
            return ("mul", Fraction(1, 2), ("add", a, b, fn("abs", ("add", a, minus(b)))))
        if kind == "fn" and len(args) == 2 and args[0] in FUNCTIONS:
            return fn(args[0], self.expr(args[1]))
        raise ProofError(f"{kind!r} with {len(args)} arguments is no formula")

    def sign(self, expr: Expr) -> int:
        """POSITIVE or NONNEGATIVE if an expression is so wherever it is defined, else UNKNOWN."""
        if isinstance(expr, int | Fraction):
            return POSITIVE if expr > 0 else UNKNOWN if expr else NONNEGATIVE
        kind, *args = expr
        if kind == "var":
            if args[0] in self.positive:
                return POSITIVE
            if args[0] in self.defined:
                return self.sign(self.defined[args[0]])
            self.needed |= {args[0]} & self.given.keys()
            return self.given.get(args[0], UNKNOWN)
        if kind == "add":
            signs = [self.sign(arg) for arg in args]
            return UNKNOWN if UNKNOWN in signs else max(signs)
        if kind == "mul":
            number = prod(arg for arg in args if not isinstance(arg, tuple))
            return min(map(self.sign, (number, *(arg for arg in args if isinstance(arg, tuple)))))
        if kind == "pow":
            even = args[1] % 2 == 0 and args[2] == 1
            return max(self.sign(args[0]), NONNEGATIVE if even else UNKNOWN)
        if kind == "fn":
            return SIGNS.get(args[0], UNKNOWN)
        if kind == "sum":
            return self.sign(args[0])
        return POSITIVE if kind == "size" else NONNEGATIVE


def whole(node: Any) -> int:
    if type(node) is not int:
        raise ProofError(f"{node!r} is no whole number")
    return node

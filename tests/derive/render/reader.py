"""An independent reader of the one-line ASCII form, and the plain-loop value it must agree with.

The reader knows the rules that the printed line promises and nothing of the layout: products and
quotients from left to right, a ``sum_i`` reaches to the end of its product.
"""

from __future__ import annotations

import math
import random
import re
from collections.abc import Mapping
from itertools import product

from sympy import Add, Expr, Mul, Pow, Rational, exp, log, tanh
from sympy import Symbol as SympySymbol

from derive.expr import Axis, Delta, SumOver, Var

SIZES = {"m": 3, "N": 2, "C": 1}
LABELS = {
    "x_hat": "x_hat",
    "x": "x",
    "y": "y",
    "mu": "mu",
    "sigma^2": "var",
    "RMS^2": "mean_square",
    "gamma": "gamma",
    "beta": "beta",
    "eps": "eps",
    "u": "u",
    "R": "R",
    "e": "e",
    "p": "p",
    "Z": "Z",
    "loss": "loss",
}
FUNCTIONS = {"sqrt": math.sqrt, "exp": math.exp, "log": math.log, "tanh": math.tanh}

_NAME = "(?:{})".format("|".join(sorted(map(re.escape, LABELS), key=len, reverse=True)))
_LETTER = r"[ijkrst]\d*"
_INDEX = rf"(?:_(?:B|(?:{_LETTER})+))?(?![a-zA-Z0-9_])"
_TOKEN = re.compile(
    rf"""(?P<number>\d+)|(?P<sum>sum_{_LETTER})\b|(?P<delta>delta_(?:{_LETTER}){{2}})
    |(?P<adjoint>dl/d{_NAME}{_INDEX})|(?P<tangent>{_NAME}_dot{_INDEX})|(?P<value>{_NAME}{_INDEX})
    |(?P<size>[mNC])\b|(?P<function>sqrt|exp|log|tanh)(?=\()|(?P<sign>[-+/^()])""",
    re.VERBOSE,
)


def value(role: str, label: str, indices: tuple[int, ...]) -> float:
    """A number between 1/2 and 2 for each entry of each quantity."""
    return random.Random(f"{role} {label} {indices}").uniform(0.5, 2)


class Reader:
    """Evaluates one printed expression at given values of its letters."""

    def __init__(self, text: str, sizes: Mapping[str, str]) -> None:
        """``sizes`` gives the name of the size that each letter runs to."""
        self.sizes = sizes
        self.tokens: list[tuple[str, str]] = []
        place = 0
        while place < len(text):
            if text[place] == " ":
                place += 1
                continue
            match = _TOKEN.match(text, place)
            assert match, f"cannot read {text[place:]!r}"
            assert match.lastgroup
            self.tokens.append((match.lastgroup, match.group()))
            place = match.end()

    def evaluate(self, letters: Mapping[str, int]) -> float:
        result, place = self._terms(0, letters)
        assert place == len(self.tokens), f"left over: {self.tokens[place:]}"
        return result

    def _sign(self, place: int) -> str:
        kind, text = self.tokens[place] if place < len(self.tokens) else ("end", "")
        return text if kind == "sign" else ""

    def _terms(self, place: int, letters: Mapping[str, int]) -> tuple[float, int]:
        total = 0.0
        sign = self._sign(place) if self._sign(place) == "-" else ""
        place += bool(sign)
        while True:
            term, place = self._product(place, letters)
            total += -term if sign == "-" else term
            sign = self._sign(place)
            if sign not in ("+", "-"):
                return total, place
            place += 1

    def _product(self, place: int, letters: Mapping[str, int]) -> tuple[float, int]:
        result, place = self._power(place, letters)
        while place < len(self.tokens) and self._sign(place) not in ("+", "-", ")"):
            divide = self._sign(place) == "/"
            factor, place = self._power(place + divide, letters)
            result = result / factor if divide else result * factor
        return result, place

    def _power(self, place: int, letters: Mapping[str, int]) -> tuple[float, int]:
        base, place = self._atom(place, letters)
        if self._sign(place) == "^":
            exponent, place = self._atom(place + 1, letters)
            base = base**exponent
        return base, place

    def _atom(self, place: int, letters: Mapping[str, int]) -> tuple[float, int]:
        kind, text = self.tokens[place]
        if text == "(":
            result, place = self._terms(place + 1, letters)
            assert self._sign(place) == ")"
            return result, place + 1
        if kind == "function":
            result, place = self._atom(place + 1, letters)
            return FUNCTIONS[text](result), place
        if kind == "sum":
            letter, total, end = text.removeprefix("sum_"), 0.0, place
            for index in range(SIZES[self.sizes[letter[0]]]):
                body, end = self._product(place + 1, {**letters, letter: index})
                total += body
            return total, end
        return self._leaf(kind, text, letters), place + 1

    def _leaf(self, kind: str, text: str, letters: Mapping[str, int]) -> float:
        if kind == "number":
            return int(text)
        if kind == "size":
            return SIZES[text]
        if kind == "delta":
            first, second = re.findall(_LETTER, text.removeprefix("delta_"))
            return float(letters[first] == letters[second])
        assert kind in ("value", "adjoint", "tangent"), text
        text = text.removeprefix("dl/d") if kind == "adjoint" else text
        text = text.replace("_dot", "") if kind == "tangent" else text
        text = text.removesuffix("_B")
        name = next(name for name in sorted(LABELS, key=len, reverse=True) if text.startswith(name))
        index = text.removeprefix(name).removeprefix("_")
        return value(
            kind, LABELS[name], tuple(letters[letter] for letter in re.findall(_LETTER, index))
        )


def loop(expr: Expr, indices: Mapping[Axis, int], shown: tuple[str, ...]) -> float:
    """The value of an expression, by loops over its sums."""
    if isinstance(expr, Var):
        entry = tuple(indices[axis] for axis in expr.axes if axis.base in shown)
        return value(expr.role, expr.of, entry)
    if isinstance(expr, Delta):
        first, second = expr.indices
        return float(indices[first] == indices[second])
    if isinstance(expr, SumOver):
        ranges = [range(SIZES[axis.size.name]) for axis in expr.axes]
        return sum(
            loop(expr.body, {**indices, **dict(zip(expr.axes, entry, strict=True))}, shown)
            for entry in product(*ranges)
        )
    if isinstance(expr, Rational):
        return float(expr)
    if type(expr) is SympySymbol:
        return SIZES[expr.name]
    args = [loop(arg, indices, shown) for arg in expr.args]
    if isinstance(expr, Pow):
        return args[0] ** args[1]
    if isinstance(expr, Add):
        return sum(args)
    if isinstance(expr, Mul):
        return math.prod(args)
    return {exp: math.exp, log: math.log, tanh: math.tanh}[type(expr)](args[0])

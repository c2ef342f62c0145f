"""Equations in Python's syntax: parsed by Python's own parser, never evaluated.

Two ways of writing are read, and not mixed in one equation.  With indices, as in
:mod:`derive.grammar`::

    dl/dgamma = sum[i](dl/dy[i]*x_hat[i])

and as a line of array code, where axes are counted as those of the data are::

    dgamma = np.sum(dy * x_hat, axis=0)

There dx is ∂ℓ/∂x, and arrays are taken to be of shapes that broadcast.  A sum that leaves axes
which would not (a row's sum in front of a matrix) needs its keepdims=True.  The syntax tree is read
by a whitelist of nodes: whatever else stands there is refused at its place.
"""

from __future__ import annotations

import ast
import re
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import NoReturn

from sympy import Expr

from derive.expr import Axis
from derive.grammar.elaborate import APPLIED
from derive.grammar.equation import Condition, Equation
from derive.grammar.latex_items import LONGEST
from derive.grammar.parser import DEEPEST, REDUCTIONS
from derive.grammar.python_arrays import constant, varies
from derive.grammar.source import Place, Source, described, suggestion
from derive.grammar.tokens import LARGEST_EXPONENT, Token
from derive.grammar.tree import (
    Call,
    Derivative,
    Node,
    Number,
    Power,
    Product,
    Quantity,
    Reduction,
    Sum,
)

MODULES = ("np", "numpy", "math", "torch", "jnp", "xp")
REDUCED = ("sum", "mean", "var")
_NUMBER = re.compile(r"[0-9]{1,60}(\.[0-9]{0,60})?([eE][+-]?[0-9]{1,2})?|\.[0-9]{1,60}")
_SPLIT = re.compile(r"(?<![=!<>:+\-*/])=(?!=)")
_CONDITION = re.compile(r",\s*([a-z])\s*(==?|!=)\s*((?!\1)[a-z])\s*$")
_SAME_NAME = {"absolute": "abs", "fabs": "abs", "maximum": "max"}


def python_equations(
    source: Source, names: Mapping[str, Expr], data: tuple[Axis, ...]
) -> list[Equation]:
    """The equations of a text, one on each line.

    ``names`` says what each name stands for, for the axes that it has; ``data`` are the axes that
    array code counts.  Raises SourceError at what cannot be read for certain.
    """
    if len(source.text.strip()) > LONGEST:
        raise source.error(
            Place(0, 0, 1),
            f"a formula has at most {LONGEST} characters, not {len(source.text.strip())}",
        )
    found: list[Equation] = []
    for number, line in enumerate(source.lines):
        for at, character in enumerate(line):
            if not (character.isascii() and (character.isprintable() or character == "\t")):
                raise source.error(
                    Place(number, at, at + 1),
                    f"the character {described(character)} is not part of a formula in Python",
                )
        if line.partition("#")[0].strip():
            found += _line(source, number, names, data)
    if not found:
        raise source.error(Place(0, 0, 1), "there is no formula here")
    return found


def _line(
    source: Source, number: int, names: Mapping[str, Expr], data: tuple[Axis, ...]
) -> Iterator[Equation]:
    text = source.lines[number].partition("#")[0].rstrip()
    condition = _CONDITION.search(text)
    text = text[: condition.start()] if condition else text
    signs = [m.start() for m in _SPLIT.finditer(text) if not _depth(text[: m.start()])]
    if not signs:
        end = Place(number, len(text), len(text) + 1)
        raise source.error(end, "a formula has two sides: LHS = RHS")
    starts = [0, *(sign + 1 for sign in signs)]
    ends = [*signs, len(text)]
    reader = _Reader(source, number, names, data)
    sides = [reader.side(text[a:b], a) for a, b in zip(starts, ends, strict=True)]
    if reader.arrays and reader.indexed:
        raise source.error(
            reader.arrays, "np.sum over an axis and x[i] with an index do not go together"
        )
    for sign, side in zip(signs, sides[1:], strict=True):
        equals = Place(number, sign, sign + 1)
        when = None if condition is None else _condition(condition, number)
        yield Equation(source, sides[0], equals, side, when, arrays=not reader.indexed)


def _condition(found: re.Match[str], line: int) -> Condition:
    first, second = (Token("name", found[k], Place(line, *found.span(k))) for k in (1, 3))
    return Condition(first, second, found[2] != "!=")


def _depth(text: str) -> int:
    return sum(text.count(c) for c in "([{") - sum(text.count(c) for c in ")]}")


@dataclass
class _Reader:
    """From Python's syntax tree of one side to ours."""

    source: Source
    line: int
    names: Mapping[str, Expr]
    data: tuple[Axis, ...]
    start: int = 0
    depth: int = 0
    arrays: Place | None = None  # of the first sum over a numbered axis
    indexed: Place | None = None  # of the first index

    def side(self, text: str, start: int) -> Node:
        self.start = start + len(text) - len(text.lstrip())
        if not text.strip():
            self._stop(Place(self.line, start, start + 1), "a formula has two sides: LHS = RHS")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # of what Python finds odd, such as 1(x)
                tree = ast.parse(text.strip(), mode="eval")
        except SyntaxError as error:
            at = self.start + max(0, (error.offset or 1) - 1)
            self._stop(Place(self.line, at, at + 1), f"this is not Python: {error.msg}")
        except (RecursionError, MemoryError, ValueError):
            self._stop(Place(self.line, start, start + 1), "nested too deeply")
        return self._node(tree.body)

    def _stop(self, place: Place, message: str) -> NoReturn:
        raise self.source.error(place, message)

    def _place(self, node: ast.expr) -> Place:
        start = self.start + node.col_offset
        return Place(self.line, start, max(start + 1, self.start + (node.end_col_offset or 0)))

    def _fail(self, node: ast.expr, message: str) -> NoReturn:
        self._stop(self._place(node), message)

    # --- Nodes -----------------------------------------------------------------------------------

    def _node(self, node: ast.expr) -> Node:
        self.depth += 1
        if self.depth > DEEPEST:
            self._fail(node, f"nested more than {DEEPEST} deep; give a name to a part of it")
        try:
            return self._read(node)
        finally:
            self.depth -= 1

    def _read(self, node: ast.expr) -> Node:
        match node:
            case ast.Constant():
                return self._number(node)
            case ast.Name() | ast.Subscript():
                return self._quantity(node)
            case ast.UnaryOp(op=ast.USub() | ast.UAdd()) | ast.BinOp(op=ast.Add() | ast.Sub()):
                return Sum(tuple(self._terms(node)), self._place(node))
            case ast.BinOp(op=ast.Mult() | ast.Div()):
                return self._product(node)
            case ast.BinOp(left=left, op=ast.Pow(), right=right):
                return Power(self._node(left), self._node(right), self._place(node))
            case ast.Call():
                return self._call(node)
            case ast.BinOp(op=ast.BitXor()):
                raise self.source.error(self._place(node), "^ is no power in Python; write **")
            case _:
                message = f"{_described(node)} is not part of a formula"
                raise self.source.error(self._place(node), message)

    def _number(self, node: ast.Constant) -> Node:
        text = self.source.lines[self.line][self._place(node).start : self._place(node).end]
        if not _NUMBER.fullmatch(text):
            self._fail(
                node,
                f"a number has at most 60 digits and an exponent of at most "
                f"{LARGEST_EXPONENT}; found {text[:40]}",
            )
        return Number(Fraction(text.rstrip(".")), self._place(node))

    def _terms(self, node: ast.expr) -> list[tuple[bool, Node]]:
        """The terms of a sum, which Python nests to the left."""
        found: list[tuple[bool, Node]] = []
        while isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add | ast.Sub):
            found.append((isinstance(node.op, ast.Sub), self._node(node.right)))
            node = node.left
        negative = isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub)
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.UAdd):
            node = node.operand
        return [(negative, self._node(node)), *reversed(found)]

    def _product(self, node: ast.BinOp) -> Node:
        """A product, in which dl/dx[i] is one factor."""
        place = self._place(node)
        written: list[tuple[bool, ast.expr]] = []
        left: ast.expr = node
        while isinstance(left, ast.BinOp) and isinstance(left.op, ast.Mult | ast.Div):
            written.append((isinstance(left.op, ast.Div), left.right))
            left = left.left
        written = [(False, left), *reversed(written)]
        factors: list[tuple[bool, Node]] = []
        while written:
            divides, first = written.pop(0)
            derivative = self._derivative(first, written[0]) if written else None
            if derivative is not None and not divides:
                written.pop(0)
                factors.append((False, derivative))
            else:
                factors.append((divides, self._node(first)))
        return factors[0][1] if len(factors) == 1 else Product(tuple(factors), place)

    def _derivative(self, above: ast.expr, divided: tuple[bool, ast.expr]) -> Node | None:
        divides, below = divided
        of, wrt = self._differential(above), self._differential(below)
        if not divides or of is None or wrt is None:
            return None
        if of.name.text == "l":
            return Derivative(None, wrt, self._place(above))
        if not (of.indices or wrt.indices):
            self._fail(
                above,
                f"is d{of.name.text}/d{wrt.name.text} a derivative or a quotient of "
                "gradients? Write its indices for a derivative, or multiply by 1/(...)",
            )
        return Derivative(of, wrt, self._place(above))

    def _differential(self, node: ast.expr) -> Quantity | None:
        """What dx or dx[i] is d of."""
        name = node.value if isinstance(node, ast.Subscript) else node
        if not isinstance(name, ast.Name) or not name.id.startswith("d"):
            return None
        label = name.id[1:]
        if label != "l" and label not in self.names:
            return None
        indices = self._letters(node.slice) if isinstance(node, ast.Subscript) else None
        place = self._place(name)
        token = Token("name", label, Place(place.line, place.start + 1, place.end))
        return Quantity(token, indices)

    def _quantity(self, node: ast.Name | ast.Subscript) -> Node:
        if isinstance(node, ast.Name):
            if node.id not in self.names:
                self._unknown(node, node.id)
            return Quantity(Token("name", node.id, self._place(node)), None)
        if isinstance(node.value, ast.Attribute) and node.value.attr == "shape":
            return self._size(node, node.slice)
        if not isinstance(node.value, ast.Name):
            self._fail(node, "an index stands behind a name: x[i]")
        label = node.value.id
        if label not in self.names and label != "delta":
            self._unknown(node.value, label)
        letters = self._letters(node.slice)
        return Quantity(Token("name", label, self._place(node.value)), letters)

    def _unknown(self, node: ast.expr, label: str) -> NoReturn:
        self._fail(node, f"unknown name {label}{suggestion(label, list(self.names))}")

    def _letters(self, written: ast.expr) -> tuple[Token, ...]:
        parts = written.elts if isinstance(written, ast.Tuple) else [written]
        found = []
        for part in parts:
            if not isinstance(part, ast.Name):
                self._fail(part, "an index is a letter such as i")
            if part.id in self.names:
                self._fail(part, f"{part.id} is a name here, so it can be no index")
            found.append(Token("name", part.id, self._place(part)))
        self.indexed = self.indexed or self._place(written)
        return tuple(found)

    # --- Calls -----------------------------------------------------------------------------------

    def _call(self, node: ast.Call) -> Node:
        match node.func:
            case ast.Subscript(value=ast.Name(id=name), slice=axes) if name in REDUCTIONS:
                letters = self._letters(axes)
                if len(node.args) != 1 or node.keywords:
                    self._fail(node, f"{name}[i] takes one summand")
                function = Token("name", name, self._place(node.func))
                return Reduction(function, letters, self._node(node.args[0]))
            case ast.Attribute(value=ast.Name(id=module), attr=name) if module in MODULES:
                return self._function(node, name, node.args)
            case ast.Attribute(value=value, attr=name) if name in REDUCED:
                return self._function(node, name, [value, *node.args])
            case ast.Name(id=name) if name not in REDUCED:
                return self._function(node, name, node.args)
            case ast.Name(id=name):  # Python's own sum adds up rows, whatever the axes are
                said = f"write np.{name}(..., axis=0), or {name}[i](...)"
                raise self.source.error(self._place(node.func), said)
            case _:
                raise self.source.error(self._place(node), "this function is not known here")

    def _function(self, node: ast.Call, name: str, arguments: list[ast.expr]) -> Node:
        place, token = self._place(node), Token("name", name, self._place(node.func))
        if name in REDUCED:
            return self._reduction(node, name, arguments)
        if name in self.names:
            self._fail(
                node.func, f"{name} is no function; a product needs its sign: {name} * (...)"
            )
        if node.keywords:
            self._fail(node, f"{name} takes no keywords here")
        if name == "ones_like" and len(arguments) == 1:
            return Number(Fraction(1), place)
        if name == "len" and len(arguments) == 1:
            return self._size(node, ast.Constant(0))
        if name == "square" and len(arguments) == 1:
            return Power(self._node(arguments[0]), Number(Fraction(2), place), place)
        name = _SAME_NAME.get(name, name)
        if name != "sqrt" and name not in APPLIED:
            self._fail(node.func, f"the function {name} is not known here")
        return Call(Token("name", name, token.place), tuple(self._node(a) for a in arguments))

    def _size(self, node: ast.expr, position: ast.expr) -> Node:
        """x.shape[0] or len(x), of the data."""
        array = node.args[0] if isinstance(node, ast.Call) else None
        if isinstance(node, ast.Subscript) and isinstance(node.value, ast.Attribute):
            array = node.value.value
        inner = None if array is None else self._node(array)
        if inner is None or varies(inner, self.names) != set(self.data):
            self._fail(node, "the shape of the data alone is known: x.shape[0]")
        (axis,) = self._numbered(node, position)
        return Quantity(Token("name", axis.size.name, self._place(node)), None)

    def _reduction(self, node: ast.Call, name: str, arguments: list[ast.expr]) -> Node:
        """np.sum(a, axis=0), np.mean and np.var."""
        given = {keyword.arg: keyword.value for keyword in node.keywords}
        if len(arguments) == 2 and not {"axis", "dim"} & set(given):
            given["axis"] = arguments.pop()
        axis = given.pop("axis", None) or given.pop("dim", None)
        if len(arguments) != 1 or axis is None:
            self._fail(node, f"{name} takes an array and its axis: np.{name}(x, axis=0)")
        kept = given.pop("keepdims", None) or given.pop("keepdim", None)
        for keyword, wanted in (("ddof", 0), ("unbiased", False)):
            value = given.pop(keyword, None)
            if value is not None and constant(value) != wanted:
                self._fail(value, f"{keyword} is {wanted} here; write the quotient out")
        if given:
            self._fail(node, f"{name} takes no {sorted(map(str, given))[0]} here")
        body = self._node(arguments[0])
        over = self._numbered(axis, axis)
        self._check_shape(node, body, over, kept)
        self.arrays = self.arrays or self._place(node)
        place = self._place(node)
        axes = tuple(Token("name", each.base, self._place(axis)) for each in over)
        average = Token("name", "sum" if name == "sum" else "mean", self._place(node.func))
        if name != "var":
            return Reduction(average, axes, body)
        off = Sum(((False, body), (True, Reduction(average, axes, body))), place)
        return Reduction(average, axes, Power(off, Number(Fraction(2), place), place))

    def _check_shape(
        self, node: ast.Call, body: Node, over: tuple[Axis, ...], kept: ast.expr | None
    ) -> None:
        if varies(body, self.names) != set(self.data):
            self._fail(node, "a numbered axis is counted for arrays of the data's shape alone")
        if kept is not None and constant(kept) is True:
            return
        left = [axis for axis in self.data if axis not in over]
        if left != list(self.data[len(self.data) - len(left) :]) and self.depth > 1:
            self._fail(node, "this needs keepdims=True to broadcast with the data")

    def _numbered(self, at: ast.expr, written: ast.expr) -> tuple[Axis, ...]:
        parts = written.elts if isinstance(written, ast.Tuple) else [written]
        found = []
        for part in parts:
            value = constant(part)
            if type(value) is not int or not -len(self.data) <= value < len(self.data):
                self._fail(at, f"an axis is a number from 0 to {len(self.data) - 1}")
            found.append(self.data[value])
        return tuple(dict.fromkeys(found))


def _described(node: ast.expr) -> str:
    words = {"IfExp": "a condition", "Lambda": "a function", "Compare": "a comparison"}
    name = type(node).__name__
    return words.get(name, f"Python's {name.lower()}")

"""From the statements of a layer file to a Layer.

Every rule that :class:`~derive.layer.Layer` keeps is kept here first, with the place in the text;
beyond those, whatever is declared must be used, since a name without a use is most often a slip.
The sign of a defined quantity follows from its definition: a mean of squares is not negative.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from keyword import iskeyword
from pathlib import Path
from typing import NoReturn

from sympy import Expr

from derive.errors import InputError
from derive.expr import Axis, Definition, Var, free_axes, variables
from derive.grammar.elaborate import Elaborator
from derive.grammar.source import Place, Source, read, suggestion
from derive.grammar.statements import Declaration, Equation, Statements, statements
from derive.grammar.tokens import LONGEST_NAME, Token
from derive.grammar.tree import Derivative, Quantity, names
from derive.layer import Layer, taken_names


def load(path: Path | str) -> Layer:
    """The layer that a file describes.  Raises InputError, with the place where there is one."""
    path = Path(path)
    return _layer(read(path), path.stem)


def parse_layer(text: str, name: str = "layer") -> Layer:
    """The layer that a text describes; ``name`` is its name if the text gives none.

    Raises SourceError with the place of the first mistake.
    """
    return _layer(Source(name, text), name)


def _layer(source: Source, fallback: str) -> Layer:
    said = statements(source)
    name = said.name.text if said.name else _name_from(fallback, source)
    builder = _Builder(source, said)
    inputs = [var for var, constant in builder.declared if not constant]
    return Layer(
        name=name,
        title=said.title or name.replace("_", " ").strip().capitalize(),
        source=said.cited or "",
        data=inputs[0],
        learnt=tuple(inputs[1:]),
        parameters=tuple(var for var, constant in builder.declared if constant),
        definitions=builder.definitions,
        stages=builder.stages,
    )


def _name_from(stem: str, source: Source) -> str:
    name = "".join(c if c.isascii() and c.isalnum() else "_" for c in stem).strip("_")
    if not name[:1].isalpha() or len(name) > LONGEST_NAME or iskeyword(name):
        raise InputError(
            f"{source.name}: {stem!r} is no name for a layer; begin the file with "
            "'layer NAME: TITLE'"
        )
    return name


@dataclass
class _Builder:
    """Checks and elaborates the statements of one file; also the scope of its expressions."""

    source: Source
    said: Statements
    axes: dict[str, Axis] = field(default_factory=dict)
    sizes: dict[str, Expr] = field(default_factory=dict)
    known: dict[str, Var] = field(default_factory=dict)
    declared: list[tuple[Var, bool]] = field(default_factory=list)
    definitions: tuple[Definition, ...] = ()
    stages: tuple[Var, ...] = ()

    def __post_init__(self) -> None:
        self._check_presence()
        self._declare_axes()
        self._check_names()
        for declaration in self.said.declarations:
            self._declare(declaration)
        elaborate = Elaborator(self)
        for equation in self.said.equations:
            self._check_order(equation)
            expr = elaborate(equation.body)
            var = self._defined(equation, expr)
            self.known[var.label] = var
            self.definitions += (Definition(var, expr, equation.note),)
        self._check_use()
        self.stages = tuple(map(self._stage, self.said.stages))

    def _named(self) -> list[Declaration | Equation]:
        """Whatever gives a name to a quantity, as it stands in the file."""
        return sorted([*self.said.declarations, *self.said.equations], key=_position)

    def _fail(self, place: Place, message: str) -> NoReturn:
        raise self.source.error(place, message)

    # --- The scope of expressions ----------------------------------------------------------------

    def is_quantity(self, label: str) -> bool:
        return label in self.known or label in self.sizes

    def quantity(self, written: Quantity) -> Expr:
        label = written.name.text
        if label in self.sizes:
            if written.indices is not None:
                self._fail(written.place, f"{label} is the size of an axis and takes no indices")
            return self.sizes[label]
        if label in self.axes:
            size = self.axes[label].size.name
            self._fail(written.place, f"{label} is an axis; its size is called {size}")
        if label not in self.known:
            near = suggestion(label, [*self.known, *self.sizes])
            self._fail(written.place, f"unknown name {label}{near}")
        var = self.known[label]
        if written.indices is not None and self._axes(written) != var.axes:
            self._fail(
                written.place,
                f"{label} is declared as {var.name.replace(',', ', ')}; "
                "its axes can be left out, but not changed",
            )
        return var

    def derivative(self, written: Derivative) -> Expr:
        self._fail(written.place, "derivatives are derived; a definition has none")

    def listed(self, axes: frozenset[Axis]) -> str:
        return ", ".join(name for name, axis in self.axes.items() if axis in axes) or "no axis"

    def axis(self, written: Token) -> Axis:
        if written.text not in self.axes:
            if not self.axes:
                self._fail(
                    written.place, f"no axes are declared; begin with 'axes: {written.text}'"
                )
            near = suggestion(written.text, list(self.axes))
            self._fail(written.place, f"unknown axis {written.text}{near}")
        return self.axes[written.text]

    def _axes(self, written: Quantity) -> tuple[Axis, ...]:
        found: list[Axis] = []
        for token in written.indices or ():
            axis = self.axis(token)
            if axis in found:
                self._fail(token.place, f"the axis {token.text} stands twice in these brackets")
            found.append(axis)
        return tuple(found)

    # --- Declarations ----------------------------------------------------------------------------

    def _check_presence(self) -> None:
        last = Place(len(self.source.lines) - 1, 0, 1)
        inputs = [d for d in self.said.declarations if not d.constant]
        if not inputs and not self.said.equations:
            self._fail(last, "nothing is declared; expected an input such as x[n, c]")
        if not inputs:
            self._fail(last, "no input is declared; expected one such as x[n, c]")
        if not self.said.equations:
            self._fail(last, "nothing is defined; expected a definition such as y[n, c] = ...")

    def _declare_axes(self) -> None:
        tokens = [(axis.name, axis.size) for axis in self.said.axes]
        seen: dict[str, str] = {}
        for name, size in tokens:
            size_name = size.text if size else _default_size(name.text)
            for token, label, what in (
                (name, name.text, "an"),
                (size or name, size_name, "the size of an"),
            ):
                if label in seen:
                    hint = "" if size else f"; name the size of {name.text}: {name.text} (SIZE)"
                    self._fail(token.place, f"{label} is already {seen[label]} axis{hint}")
                seen[label] = what
            axis = Axis(name.text, size_name)
            self.axes[name.text], self.sizes[size_name] = axis, axis.size

    def _check_names(self) -> None:
        """One meaning for each name, and none that the derivation or Python has taken."""
        first: dict[str, Place] = {}
        for statement in self._named():
            name, place = statement.quantity.name.text, statement.quantity.place
            if name in first:
                self._fail(
                    place, f"the name {name} is used twice, first in line {first[name].line + 1}"
                )
            first[name] = place
        taken = {name: f"the axis {name}" for name in self.axes}
        taken |= taken_names(first, self.axes.values())
        for name, place in first.items():
            if name in taken:
                self._fail(place, f"{name} is the name of {taken[name]}; call it something else")
            if iskeyword(name):
                self._fail(
                    place,
                    f"{name} is a word of Python, the language of the kernels; call it {name}_",
                )

    def _declare(self, declaration: Declaration) -> None:
        quantity = declaration.quantity
        var = Var(
            quantity.name.text,
            *self._axes(quantity),
            positive=declaration.sign == ">" or None,
            nonnegative=declaration.sign == ">=" or None,
        )
        self.known[var.label] = var
        self.declared.append((var, declaration.constant))

    # --- Definitions -----------------------------------------------------------------------------

    def _check_order(self, equation: Equation) -> None:
        """What it uses is defined above it."""
        label = equation.quantity.name.text
        later = {
            e.quantity.name.text: e
            for e in self.said.equations
            if e.quantity.name.text not in self.known
        }
        for token in names(equation.body):
            if token.text == label:
                self._fail(token.place, f"{label} is defined by itself")
            if token.text not in later:
                continue
            if cycle := _path(token.text, label, later):
                needs = ", ".join(f"{a} needs {b}" for a, b in pairwise([label, *cycle]))
                self._fail(token.place, f"a cycle: {needs}")
            line = later[token.text].quantity.place.line + 1
            self._fail(
                token.place, f"{token.text} is defined only in line {line}; move that above this"
            )

    def _defined(self, equation: Equation, expr: Expr) -> Var:
        quantity = equation.quantity
        axes = self._axes(quantity)
        if frozenset(axes) != free_axes(expr):
            left, right = self.listed(frozenset(axes)), self.listed(free_axes(expr))
            self._fail(
                quantity.place,
                f"{quantity.name.text} is declared over {left}, "
                f"but its right-hand side varies over {right}",
            )
        positive = bool(expr.is_positive)
        nonnegative = not positive and bool(expr.is_nonnegative)
        return Var(
            quantity.name.text, *axes, positive=positive or None, nonnegative=nonnegative or None
        )

    def _stage(self, name: Token) -> Var:
        defined = {definition.var.label: definition.var for definition in self.definitions}
        if name.text not in defined:
            near = suggestion(name.text, list(defined))
            self._fail(name.place, f"no quantity {name.text} is defined{near}")
        return defined[name.text]

    def _check_use(self) -> None:
        """Everything leads to the output, and every axis is one of a declared quantity."""
        used = {self.definitions[-1].var.label}
        for definition in reversed(self.definitions):
            if definition.var.label in used:
                used |= {var.label for var in variables(definition.expr)}
        output = self.definitions[-1].var.label
        for statement in self._named():
            name = statement.quantity.name
            if name.text not in used:
                self._fail(
                    name.place,
                    f"{name.text} is not used: the output, {output}, does not depend on it",
                )
        over = {axis for var, _ in self.declared for axis in var.axes}
        for declared in self.said.axes:
            if self.axes[declared.name.text] not in over:
                self._fail(declared.name.place, f"the axis {declared.name.text} is not used")


def _default_size(axis: str) -> str:
    """N for n; an axis in capitals has the size size_N."""
    capital = axis.upper()
    return capital if capital != axis else f"size_{axis}"


def _position(statement: Declaration | Equation) -> tuple[int, int]:
    return statement.quantity.place.line, statement.quantity.place.start


def _path(start: str, goal: str, equations: dict[str, Equation]) -> list[str]:
    """The way from one definition to another that it needs, both included, or []."""
    came: dict[str, str] = {start: ""}
    queue = [start]
    for label in queue:
        for token in names(equations[label].body):
            if token.text in equations and token.text not in came:
                came[token.text] = label
                queue.append(token.text)
    path = [goal] if goal in came else []
    while path and came[path[0]]:
        path.insert(0, came[path[0]])
    return path

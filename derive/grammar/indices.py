"""Which axis each index letter of an equation runs along, found from where it stands.

A sum's bound says it (a sum up to m runs over the batch), a quantity with one axis says it (γ_k has
channels only), and x_i is at an index of the axis that the layer reduces.  An index that is bound
by a sum must not be in use outside; a free one must stand on the left; and where some quantities
along an axis have an index, all of them need one, or it would have to be guessed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from sympy import Expr

from derive.expr import Axis, Var, free_axes, sorted_axes
from derive.grammar.equation import Equation
from derive.grammar.source import Place, suggestion
from derive.grammar.tokens import Token
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

MOST = 5  # letters along one axis


@dataclass(frozen=True)
class Indices:
    """What the letters are, and the sizes that sums have given names to."""

    letters: Mapping[str, Axis]
    sizes: Mapping[str, Expr]


def indices_of(equation: Equation, names: Mapping[str, Expr], shown: Sequence[str]) -> Indices:
    """The letters of an equation.  ``shown`` are the axes whose indices formulas write.

    Raises SourceError where a letter could be more than one thing.
    """
    found = _Finder(equation, names, shown)
    found.check_derivatives()
    found.check_scopes()
    found.assign()
    found.check_missing()
    return Indices(found.letters(), found.sizes())


def children(node: Node) -> tuple[Node, ...]:
    """The parts of a node, derivatives and their quantities apart."""
    match node:
        case Number() | Quantity():
            return ()
        case Derivative(of, wrt):
            return (wrt,) if of is None else (of, wrt)
        case Sum(parts) | Product(parts):
            return tuple(part for _, part in parts)
        case Power(base, exponent):
            return base, exponent
        case Call(_, arguments):
            return arguments
        case Reduction(_, _, body):
            return (body,)


def quantities(node: Node) -> Iterator[Quantity]:
    """Every quantity, from left to right."""
    if isinstance(node, Quantity):
        yield node
    for child in children(node):
        yield from quantities(child)


def derivatives(node: Node) -> Iterator[Derivative]:
    """Every derivative, from left to right."""
    if isinstance(node, Derivative):
        yield node
    for child in children(node):
        yield from derivatives(child)


@dataclass
class _Finder:
    equation: Equation
    names: Mapping[str, Expr]
    shown: Sequence[str]
    base: dict[str, str] = field(default_factory=dict)  # of each letter
    order: list[str] = field(default_factory=list)  # of letters
    summed: set[str] = field(default_factory=set)

    # --- Scopes ----------------------------------------------------------------------------------

    def check_derivatives(self) -> None:
        """∂y/∂x without indices may be one entry of a Jacobian, or all of them."""
        for node in (*derivatives(self.equation.left), *derivatives(self.equation.right)):
            if node.of is None or node.of.indices or node.wrt.indices:
                continue
            both = set(self._axes(node.of)) & set(self._axes(node.wrt))
            if any(axis.base in self.shown for axis in both):
                of, wrt = node.of.name.text, node.wrt.name.text
                self._fail(
                    node.place, f"which element of {of} by which of {wrt}? Write their indices"
                )

    def check_scopes(self) -> None:
        free = self._walk(self.equation.left, frozenset(), None)
        self._walk(self.equation.right, frozenset(), free)
        if (condition := self.equation.condition) is not None:
            for token in (condition.first, condition.second):
                if token.text not in free:
                    self._fail(token.place, f"the left side has no index {token.text}")

    def _walk(
        self, node: Node, bound: frozenset[str], allowed: frozenset[str] | None
    ) -> frozenset[str]:
        """The free letters; ``allowed`` are those that may be, None for any."""
        if isinstance(node, Quantity):
            free = set()
            for token in node.indices or ():
                self._note(token)
                if token.text in bound:
                    continue
                if allowed is not None and token.text not in allowed:
                    self._fail(token.place, self._stray(token.text))
                free.add(token.text)
            return frozenset(free)
        if isinstance(node, Reduction):
            for token in node.axes:
                self._note(token)
                self.summed.add(token.text)
                if token.text in bound or token.text in (allowed or ()):
                    self._fail(
                        token.place,
                        f"the index {token.text} is in use here already; "
                        "give the sum another letter",
                    )
            bound |= {token.text for token in node.axes}
        parts = [self._walk(child, bound, allowed) for child in children(node)]
        return frozenset().union(*parts)

    def _note(self, token: Token) -> None:
        if token.text not in self.order:
            self.order.append(token.text)

    def _stray(self, letter: str) -> str:
        if letter in self.summed:
            return (
                f"the sum over {letter} ends before this; put what is summed in parentheses, "
                "or use another letter"
            )
        return f"the index {letter} is neither on the left nor summed over"

    def _fail(self, place: Place, message: str) -> None:
        raise self.equation.source.error(place, message)

    # --- Axes ------------------------------------------------------------------------------------

    def _axes(self, quantity: Quantity) -> tuple[Axis, ...]:
        label = quantity.name.text
        value = self.names.get(label)
        if value is None:
            if label in self._declared() or label == "delta":
                return ()
            near = suggestion(label, list(self.names))
            raise self.equation.source.error(quantity.place, f"unknown name {label}{near}")
        return value.axes if isinstance(value, Var) else sorted_axes(free_axes(value))

    def _declared(self) -> set[str]:
        return {bound.size for bound in self.equation.bounds}

    def _all(self) -> list[Quantity]:
        return [*quantities(self.equation.left), *quantities(self.equation.right)]

    def assign(self) -> None:
        by_size = {axis.size.name: axis.base for axis in self._known_axes()}
        for bound in self.equation.bounds:
            if bound.size in by_size:
                self._set(bound.index, by_size[bound.size])
        every = [q for q in self._all() if q.indices]
        for quantity in every:
            if len(self._axes(quantity)) == 1:
                self._assign(quantity)
        for quantity in every:
            self._assign(quantity)
        for quantity in every:
            if quantity.name.text == "delta":
                self._assign_delta(quantity)

    def _known_axes(self) -> list[Axis]:
        every = {axis for value in self.names.values() for axis in free_axes(value)}
        return [axis for axis in sorted_axes(every) if not axis.level]

    def _set(self, token: Token, base: str) -> None:
        known = self.base.setdefault(token.text, base)
        if known != base:
            self._fail(
                token.place, f"{token.text} would run along the axis {base}, and {known} elsewhere"
            )

    def _assign(self, quantity: Quantity) -> None:
        """The letters of one quantity; those that are not known take the axes that are left."""
        if quantity.name.text == "delta":
            return
        own = [axis.base for axis in self._axes(quantity)]
        written = quantity.indices or ()
        left = own if len(written) == len(own) else [b for b in own if b in self.shown]
        if any(b not in left for token in written if (b := self.base.get(token.text))):
            left = own
        left = list(left)
        for token in written:
            base = self.base.get(token.text)
            if base is not None:
                if base not in left:
                    self._fail(
                        token.place,
                        f"{token.text} runs along the axis {base}; {quantity.name.text} varies "
                        f"over {', '.join(own) or 'none'}",
                    )
                left.remove(base)
        for token in written:
            if token.text not in self.base:
                if not left:
                    self._fail(
                        token.place,
                        f"{quantity.name.text} varies over {', '.join(own) or 'no axis'}: "
                        "too many indices",
                    )
                base = left.pop(0)
                self._check_name(token, base, own, len(written))
                self._set(token, base)
        self._check_order(quantity, own)

    def _check_name(self, token: Token, base: str, own: list[str], written: int) -> None:
        """x_c is not x at the row c."""
        hidden = written < len(own) and token.text in own and token.text not in self.shown
        guessed = written < sum(b in self.shown for b in own) and token.text in own
        if token.text != base and (hidden or guessed):
            self._fail(
                token.place,
                f"{token.text} is the name of an axis, and this would run along {base}; "
                "use another letter, or write all indices",
            )

    def _check_order(self, quantity: Quantity, own: list[str]) -> None:
        """x_{ij} is not x_{ji}."""
        rest = iter(own)
        for token in quantity.indices or ():
            if self.base[token.text] not in rest:
                axes = ", ".join(own)
                self._fail(
                    token.place,
                    f"{token.text} runs along the axis {self.base[token.text]}, and the indices of "
                    f"{quantity.name.text} stand in the order {axes}",
                )

    def _assign_delta(self, quantity: Quantity) -> None:
        known = [self.base[t.text] for t in quantity.indices or () if t.text in self.base]
        for token in quantity.indices or ():
            self._set(token, known[0] if known else self.shown[0])

    def check_missing(self) -> None:
        """No quantity lacks an index that others along its axis have."""
        used: dict[str, list[str]] = {}
        for letter in self.order:
            if letter in self.base:
                used.setdefault(self.base[letter], []).append(letter)
        for quantity in self._all():
            given = [self.base.get(token.text) for token in quantity.indices or ()]
            for axis in self._axes(quantity):
                letters = used.get(axis.base, [])
                must = axis.base in self.shown or len(letters) > 1 or set(letters) & self.summed
                if letters and must and given.count(axis.base) < self._count(quantity, axis.base):
                    name = quantity.name.text
                    self._fail(
                        quantity.place,
                        f"{name} has no index along the axis {axis.base}, where others have "
                        f"{letters[0]}",
                    )

    def _count(self, quantity: Quantity, base: str) -> int:
        return sum(axis.base == base for axis in self._axes(quantity))

    # --- Results ---------------------------------------------------------------------------------

    def letters(self) -> dict[str, Axis]:
        known = {axis.base: axis for axis in self._known_axes()}
        found: dict[str, Axis] = {}
        levels: dict[str, int] = {}
        condition = self.equation.condition
        for letter in self.order:
            base = self.base.get(letter)
            if base is None:
                summed = "the sum over {0} has no {0} in it"
                said = summed if letter in self.summed else "no axis for the index {0}"
                raise self.equation.source.error(self.equation.equals, said.format(letter))
            if condition is not None and condition.same:
                pair = (condition.first.text, condition.second.text)
                twin = pair[pair[0] == letter] if letter in pair else ""
                if twin in found:
                    found[letter] = found[twin]
                    continue
            level = levels.get(base, 0)
            levels[base] = level + 1
            if level >= MOST:
                raise self.equation.source.error(
                    self.equation.equals, f"more than {MOST} indices along the axis {base}"
                )
            found[letter] = known[base].prime(level) if level else known[base]
        return found

    def sizes(self) -> dict[str, Expr]:
        """Names that only a sum's bound gives a meaning: N, in a sum up to N."""
        known = {axis.base: axis for axis in self._known_axes()}
        mentioned = {quantity.name.text: quantity for quantity in self._all()}
        found: dict[str, Expr] = {}
        for bound in self.equation.bounds:
            if not bound.size or bound.size in self.names:
                continue
            axis = known[self.base[bound.index.text]]
            if axis.size.name in mentioned:
                self._fail(
                    bound.index.place,
                    f"{bound.size} and {axis.size.name} would both be the number of elements",
                )
            found[bound.size] = axis.size
        return found

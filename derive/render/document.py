"""A derivation as a document: a flat list of blocks that every format renders.

What is shown and in which order is decided here, once; a format decides only how it looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal, TypeVar

from sympy import Add, Expr, Integer, Mul

from derive.derivation import Derivation
from derive.errors import InputError
from derive.expr import (
    Axis,
    Definition,
    Delta,
    SumOver,
    Var,
    adjoint,
    mul,
    rebuild,
    rename,
    sorted_axes,
)
from derive.jacobian import Jacobian, Spectrum
from derive.render.blocks import Block, Equation, Heading, Words, name_of
from derive.render.layout import ByCase, Entries, equation, formula
from derive.render.notation import Notation
from derive.render.notation_file import PAPER
from derive.render.notation_fit import fitted
from derive.render.roots import by_name, definition_of, named_roots
from derive.render.symbols import symbols_of
from derive.trace import Fact, JacobianEntry, Reason, Result, Step, in_words

Form = Literal["staged", "closed", "jacobian", "orders", "all", "summary"]


_Side = TypeVar("_Side", Expr, JacobianEntry, ByCase, Expr | JacobianEntry, Expr | ByCase | Entries)


def document(
    derivation: Derivation,
    *,
    wrt: Sequence[str] = (),
    form: Form = "all",
    steps: bool = True,
    notation: Notation = PAPER,
    symbols: bool = False,
) -> tuple[Block, ...]:
    """The blocks for the gradients with respect to ``wrt`` (labels of inputs; empty means all).

    ``symbols`` asks for a table of them.

    Raises InputError where the notation cannot tell two names of the layer apart.
    """
    writer = _Writer(derivation, wrt, form, steps, notation)
    title, *others = writer.blocks()
    return (title, *(writer.symbols() if symbols else ()), *others)


class _Writer:
    def __init__(
        self,
        derivation: Derivation,
        wrt: Sequence[str],
        form: Form,
        steps: bool,
        notation: Notation,
    ) -> None:
        self.derivation = derivation
        self.layer = derivation.layer
        self.form, self.steps = form, steps
        self.notation = fitted(notation, self.layer)
        self.roots = named_roots(derivation.chart, self.notation)
        self.wanted = [adjoint(v) for v in self.layer.inputs if not wrt or v.label in wrt]
        self.by_data = adjoint(self.layer.data) in self.wanted
        self.results = self._needed()
        self.shown = self._shown()

    def blocks(self) -> Iterator[Block]:
        jacobian = self.derivation.jacobian if self.by_data else None
        yield Heading(self.layer.title, self.layer.source)
        yield Heading("Definitions")
        yield from self._definitions()
        if self.derivation.unproved:
            yield from self._unproved()
            return
        if self.form in ("staged", "all"):
            yield from self._staged()
        if self.form == "summary":
            yield from self._closed_forms()
            if jacobian is not None:
                yield from self._u_and_r(jacobian)
            return
        if self.derivation.identities:
            yield Heading("Identities", "read off the definitions, proved for every size")
            for number, fact in enumerate(self.derivation.identities, start=1):
                yield from self._identity(fact, number)
        if self.form in ("closed", "all"):
            yield from self._closed()
        if self.form in ("jacobian", "all") and self.by_data:
            if jacobian is not None:
                yield from self._jacobian(jacobian)
            else:
                yield from self._facts(())

    def symbols(self) -> Iterator[Block]:
        jacobian = self.derivation.jacobian if self.by_data else None
        yield Heading("Symbols")
        yield symbols_of(self.layer, jacobian, self.notation, self.shown)

    # --- Sections ---------------------------------------------------------------------------------

    def _definitions(self) -> Iterator[Block]:
        left = list(self.roots)
        for definition in self.layer.definitions:
            for root in [r for r in left if by_name(definition.expr, [r]) != definition.expr]:
                left.remove(root)
                yield self._root(definition_of(root))
            yield self._equation(definition.var, definition.expr, in_words(definition.note))

    def _root(self, root: Definition) -> Equation:
        """What the name of a root stands for: there it is written out."""
        typeset = equation(root.var, root.expr, self.notation, self.shown)
        name = root.var.label
        return Equation(typeset.left, typeset, Words("a name for the root"), name=name)

    def _staged(self) -> Iterator[Block]:
        yield Heading("Staged adjoints", "the chain rule, from the last definition to the first")
        for result in self.results:
            start = result.start if self.steps else result.staged
            yield self._equation(result.lhs, start, result.reason)
            if self.steps:
                yield from self._chain(result.lhs, result.staging)

    def _unproved(self) -> Iterator[Block]:
        """The chain rule alone, and why there is no more."""
        if self.form in ("closed", "jacobian"):
            raise InputError(f"{self.derivation.unproved}; there is only --form staged")
        yield from self._staged()
        yield Heading("Not proved")
        yield self._words(in_words(self.derivation.unproved))
        yield Words(
            "What stands above is the chain rule, staged, without a closed form; backnorm verify "
            "compares it exactly at sampled sizes; to have it proved, keep to what has a normal "
            "form: divide by, and take roots of, single quantities"
        )

    def _identity(self, fact: Fact, number: int) -> Iterator[Block]:
        """A lemma: what it says, and the steps that lead there."""
        name = f"lemma_{number}"
        stated = replace(self._equation(fact.lhs, fact.rhs, fact.says), name=name)
        if not (self.steps and fact.steps):
            yield stated
            return
        yield Words(f"Lemma {number}: {{}}", (stated.tree,))
        for step in fact.steps:
            equation = self._equation(fact.lhs, step.after, step.reason, step.rule)
            yield replace(equation, name=name, continued=step is not fact.steps[0])

    def _closed(self) -> Iterator[Block]:
        if self.steps:
            yield Heading("To closed form", "each = is proved for every size by normal form")
            for result in self.results:
                if result.closing:
                    yield self._equation(result.lhs, result.staged, Reason("staged"))
                    yield from self._chain(result.lhs, result.closing)
        yield from self._closed_forms()

    def _closed_forms(self) -> Iterator[Block]:
        yield Heading("Closed forms")
        kept = [adjoint(var) for var in self.layer.stages]
        for result in self.results:
            if result.var in (*self.wanted, *kept):
                yield self._equation(result.lhs, result.closed)
        for result in self.results:
            if result.var in self.wanted and result.closed == 0:
                idle = next(v for v in self.layer.inputs if adjoint(v) == result.var)
                words = "{} has no influence on {}, whatever the data: leave it out"
                yield self._words(Reason(words, (idle, self.layer.output)))

    def _jacobian(self, jacobian: Jacobian) -> Iterator[Block]:
        yield Heading("Jacobian", "the derivative of every quantity with respect to one input")
        for result in (*jacobian.intermediate, jacobian.entry):
            if self.steps:
                yield self._equation(result.lhs, result.start, result.reason)
                yield from self._chain(result.lhs, result.steps)
            else:
                yield self._equation(result.lhs, result.closed)
            if result.closed.has(Delta) and len(jacobian.rows) == 1:
                yield self._by_case(result)
        yield from self._u_and_r(jacobian)
        yield from self._facts(jacobian.facts)
        if jacobian.spectrum is not None:
            yield from self._spectrum(jacobian.spectrum)

    def _facts(self, facts: tuple[Fact, ...]) -> Iterator[Block]:
        yield Heading("Facts", "each proved for every size")
        for fact in (*self.derivation.facts, *facts):
            yield self._fact(fact)

    def _u_and_r(self, jacobian: Jacobian) -> Iterator[Block]:
        yield Heading("uR", "the Jacobian as a scale and a matrix")
        entry = jacobian.entry
        yield self._equation(entry.lhs, mul(jacobian.u.var, jacobian.R.var))
        yield self._equation(jacobian.u.var, jacobian.u.expr)
        yield self._equation(jacobian.R.var, jacobian.R.expr)
        if len(jacobian.rows) == 1 and jacobian.R.expr.has(Delta):
            (row,), (column,) = jacobian.rows, jacobian.columns
            cases = _cases(jacobian.R.expr, row, column)
            yield self._equation(jacobian.R.var, cases)
            yield from self._matrix(jacobian.R.var, cases)

    def _matrix(self, var: Var, entry: ByCase) -> Iterator[Block]:
        """R with all its entries, where the letter of its size can be an index."""
        symbol = self.notation.size(entry.first.size.name)
        if len(symbol.text) == 1 and symbol.latex in (symbol.text, rf"\mathtt{{{symbol.text}}}"):
            rest = (axis for axis in var.axes if axis not in (entry.first, entry.second))
            yield self._equation(var.at(*rest), Entries(self._named(entry), symbol.text))

    def _spectrum(self, spectrum: Spectrum) -> Iterator[Block]:
        for eigenvalue in spectrum.eigenvalues:
            formulas: tuple[Expr, ...] = (eigenvalue.value, eigenvalue.multiplicity)
            words = "R has the eigenvalue {}, {} times, "
            if eigenvalue.vector is None:
                words += "on all that is orthogonal to the other eigenvectors"
            elif eigenvalue.vector == 1:
                words = "R has the eigenvalue {} once, on the constant vector"
                formulas = formulas[:1]
            else:
                words = "R has the eigenvalue {} once, on {}"
                formulas = (eigenvalue.value, eigenvalue.vector)
            yield self._words(Reason(words, formulas))
        parameters = self.layer.parameters
        whole, limit = spectrum.rank(), spectrum.rank(parameters)
        if whole == limit:
            yield self._words(Reason("rank R = {}", (whole,)))
        else:
            yield self._words(
                Reason(
                    "rank R = {}, and {} where {} = 0 (if the data vary)",
                    (whole, limit, *parameters),
                )
            )

    # --- Blocks -----------------------------------------------------------------------------------

    def _chain(self, lhs: Var | JacobianEntry, steps: Sequence[Step]) -> Iterator[Block]:
        for step in steps:
            yield self._equation(lhs, step.after, step.reason, rule=step.rule)

    def _equation(
        self,
        lhs: Expr | JacobianEntry,
        rhs: Expr | ByCase | Entries,
        reason: Reason | None = None,
        rule: str = "",
        shown: Sequence[str] = (),
        continued: bool = False,
    ) -> Equation:
        letters = shown or self.shown
        entry = lhs if isinstance(lhs, JacobianEntry) else None
        words = self._words(reason, letters, entry) if reason and reason.template else None
        typeset = equation(self._named(lhs), self._named(rhs), self.notation, letters)
        left = formula(lhs, self.notation, letters)
        return Equation(left, typeset, words, continued or bool(rule), rule, name_of(lhs))

    def _named(self, side: _Side) -> _Side:
        """One side of an equation with the notation's names for roots."""
        if isinstance(side, JacobianEntry | Entries):
            return side
        if isinstance(side, ByCase):
            equal, different = self._named(side.equal), self._named(side.different)
            return replace(side, equal=equal, different=different)
        return by_name(side, self.roots)

    def _fact(self, fact: Fact) -> Equation:
        bound = {
            axis.base
            for side in (fact.lhs, fact.rhs)
            for total in side.atoms(SumOver)
            for axis in total.axes
        }
        every = (*self.shown, *sorted(bound - set(self.shown)))
        return self._equation(fact.lhs, fact.rhs, fact.says, shown=every)

    def _words(
        self, reason: Reason, shown: Sequence[str] = (), beside: JacobianEntry | None = None
    ) -> Words:
        letters = shown or self.shown
        formulas = map(self._named, reason.formulas)
        trees = (formula(expr, self.notation, letters, beside) for expr in formulas)
        return Words(reason.template, tuple(trees))

    def _by_case(self, result: Result) -> Equation:
        """A Jacobian's entry for equal and for different indices."""
        row, column = sorted(result.closed.atoms(Delta), key=str)[0].indices
        cases = _cases(result.closed, row, column)
        return self._equation(result.lhs, cases, Reason("on and off the diagonal"), continued=True)

    # --- What is shown ----------------------------------------------------------------------------

    def _needed(self) -> list[Result]:
        """The wanted results, and those that their staged forms mention."""
        labels = {var.label for var in self.wanted}
        for result in reversed(self.derivation.adjoints):
            if result.var.label in labels:
                labels |= {v.label for e in (result.start, result.staged) for v in e.atoms(Var)}
        return [r for r in self.derivation.adjoints if r.var.label in labels]

    def _shown(self) -> tuple[str, ...]:
        """Axes whose indices are printed: the reduced ones first (of those, what most definitions
        sum over: the batch, not the inputs of a linear layer), then others that are summed."""
        summed: set[Axis] = {
            axis
            for result in self.results
            for total in result.start.atoms(SumOver)
            for axis in total.axes
        }
        if self.by_data and self.derivation.jacobian is not None:
            summed |= set(self.derivation.jacobian.rows)
        reduced = sorted(self.layer.reduced_axes, key=lambda axis: -self._reductions(axis))
        first = [axis.base for axis in reduced]
        rest = [axis.base for axis in sorted_axes(summed) if axis.base not in first]
        return (*first, *dict.fromkeys(rest))

    def _reductions(self, axis: Axis) -> int:
        return sum(axis in total.axes for d in self.layer for total in d.expr.atoms(SumOver))


def _cases(expr: Expr, row: Axis, column: Axis) -> ByCase:
    """An expression with a δ, without it: where the two indices are equal, and where not."""
    equal = rename(_without_delta(expr, 1), {column: row})
    return ByCase(row, column, equal, _without_delta(expr, 0))


def _without_delta(expr: Expr, value: int) -> Expr:
    if isinstance(expr, Delta):
        return Integer(value)
    if isinstance(expr, Add | Mul):
        return rebuild(expr, (_without_delta(arg, value) for arg in expr.args))
    return expr

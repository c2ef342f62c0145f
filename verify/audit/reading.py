"""A formula in the engine's terms: what it claims, and what is true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from sympy import Expr, Pow

from derive.expr import (
    HALF,
    Axis,
    Definition,
    Delta,
    SumOver,
    Var,
    add,
    free_axes,
    mul,
    rebuild,
    rename,
    sorted_axes,
    substitute,
    tangent,
    variables,
)
from derive.grammar.formulas import Formula
from derive.normal_form import NormalForm
from derive.polynomial import Poly
from derive.trace import JacobianEntry
from verify.audit.conditions import Condition
from verify.audit.questions import Question
from verify.audit.subjects import Subject, taken_at, unfolded

LEFT = "left"  # of a formula whose left side is no single quantity


@dataclass(frozen=True)
class Reading:
    """A formula in the engine's terms; derivatives are taken at an index of their own.

    ``lhs`` is a quantity, an adjoint, or the tangent that an entry of a Jacobian, ``entry``, is.
    """

    question: Question
    subject: Subject
    lhs: Var
    entry: JacobianEntry | None
    rhs: Expr
    wrt: Var | None
    own: Mapping[str, Definition]
    convention: Condition | None = None
    sizes: Sequence[int] = range(2, 5)  # at which the oracle compares
    partial: bool = False  # each ∂ is of one definition, the other quantities in it held constant

    # --- Under conditions ------------------------------------------------------------------------

    def mentions(self, convention: Condition) -> bool:
        """Whether the convention is about a symbol of this formula."""
        assert convention.meaning is not None
        label = convention.meaning.var.label
        sides = [self.rhs, *(d.expr for d in self.own.values())]
        return self.lhs.label == label or any(
            var.label == label for side in sides for var in side.atoms(Var)
        )

    def under(self, convention: Condition | None) -> Reading:
        return replace(self, convention=convention)

    def where(self, condition: Condition) -> Reading | None:
        """Where two indices are the same, or differ; None where there are not two of one axis."""
        pair = self._pair
        if pair is None or self.question.apart:
            return None
        if not condition.same:
            return replace(self, question=replace(self.question, apart=True))
        first, second = pair
        moved = {first: second}
        entry = self.entry
        if entry is not None:
            entry = JacobianEntry(_moved(entry.of, moved), _moved(entry.wrt, moved))
        wrt = None if self.wrt is None else _moved(self.wrt, moved)
        return replace(
            self, lhs=_moved(self.lhs, moved), entry=entry, rhs=rename(self.rhs, moved), wrt=wrt
        )

    @property
    def _pair(self) -> tuple[Axis, Axis] | None:
        """Two indices along one axis on the left."""
        axes = self.lhs.axes if self.entry is None else (*self.entry.of.axes, *self.entry.wrt.axes)
        axes = tuple(dict.fromkeys(axes))
        pairs = ((a, b) for k, a in enumerate(axes) for b in axes[k + 1 :])
        return next(((a, b) for a, b in pairs if a.base == b.base), None)

    def can_have(self, condition: Condition) -> bool:
        """Whether the layer has those constants, and this is no formula about them."""
        layer = self.subject.layer
        labels = {var.label for var in (*layer.learnt, *layer.parameters)}
        about = {self.lhs.of} | ({self.wrt.of} if self.wrt is not None else set())
        used = {v.of for v in variables(self.rhs)} | {self.lhs.of}
        parts = set(self.subject.parts) & used
        adjoints = {v.of for v in variables(self.rhs) if v.role != "value"}
        fixed = set(condition.values)
        return fixed <= labels and not fixed & (about | adjoints) and not parts

    def is_single(self) -> bool:
        """Whether both sides are equal where there is one element, m = 1."""
        layer = {d.var.label: d for d in self.subject.layer}
        known = {**self.adjoints, **self.tangents, **self.staged, **layer}
        try:
            return bool(_alone(unfolded(self.difference, known), self.subject.rows).expand() == 0)
        except ZeroDivisionError:
            return False

    def with_values(self, condition: Condition, about: Subject) -> Reading:
        """The formula about the layer in which the constants have their values."""
        given = {
            label: Definition(self.subject.value(label), mul(value))
            for label, value in condition.values.items()
        }
        own = {k: replace(d, expr=substitute(d.expr, given)) for k, d in self.own.items()}
        return replace(self, subject=about, rhs=substitute(self.rhs, given), own=own)

    # --- Meaning ---------------------------------------------------------------------------------

    def read(self, expr: Expr) -> Expr:
        """An expression of the document, in our meaning of its symbols."""
        if self.convention is None or self.convention.meaning is None:
            return expr
        meaning = self.convention.meaning
        return substitute(expr, {meaning.var.label: meaning})

    @cached_property
    def staged(self) -> dict[str, Definition]:
        """Names for formulas: the document's, and the derived parts."""
        own = {label: replace(d, expr=self.read(d.expr)) for label, d in self.own.items()}
        return {**self.subject.known, **self.subject.parts, **own}

    @cached_property
    def tangents(self) -> dict[str, Definition]:
        if self.partial:
            return self.subject.partials(self.wrt)
        return self.subject.tangents(self.wrt, self.question.held)

    @property
    def held(self) -> tuple[str, ...]:
        """The quantities that a derivative on the left side takes as constants."""
        if not self.partial or self.entry is None:
            return self.question.held
        return tuple(d.var.label for d in self.subject.layer if d.var.label != self.entry.of.label)

    @cached_property
    def adjoints(self) -> dict[str, Definition]:
        return self.subject.adjoints(self.question.held)

    @cached_property
    def truth(self) -> Expr:
        """What the left side is, by the definitions."""
        if self.lhs.role == "tangent":
            return self.tangents[self.lhs.label].at(*self.lhs.axes)
        if self.lhs.role == "adjoint":
            known = self.adjoints.get(self.lhs.label)
            return self.lhs if known is None else known.at(*self.lhs.axes)
        known = self.own.get(self.lhs.label) or self.subject.defined(self.lhs.label)
        if known is None:
            return self.lhs
        return substitute(self.read(self.lhs), {self.lhs.label: known})

    @cached_property
    def claimed(self) -> Expr:
        return self.read(self.rhs)

    @cached_property
    def difference(self) -> Expr:
        return self.subject.averaged(add(self.claimed, mul(-1, self.truth)))

    @property
    def plain(self) -> Expr:
        """The right side in terms of values and adjoints alone, for the oracle."""
        return unfolded(self.claimed, {**self.tangents, **self.staged})

    def remainder(self, normal_form: NormalForm) -> Poly:
        """The normal form of the difference, where two indices are different if they must be."""
        poly = normal_form.poly(self.difference)
        if not self.question.apart:
            return poly
        return {
            powers: coefficient
            for powers, coefficient in poly.items()
            if not any(isinstance(generator, Delta) for generator, _ in powers)
        }


def _alone(expr: Expr, axis: Axis) -> Expr:
    """An expression where an axis has one element: a sum over it is its summand."""
    if isinstance(expr, SumOver):
        kept = (each for each in expr.axes if each.base != axis.base)
        total: Expr = SumOver(_alone(expr.body, axis), *kept)
        return total
    if expr == axis.size:
        return mul(1)
    if isinstance(expr, Var | Delta) or not expr.args:
        return rename(expr, {each: axis for each in free_axes(expr) if each.base == axis.base})
    args = [_alone(arg, axis) for arg in expr.args]
    if isinstance(expr, Pow) and args[0] == 0 and not args[1].is_positive:
        raise ZeroDivisionError(f"{expr} for one element")
    return rebuild(expr, args)


def read(question: Question, about: Subject, own: Mapping[str, Definition]) -> Reading:
    """The formula of a question."""
    formula = _without_roots(question.formula)
    entry = formula.lhs if isinstance(formula.lhs, JacobianEntry) else None
    if entry is not None:
        lhs = tangent(entry.of)
    elif isinstance(formula.lhs, Var):
        lhs = formula.lhs
    else:
        assert not isinstance(formula.lhs, JacobianEntry)
        lhs = Var(LEFT, *sorted_axes(free_axes(formula.lhs)))
        own = {**own, LEFT: Definition(lhs, formula.lhs)}
    wrt = formula.wrt if entry is None else entry.wrt
    if wrt is None:
        return Reading(question, about, lhs, entry, formula.rhs, wrt, own)
    there = taken_at(wrt, about.shown)
    lhs, wrt = _moved(lhs, there), _moved(wrt, there)
    if entry is not None:
        entry = JacobianEntry(_moved(entry.of, there), wrt)
    own = {
        label: Definition(_moved(d.var, there), rename(d.expr, there)) if label == LEFT else d
        for label, d in own.items()
    }
    return Reading(question, about, lhs, entry, rename(formula.rhs, there), wrt, own)


def _without_roots(formula: Formula) -> Formula:
    """σ = b says that σ² = b², where b is not negative."""
    lhs, rhs = formula.lhs, formula.rhs
    if isinstance(lhs, Pow) and lhs.exp == HALF and rhs.is_nonnegative:
        return replace(formula, lhs=lhs.base, rhs=Pow(rhs, 2))
    return formula


def _moved(var: Var, there: Mapping[Axis, Axis]) -> Var:
    return var.at(*(there.get(axis, axis) for axis in var.axes))

"""What a derivation consists of: reasons, certified steps, results and facts.

The trace *is* the result.  Text, LaTeX and JSON render these objects and hold no formula of their
own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import final

from sympy import Expr

from derive.expr import Definition, Var
from derive.normal_form import NormalForm


class CertificationError(AssertionError):
    """A rewriting whose two sides are not equal: a defect of a rule, never of the input."""


@dataclass(frozen=True)
class Reason:
    """Words with formulas in them: ``Reason("{} = 0", (expr,))``.  Renderers fill the braces."""

    template: str
    formulas: tuple[Expr, ...] = ()


def in_words(text: str) -> Reason:
    """Words that somebody else has written, without formulas: their braces are braces."""
    return Reason(text.replace("{", "{{").replace("}", "}}"))


@dataclass(frozen=True)
class Step:
    """``before`` = ``after`` by a named rule; *proved* by normal form when it was made."""

    rule: str
    before: Expr
    after: Expr
    reason: Reason

    def _repr_latex_(self) -> str:
        """How a notebook shows it."""
        from derive.render.display import step_latex  # which imports this module

        return step_latex(self)

    _repr_markdown_ = _repr_latex_


@final
@dataclass(frozen=True)
class JacobianEntry:
    """∂of/∂wrt, each at its own indices: the left-hand side of a Jacobian's entry."""

    of: Var
    wrt: Var

    def __post_init__(self) -> None:
        if "adjoint" in (self.of.role, self.wrt.role):
            raise ValueError(f"∂{self.of.label}/∂{self.wrt.label} is not an entry of a Jacobian")


@dataclass(frozen=True)
class Result:
    """One derived quantity: where it starts (the chain rule) and the steps to its closed form.

    ``var`` names the adjoint or tangent in other formulas; ``lhs`` is what is printed on the left.
    ``staging`` leads to the form in terms of earlier adjoints, as the 2015 paper prints it;
    ``closing`` goes on to inputs, statistics and the cotangent of the output only.
    """

    var: Var
    lhs: Expr | JacobianEntry
    start: Expr
    reason: Reason
    staging: tuple[Step, ...]
    closing: tuple[Step, ...]

    @property
    def entry(self) -> JacobianEntry | None:
        """The left-hand side, if it is a Jacobian's entry."""
        return self.lhs if isinstance(self.lhs, JacobianEntry) else None

    @property
    def steps(self) -> tuple[Step, ...]:
        return self.staging + self.closing

    @property
    def staged(self) -> Expr:
        return self.staging[-1].after if self.staging else self.start

    @property
    def closed(self) -> Expr:
        return self.steps[-1].after if self.steps else self.start

    @property
    def definition(self) -> Definition:
        """``var := closed``, to be inserted into later results."""
        return Definition(self.var, self.closed)


@dataclass(frozen=True)
class Fact:
    """``lhs = rhs``, proved for every size, with what it says in words, and maybe steps between."""

    lhs: Expr
    rhs: Expr
    says: Reason
    steps: tuple[Step, ...] = ()


def certify(before: Expr, after: Expr, normal_form: NormalForm, rule: str) -> None:
    """Raise unless the two sides have the same normal form."""
    if not normal_form.equal(before, after):
        raise CertificationError(f"rule {rule!r} changed the value: {before} is not {after}")


def stated(lhs: Expr, rhs: Expr, normal_form: NormalForm, says: str, *formulas: Expr) -> Fact:
    """The fact that both sides are equal, proved as it is made."""
    certify(lhs, rhs, normal_form, says)
    return Fact(lhs, rhs, Reason(says, formulas))

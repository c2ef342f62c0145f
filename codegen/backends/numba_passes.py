"""The pass that a compiled loop is worth: sums and results as polynomials of the centred data.

``linear_in_data`` takes the place of hoisting.  With d = x − centre a sum is expanded into sums of
monomials, Σ dy·x̂ = r(Σ dy·d − rest Σ dy), and a result into one factor for each monomial,
dx = a·dy + b·d + c, where r, a, b and c are computed once for each group.  A loop then does as
little as the formula allows for each element: a fused multiplication and addition for each term.
Nothing is expanded about the data's own origin: x − μ stays a difference, so no digit is lost.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sympy import Add, Expr, Integer, Mul, Pow

from codegen.checks import Check, norms, remainders, with_results
from codegen.combinations import (
    NONE,
    Combination,
    PlainSums,
    named,
    product_of,
    sum_of,
    written,
)
from codegen.ir import Assign, Program, is_sum
from codegen.lower import lower
from codegen.names import CENTRE, CENTRED, REST, SHIFTED, product_label, unused
from codegen.passes import ProgramPass, centre_data, collect_sums, name_roots
from codegen.pipeline import Kernel, Kernels, transform
from codegen.schedule import schedule
from derive.derivation import Derivation
from derive.expr import Axis, SumOver, Var, add, free_axes, mul, sorted_axes
from derive.layers.batch_norm import BATCH_NORM

ONE = Integer(1)
SHIFT_NOTE = "less the centre"


def linear_in_data(program: Program, derivation: Derivation) -> Program:
    """Every sum over the reduced axes and every result, as a polynomial of what is read."""
    layer = derivation.layer
    full = frozenset(layer.data.axes)
    # Test mode reduces nothing: there a group is what one value of each parameter belongs to.
    learnt = frozenset(axis for var in layer.learnt for axis in var.axes)
    reduced = frozenset(layer.reduced_axes) or full - learnt
    return _Linear(program, reduced, full).program()


NUMBA_PASSES: tuple[ProgramPass, ...] = (centre_data, name_roots, collect_sums, linear_in_data)


@dataclass(frozen=True)
class NarrowKernel(Kernel):
    """A kernel whose result may be computed in float32 from float16 data, if the ``checks`` hold.

    float32 has 13 bits more, so that it takes a lot of cancellation to lose one that counts; and
    its products of float16 are exact.
    """

    checks: tuple[Check, ...]


def narrow_kernels(kernels: Kernels) -> Kernels:
    """Forward and backward with what has to hold in float32.

    The centre is so near the mean that nothing cancels in forward; how much does in backward is
    found from Σ dx² in closed form, of Batch Norm.
    """
    derivation = kernels.derivation
    if derivation.layer != BATCH_NORM:
        return kernels

    def narrow(name: str) -> NarrowKernel:
        program = getattr(lower(derivation), name)
        squares = tuple(norms(program, derivation))
        program, meaning = with_results(program, squares, derivation)
        program, _ = transform(program, NUMBA_PASSES, derivation, meaning)
        results = tuple(result for result in program.results if result.label not in meaning)
        program = replace(program, results=results)
        passes = schedule(program, derivation.layer.data)
        return NarrowKernel(name, program, passes, tuple(remainders(program, derivation)))

    return replace(kernels, forward=narrow("forward"), backward=narrow("backward"))


class _Linear:
    """One program on its way."""

    def __init__(self, program: Program, reduced: frozenset[Axis], full: frozenset[Axis]) -> None:
        self.before, self.reduced, self.full = program, reduced, full
        self.taken = set(program.names())
        self.assigns: list[Assign] = []
        self.inline: dict[Var, Combination] = {}
        self.sums: dict[tuple[Axis, ...], PlainSums] = {}
        self.shifts: dict[Expr, Var] = {}

    def program(self) -> Program:
        for assign in self.before.assigns:
            if is_sum(assign):
                self._sum(assign)
            elif free_axes(assign.target) != self.full:
                self.assigns.append(assign)
            elif assign.target in self.before.results:
                self._result(assign)
            else:
                self._local(assign)
        return replace(self.before, assigns=tuple(self.assigns))

    def _varies(self, expr: Expr) -> bool:
        return bool(free_axes(expr) & self.reduced)

    def _local(self, assign: Assign) -> None:
        """A value of the data's size: one that is centred stays, any other is written out."""
        if assign.target.label == CENTRED:
            self.inline[assign.target] = self._centred(assign.expr)
        elif self._is_shift(assign.expr):
            self.shifts[assign.expr] = assign.target
            self.assigns.append(assign)
        else:
            self.inline[assign.target] = self._terms(assign.expr)

    def _centred(self, expr: Expr) -> Combination:
        """x − centre − rest as (x − centre) − rest."""
        parts = {v.label: v for v in expr.atoms(Var)}
        (x,) = (v for v in parts.values() if self._varies(v))
        shifted = self._shift(add(x, mul(-1, parts[CENTRE])), x, SHIFTED)
        return {(shifted,): ONE, NONE: mul(-1, parts[REST])}

    def _is_shift(self, expr: Expr) -> bool:
        terms = Add.make_args(expr)
        varying = [term for term in terms if self._varies(term)]
        return len(terms) > 1 and len(varying) == 1 and isinstance(varying[0], Var)

    def _shift(self, expr: Expr, data: Var, label: str) -> Var:
        if expr not in self.shifts:
            var = Var(unused(label, self.taken), *data.axes)
            self.taken.add(var.label)
            self.shifts[expr] = var
            self.assigns.append(Assign(var, expr, SHIFT_NOTE))
        return self.shifts[expr]

    def _terms(self, expr: Expr) -> Combination:
        if not self._varies(expr):
            return {NONE: expr}
        if expr in self.inline:
            return self.inline[expr]
        if self._is_shift(expr):
            (data,) = (t for t in Add.make_args(expr) if self._varies(t))
            return {(self._shift(expr, data, f"{data.label}_shifted"),): ONE}
        if isinstance(expr, Add):
            return sum_of(self._terms(arg) for arg in expr.args)
        if isinstance(expr, Mul):
            return product_of(self._terms(arg) for arg in expr.args)
        if isinstance(expr, Pow) and expr.exp.is_Integer and expr.exp > 0:
            return product_of([self._terms(expr.base)] * int(expr.exp))
        if isinstance(expr, Var):
            return {(expr,): ONE}
        return {(self._opaque(expr),): ONE}

    def _opaque(self, expr: Expr) -> Var:
        """What is no polynomial, such as |x − μ|, by a name of its own."""
        args = (written(self._terms(arg)) for arg in expr.args)
        var = Var(unused("term", self.taken), *sorted_axes(free_axes(expr)))
        self.taken.add(var.label)
        self.assigns.append(Assign(var, expr.func(*args)))
        return var

    def _sum(self, assign: Assign) -> None:
        axes, terms = assign.expr.axes, self._terms(assign.expr.body)
        sums = self.sums.setdefault(axes, PlainSums(axes, self.assigns, self.taken))
        if list(terms.values()) == [ONE]:  # one monomial, with its name already
            (monomial,) = terms
            total = SumOver(mul(*monomial), *axes)
            sums.known[total] = assign.target
            self.assigns.append(replace(assign, expr=total))
            return
        self.assigns.append(replace(assign, expr=sums.whole(terms)))

    def _result(self, assign: Assign) -> None:
        label = assign.target.label
        terms = self._terms(assign.expr)
        apart: list[Expr] = []
        if NONE in terms and any(m[0] in self.before.given for m in terms if len(m) == 1):
            # What is not centred cancels against its sum, exactly if m = 1: nothing comes between.
            offset = Add.make_args(terms[NONE])
            apart = [term for term in offset if isinstance(term, Var)]
            terms = {**terms, NONE: add(*(term for term in offset if term not in apart))}
        parts = []
        for monomial, factor in terms.items():
            name = f"{label}_per_{product_label(mul(*monomial))}" if monomial else f"{label}_offset"
            parts.append(mul(named(factor, name, self.assigns, self.taken), *monomial))
        self.assigns.append(replace(assign, expr=add(*parts, *apart)))

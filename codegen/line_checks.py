"""What has to hold in a narrow type of kernels by lines (:mod:`codegen.lines`).

The same as of any kernel (:mod:`codegen.checks`), row by row; only the gradients of parameters,
sums over rows, are held against what was summed when all rows are done.
"""

from __future__ import annotations

from collections.abc import Iterator

from sympy import Expr, Pow, Rational

from codegen.checks import Check, read_for, root_checks, squared_terms
from codegen.ir import Assign, Program
from codegen.names import REST, sum_label, unused
from derive.derivation import Derivation
from derive.expr import Axis, SumOver, Var, add, adjoint, free_axes, mul, sorted_axes, variables


def line_checks(
    program: Program, derivation: Derivation, line: tuple[Axis, ...]
) -> tuple[tuple[Check, ...], tuple[Assign, ...]]:
    """What must not have been lost, and the sums over rows that some of it is beside.

    In each row the spread of the data, beside the rest of the centre, and a derivative itself,
    beside its terms.  Of all rows the gradient of a parameter, beside cotangents of the size of its
    terms, and, if the rest is in it, beside the sums that an error of the rest is multiplied by.
    """
    layer = derivation.layer
    made = {assign.target: assign.expr for assign in program.assigns}
    names = {expr: var for var, expr in made.items()}
    squares = {
        e.body.base: v
        for e, v in names.items()
        if isinstance(e, SumOver) and isinstance(e.body, Pow) and e == SumOver(e.body, *line)
    }
    checks = [*root_checks(program, derivation)]
    taken = set(program.names())
    totals: dict[Expr, Assign] = {}
    dy = adjoint(layer.output)

    def total(body: Expr, axes: frozenset[Axis]) -> Var:
        expr = SumOver(body, *sorted_axes(axes))
        if expr not in totals:
            label = unused(sum_label(SumOver(body, *line)).replace("sum", "sum_of", 1), taken)
            taken.add(label)
            totals[expr] = Assign(Var(label, *sorted_axes(free_axes(expr))), expr)
        return totals[expr].target

    for result in program.results:
        if result.role == "value":
            continue
        reduced = frozenset(layer.data.axes) - free_axes(result)
        if not reduced:
            terms = add(*squared_terms(made[result], squares))
            outer = free_axes(terms) & frozenset(layer.reduced_axes)
            terms = SumOver(terms, *sorted_axes(outer)) if outer else terms
            (norm,) = (v for v in made if v.label == f"sum_{result.label}2")
            checks.append(Check(norm, mul(4, terms)))
            continue
        outer = reduced - frozenset(line)
        read = total(squares[dy], outer) if dy in squares else total(Pow(dy, 2), reduced)
        checks.append(Check(Pow(result, 2), mul(9, read), of_all=True))
        whole = names.get(SumOver(dy, *line))
        if whole is not None and any(v.label == REST for v in read_for(result, made)):
            about = mul(total(Pow(whole, 2), outer), Rational(1, 4))
            checks.append(Check(Pow(result, 2), about, of_all=True))
    return tuple(checks), tuple(totals.values())


def finite_in(program: Program, derivation: Derivation, line: tuple[Axis, ...]) -> Iterator[Var]:
    """What a line has one value of and meets arrays, the roots, and sums of lines."""
    inner = frozenset(line)
    found = {root.var for root in derivation.chart.roots.values()}
    for assign in program.assigns:
        if isinstance(assign.expr, SumOver) and frozenset(assign.expr.axes) == inner:
            found.add(assign.target)
        elif any(free_axes(var) & inner for var in variables(assign.expr)):
            found |= set(variables(assign.expr))
    known = {v for a in program.assigns for v in (a.target, *variables(a.expr))}
    yield from sorted(
        (v for v in found & known if not free_axes(v) & inner), key=lambda var: var.name
    )

"""What has to hold in a narrow type, or a kernel is computed again in a wide one.

Digits are lost by overflow, by underflow, and by subtraction of what is nearly equal.  Values that
there is one of for each channel tell: by being finite and of a moderate size, and in pairs, as the
squares of what subtraction has left and of what there was.  The sum of the squares of a derivative
is derived, in closed form, and proved like any result.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sympy import Add, Expr, Mul, Pow, Rational

from codegen.cotangents import centred_in, shifted_of
from codegen.ir import Program, is_sum
from codegen.lower import needed
from codegen.names import REST, sum_label
from derive.closed_form import closed_form
from derive.derivation import Derivation
from derive.expr import (
    Definition,
    SumOver,
    Var,
    add,
    adjoint,
    free_axes,
    mul,
    sorted_axes,
    variables,
)


@dataclass(frozen=True)
class Check:
    """Subtraction has to leave ``left`` of ``terms``, both of them squares: in each channel, or
    ``of_all`` in the channel where there is most."""

    left: Expr
    terms: Expr
    of_all: bool = False


def norms(program: Program, derivation: Derivation) -> Iterator[Definition]:
    """Σ over the batch of the squares of each result that is a derivative, in closed form."""
    layer = derivation.layer
    closed = {result.var: result.closed for result in derivation.adjoints}
    closed[derivation.tangent.var] = derivation.tangent.closed
    for result in program.results:
        if result in closed and free_axes(result) & frozenset(layer.reduced_axes):
            square = SumOver(closed[result] ** 2, *layer.reduced_axes)
            note = f"sum of the squares of {result.label}, in closed form"
            closed_square = closed_form(square, derivation.normal_form)
            yield Definition(_norm(result, square), closed_square, note)


def with_results(
    program: Program, squares: Sequence[Definition], derivation: Derivation
) -> tuple[Program, dict[str, Expr]]:
    """The program with those sums as results too, and what each of them has to be equal to."""
    layer = derivation.layer
    definitions = [Definition(a.target, a.expr, a.note) for a in program.assigns]
    made = {definition.var for definition in definitions}
    kept = (*layer.inputs, *layer.parameters, *(d.var for d in layer if d.expr.has(SumOver)))
    given = tuple(dict.fromkeys(v for v in (*kept, *program.given) if v not in made))
    wanted = (*(norm.var for norm in squares), *program.results)
    meaning = {norm.var.label: norm.expr for norm in squares}
    return needed(given, [*definitions, *squares], wanted), meaning


def _norm(result: Var, square: Expr) -> Var:
    return Var(f"sum_{result.label.replace('_', '')}2", *sorted_axes(free_axes(square)))


def checks_of(program: Program, derivation: Derivation) -> Iterator[Check]:
    """What must not have been lost.

    Of the data their spread, beside the rest of the centre; of each derivative itself, beside its
    terms; of each sum that is a result itself, beside cotangents about their centre of the size of
    its terms, and, if the rest is in it, beside the sum that an error of the rest is multiplied by.
    """
    axes = frozenset(derivation.layer.reduced_axes)
    made = {assign.target: assign.expr for assign in program.assigns}
    squares = {total.body.base: var for var, total in made.items() if _is_square(total)}
    names = {var.label: var for var in made}
    for _, array in centred_in(program):  # its own squares are from those about its centre
        squares[array] = names[sum_label(SumOver(Pow(array, 2), *axes))]
    yield from root_checks(program, derivation)
    cotangent = shifted_of(adjoint(derivation.layer.output))
    for result in program.results:
        if result.role == "value":
            continue
        if free_axes(result) & axes:
            yield _remainder(result, made[result], squares, derivation)
            continue
        yield Check(Pow(result, 2), mul(9, squares[cotangent]), of_all=True)
        if any(var.label == REST for var in read_for(result, made)):
            total = next(v for v, e in made.items() if e == SumOver(cotangent, *axes))
            yield Check(Pow(result, 2), mul(Pow(total, 2), Rational(1, 4)), of_all=True)


def remainders(program: Program, derivation: Derivation) -> Iterator[Check]:
    """What must be left of the terms of each derivative."""
    axes = frozenset(derivation.layer.reduced_axes)
    made = {assign.target: assign.expr for assign in program.assigns}
    squares = {total.body.base: var for var, total in made.items() if _is_square(total)}
    for result in program.results:
        if result.role != "value" and free_axes(result) & axes:
            yield _remainder(result, made[result], squares, derivation)


def _remainder(result: Var, made: Expr, squares: dict[Expr, Var], derivation: Derivation) -> Check:
    norm = _norm(result, SumOver(result, *derivation.layer.reduced_axes))
    return Check(norm, mul(4, add(*squared_terms(made, squares))))


def read_for(var: Var, made: dict[Var, Expr]) -> Iterator[Var]:
    """Everything that a value is computed from."""
    for read in variables(made[var]) if var in made else ():
        yield read
        yield from read_for(read, made)


def root_checks(program: Program, derivation: Derivation) -> Iterator[Check]:
    """What is under the roots, beside the rest of the centre, where that is found."""
    rest = next((a.target for a in program.assigns if a.target.label == REST), None)
    if rest is not None:  # Σd²/m + ε = σ² + ε + rest²
        for root in derivation.chart.roots.values():
            yield Check(root.base, mul(16, Pow(rest, 2)))


def squared_terms(expr: Expr, squares: dict[Expr, Var]) -> Iterator[Expr]:
    """Σ (coefficient·array)² for each array of a combination whose squares are summed."""
    for term in Add.make_args(expr):
        for array in variables(term):
            if array in squares:
                factor = mul(*(part for part in Mul.make_args(term) if part != array))
                yield mul(Pow(factor, 2), squares[array])


def _is_square(total: Expr) -> bool:
    body = total.body if isinstance(total, SumOver) else None
    return isinstance(body, Pow) and isinstance(body.base, Var) and body.exp == 2


def _known(program: Program) -> set[Var]:
    return {v for a in program.assigns for v in (a.target, *variables(a.expr))}


def finite_in(program: Program, checks: tuple[Check, ...], derivation: Derivation) -> Iterator[Var]:
    """What has one value for each channel and meets arrays, the roots, and squares of what is
    read."""
    arrays = frozenset(derivation.layer.reduced_axes)
    met = {
        var
        for assign in program.assigns
        if free_axes(assign.target) & arrays and not is_sum(assign)
        for var in variables(assign.expr)
        if not free_axes(var) & arrays
    }
    roots = {root.var for root in derivation.chart.roots.values()}
    terms = {var for check in checks if check.of_all for var in variables(check.terms)}
    every = met | roots | terms
    yield from sorted(every & _known(program), key=lambda var: var.name)

"""Programs in a narrow type for layers that reduce rows: sums of lines, and all else is wide.

A *line* is what one sum in the narrow type extends over: the positions of a channel, along which
parameters are constant, or, where they extend along all of a row, the row.  Two passes make a
program of them:

* :func:`name_dx_hat`  the product γ·dy, which an element of a row has, gets the name of what it is,
  ∂ℓ/∂x̂; then Layer Norm's dx is a combination of it and of the data, as Batch Norm's is of dy;
* :func:`by_lines`     every sum becomes one of sums of lines, Σ_c γ_c (Σ_s dy·d), and every result
  a combination of arrays with coefficients that a line has one value of.

What has to hold is checked row by row, but for the gradients of parameters, which are sums over
rows: they are checked when all is done.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from sympy import Expr, Mul, Pow

from codegen.checks import Check, norms, with_results
from codegen.combinations import Combination, PlainSums, coefficient, combination, written
from codegen.ir import Assign, Program, is_sum
from codegen.line_checks import finite_in, line_checks
from codegen.linear import about_centre, result_in_terms
from codegen.lower import lower
from codegen.names import CENTRE, SHIFTED, code_name
from codegen.passes import PASSES, mean_of_data
from codegen.pipeline import Kernel, Kernels, transform
from derive.derivation import Derivation
from derive.expr import (
    Axis,
    Delta,
    SumOver,
    Var,
    adjoint,
    free_axes,
    mul,
    rebuild,
    sorted_axes,
    variables,
)
from derive.layer import Layer
from derive.layers.group_norm import GROUP_NORM
from derive.layers.instance_norm import INSTANCE_NORM
from derive.layers.layer_norm import LAYER_NORM
from derive.layers.rms_norm import RMS_NORM

LAYERS = (LAYER_NORM, RMS_NORM, GROUP_NORM, INSTANCE_NORM)  # of which it is known what to check


@dataclass(frozen=True)
class LineKernel(Kernel):
    """A kernel by lines, and as it is in a ``wide`` type, for rows that a narrow one is not for.

    ``statistics`` is the kernel that finds what others take of these; ``whole`` says that
    parameters extend along the line.  ``totals`` are sums over rows that checks read beside the
    results, ``finite`` the values that have to be of a moderate size.
    """

    wide: Kernel
    statistics: Kernel
    line: tuple[Axis, ...]
    whole: bool
    rows: frozenset[Axis]
    totals: tuple[Assign, ...]
    finite: tuple[Var, ...]
    checks: tuple[Check, ...]

    @property
    def finds(self) -> bool:
        """Whether this is the kernel that finds the statistics."""
        return set(self.statistics.program.results) <= set(self.program.results)


def line_of(layer: Layer) -> tuple[Axis, ...]:
    """The reduced axes along which no parameter extends, or all of them."""
    learnt = {axis for var in layer.learnt for axis in var.axes}
    alike = tuple(axis for axis in layer.reduced_axes if axis not in learnt)
    return alike or layer.reduced_axes


# --- Two passes -----------------------------------------------------------------------------------


def name_dx_hat(program: Program, derivation: Derivation) -> Program:
    """γ·dy by the name of ∂ℓ/∂x̂ where γ extends along the line; unchanged where it does not."""
    layer = derivation.layer
    dy, line = adjoint(layer.output), frozenset(line_of(layer))
    factors = [var for var in layer.learnt if free_axes(var) & line and var in program.given]
    if dy not in program.given or not factors:
        return program
    (gamma,) = factors
    dx_hat = adjoint(layer.definitions[-2].var)

    def visit(expr: Expr) -> Expr:
        if isinstance(expr, Var | Delta) or not expr.args:
            return expr
        powers = expr.as_powers_dict() if isinstance(expr, Mul) else {}
        if gamma in powers and powers[gamma] == powers.get(dy):
            rest = [part for part in expr.args if part.as_base_exp()[0] not in (gamma, dy)]
            return mul(Pow(dx_hat, powers[dy]), *(visit(part) for part in rest))
        return rebuild(expr, (visit(arg) for arg in expr.args))

    named = Assign(dx_hat, mul(dy, gamma), f"dl/d{dx_hat.of}")
    assigns = [replace(assign, expr=visit(assign.expr)) for assign in program.assigns]
    return replace(program, assigns=(named, *assigns))


def by_lines(program: Program, derivation: Derivation) -> Program:
    """Sums of lines, and results as coefficients times arrays; of Layer Norm's y that is x̂.

    Raises NotLinearError where a result is no such combination.
    """
    layer = derivation.layer
    x, line = layer.data, line_of(layer)
    inner, taken = frozenset(line), set(program.names())
    known: dict[Var, Combination] = {}
    made: dict[Var, Assign] = {}
    assigns: list[Assign] = []
    if mean_of_data(layer) is not None and CENTRE in {var.label for var in program.given}:
        known[x], shifted = about_centre(layer)
        assigns.append(shifted)
    sums = PlainSums(line, assigns, taken, "line")
    for assign in program.assigns:
        target, expr = assign.target, assign.expr
        if is_sum(assign):
            terms = combination(expr.body, inner, known)
            outer = sorted_axes(frozenset(expr.axes) - inner)
            if not inner <= frozenset(expr.axes):
                assigns += _over_rows(assign, terms, taken)
            elif outer or list(terms.values()) != [1]:
                whole = sums.whole(terms)
                whole = SumOver(whole, *outer) if outer else whole
                assigns.append(replace(assign, expr=whole))
            else:
                total = SumOver(mul(*next(iter(terms))), *line)
                sums.known.setdefault(total, target)
                assigns.append(replace(assign, expr=total))
        elif target.label == SHIFTED:
            known[x], _ = about_centre(layer)
            assigns.append(assign)
        elif not free_axes(target) >= frozenset(x.axes):
            assigns.append(assign)
        elif target in program.results:
            for local in variables(expr):
                if local in made and _is_elementwise(expr, inner, known):
                    assigns += result_in_terms(made[local], inner, known, taken)
                    known[local] = {(local,): mul(1)}
            if _is_elementwise(expr, inner, known):
                assigns.append(assign)
            else:
                assigns += result_in_terms(assign, inner, known, taken)
        elif target.role == "adjoint":
            assigns.append(assign)  # of dx_hat, which is an array like those that are given
        else:
            made[target], known[target] = assign, combination(expr, inner, known)
    return replace(program, assigns=tuple(assigns))


def _is_elementwise(expr: Expr, line: frozenset[Axis], known: dict[Var, Combination]) -> bool:
    """Whether arrays are multiplied by what extends along a line."""
    return any(len(arrays) > 1 for arrays in combination(expr, line, known))


def _over_rows(assign: Assign, terms: Combination, taken: set[str]) -> list[Assign]:
    """A sum over rows of arrays times what a row has one value of."""
    found, named = [], {}
    for arrays, factor in terms.items():
        if factor != 1:
            name = f"{code_name(assign.target)}_per_{'_'.join(code_name(var) for var in arrays)}"
            found.append(coefficient(name, factor, "constant along the row", taken))
            factor = found[-1].target
        named[arrays] = factor
    return [*found, replace(assign, expr=SumOver(written(named), *assign.expr.axes))]


# --- Kernels --------------------------------------------------------------------------------------


def line_kernels(kernels: Kernels) -> Kernels:
    """A layer's kernels with forward and backward by lines, if it is one of :data:`LAYERS`."""
    derivation = kernels.derivation
    if derivation.layer not in LAYERS:
        return kernels
    others = (kernels.backward, kernels.backward_staged, kernels.jvp, kernels.jacobian)
    used = tuple(v for v in kernels.kept if any(v in kernel.program.given for kernel in others))
    found = _needed(kernels.forward.program, set(used))
    given = tuple(v for v in found.given if any(v in variables(a.expr) for a in found.assigns))
    statistics = Kernel("statistics", replace(found, given=given, results=used), ())
    forward, backward = (
        _by_lines(kernel, statistics, derivation) for kernel in (kernels.forward, kernels.backward)
    )
    return replace(kernels, forward=forward, backward=backward)


def _by_lines(kernel: Kernel, statistics: Kernel, derivation: Derivation) -> LineKernel:
    """One kernel so, which also knows how large its results are, if they may cancel."""
    layer, program = derivation.layer, getattr(lower(derivation), kernel.name)
    whole = frozenset(layer.data.axes)
    sized = replace(program, results=tuple(v for v in program.results if free_axes(v) == whole))
    squares = tuple(norms(sized, derivation))
    sliced, meaning = with_results(program, squares, derivation)
    program, _ = transform(sliced, (*PASSES, name_dx_hat, by_lines), derivation, meaning)
    results = tuple(result for result in program.results if result.label not in meaning)
    program = replace(program, results=results)
    checks, totals = line_checks(program, derivation, line_of(layer))
    read = {v for check in checks for v in variables(check.left + check.terms)}
    # The centre may be any number near the mean, as the proof has left it undetermined.
    chosen = tuple(a for a in program.assigns if a.target.label != CENTRE)
    program = _needed(replace(program, assigns=chosen), {*results, *read})
    line, rows = line_of(layer), whole - frozenset(layer.reduced_axes)
    finite = tuple(finite_in(program, derivation, line))
    along = any(free_axes(var) & frozenset(line) for var in layer.learnt)
    return LineKernel(
        kernel.name, program, (), kernel, statistics, line, along, rows, totals, finite, checks
    )


def _needed(program: Program, wanted: set[Var]) -> Program:
    """What is needed of a program."""
    kept: list[Assign] = []
    for assign in reversed(program.assigns):
        if assign.target in wanted:
            kept.insert(0, assign)
            wanted |= set(variables(assign.expr))
    return replace(program, assigns=tuple(kept))

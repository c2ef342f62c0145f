"""Kernels that read each array less one of its own numbers: the origin of a row.

exp overflows where x is large, and Σ dy·y cancels where one of y is all but 1.  Both are cured by
what softmax does not change under:

    y(x − a) = y(x)        dx(dy − b) = dx(dy)        y_dot(x_dot − b) = y_dot(x_dot)

for any numbers a and b of a row.  :func:`read_from_origins` puts x − a and dy − b in the places of
x and dy, and as after every pass it is proved that no result has changed, with a and b left
undetermined: so a kernel may choose them.  It takes the largest x of the row, and what dy has in
that place.  Then exp never exceeds 1, and what is left of dy is zero where y is largest.

Which layers and which arrays that may be done to is found by trying to prove it: log-softmax, too,
reads x so in all its kernels and ẋ in jvp, but dy as it is.

Statistics are kept as they are of x − a: Z exp(−a) in the place of Z.  A logarithm of what is made
of exponentials is taken factor by factor, as log p would be −∞ where p underflows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

from sympy import Expr, Pow, exp, expand_log, log

from codegen.ir import Assign, Program, is_sum
from codegen.lower import lower, needed
from codegen.passes import PASSES, ProgramPass
from codegen.pipeline import (
    TEXTBOOK,
    Kernel,
    Kernels,
    build,
    certify_program,
    transform,
    unfolded,
)
from codegen.schedule import schedule
from derive.derivation import Derivation, derive
from derive.expr import (
    Definition,
    SumOver,
    Var,
    add,
    free_axes,
    mul,
    rebuild,
    substitute,
)
from derive.layer import Layer
from derive.layers.softmax import SOFTMAX
from derive.trace import CertificationError

LARGEST = "x_max"  # the origin of x
NOTES = {LARGEST: "less the largest of its row"}
NOTE = "less what it has in the place of the largest x"


@dataclass(frozen=True)
class OriginKernel(Kernel):
    """A kernel that chooses ``origins``: each a number of every row, and the array that has it."""

    origins: tuple[tuple[Var, Var], ...]


def origins_of(kernel: Kernel) -> dict[Var, Var]:
    """The origins that a kernel chooses, each with its array; most choose none."""
    return dict(kernel.origins) if isinstance(kernel, OriginKernel) else {}


def kernels_of(derivation: Derivation) -> Kernels:
    """The kernels of any layer."""
    return (build_from_origins if has_origins(derivation) else build)(derivation)


def with_output_y(layer: Layer) -> Layer:
    """The layer with its output called y, as kernels call theirs."""
    *before, last = layer.definitions
    y = Var("y", *last.var.axes, positive=last.var.is_positive)
    return replace(layer, definitions=(*before, replace(last, var=y)))


SOFTMAX_Y = with_output_y(SOFTMAX)


def has_origins(derivation: Derivation) -> bool:
    """Whether a layer's kernels are made here: it takes exp of its data, and nothing that forward
    makes changes with their origin."""
    layer = derivation.layer
    if not any(definition.expr == exp(layer.data) for definition in layer):
        return False
    program = lower(derivation).forward
    return _same(program, read_data_from_origin(program, derivation), derivation)


def as_in_kernels(derivation: Derivation) -> Derivation:
    """The derivation in the names that kernels use."""
    return derived_for_kernels(SOFTMAX) if derivation.layer == SOFTMAX else derivation


@cache
def derived_for_kernels(layer: Layer) -> Derivation:
    """The same of a layer, once for all that is made of it."""
    return derive(SOFTMAX_Y if layer == SOFTMAX else layer)


def build_from_origins(derivation: Derivation) -> Kernels:
    """Lower, rewrite, prove and schedule the kernels of such a layer."""
    derivation = as_in_kernels(derivation)
    programs, layer = lower(derivation), derivation.layer
    proofs = 0

    def kernel(name: str) -> Kernel:
        nonlocal proofs
        textbook = name in ("backward_staged", "jacobian")
        passes: tuple[ProgramPass, ...] = (read_data_from_origin, *TEXTBOOK)
        if not textbook:
            passes = ORIGIN_PASSES
        program, proved = transform(
            getattr(programs, name), passes, derivation, restated=restated(layer)
        )
        proofs += proved
        if textbook:
            return Kernel(name, program, ())
        return choosing(Kernel(name, program, schedule(program, layer.data)), layer)

    return Kernels(
        derivation,
        forward=kernel("forward"),
        backward=kernel("backward"),
        backward_staged=kernel("backward_staged"),
        jvp=kernel("jvp"),
        jacobian=kernel("jacobian"),
        proofs=proofs,
    )


def restated(layer: Layer) -> dict[str, Definition]:
    """What is kept in the place of each statistic, and what that is: Z exp(−a)."""
    return {
        d.var.label: Definition(
            Var(f"{d.var.label}_shifted", *d.var.axes, positive=d.var.is_positive),
            mul(d.var, exp(mul(-1, _origin(layer.data, layer)))),
            f"{d.note}, of shifted data",
        )
        for d in layer
        if d.expr.has(SumOver)
    }


def _origin(array: Var, layer: Layer) -> Var:
    """One number for each row."""
    rows = (axis for axis in array.axes if axis not in layer.reduced_axes)
    label = LARGEST if array == layer.data else f"{array.label}_origin"
    return Var(label, *rows)


# --- Passes ---------------------------------------------------------------------------------------


def read_data_from_origin(program: Program, derivation: Derivation) -> Program:
    """The data less their origin, and everything else as it is."""
    return _shifted(program, derivation, [derivation.layer.data])


def read_from_origins(program: Program, derivation: Derivation) -> Program:
    """The data, and of the other arrays of their size those that no result changes with, less their
    origins."""
    data = derivation.layer.data
    read = [data]
    for array in program.given:
        if free_axes(array) != free_axes(data) or array == data:
            continue
        if _same(program, _shifted(program, derivation, [*read, array]), derivation):
            read.append(array)
    return _shifted(program, derivation, read)


def _same(program: Program, changed: Program, derivation: Derivation) -> bool:
    """Whether it is proved that no result differs."""
    values = unfolded(program)
    meaning = {var.label: substitute(var, values) for var in program.results}
    known = {d.var.label: d for d in restated(derivation.layer).values()}
    meaning |= {label: definition.expr for label, definition in known.items()}
    try:
        certify_program(changed, derivation, meaning, _same.__name__, known)
    except CertificationError:
        return False
    return True


def take_logarithms_apart(program: Program, derivation: Derivation) -> Program:
    """log(exp(x)/Z) as x − log Z, so that no number is made only to take its logarithm."""
    values: dict[str, Definition] = {}
    assigns: list[Assign] = []
    for assign in program.assigns:
        expr = assign.expr
        if isinstance(expr, log):
            expr = expand_log(substitute(expr, values))
            assign = replace(assign, expr=expr)
        elif assign.target.is_positive and not is_sum(assign):
            values[assign.target.label] = Definition(assign.target, substitute(expr, values))
        assigns.append(assign)
    definitions = [Definition(a.target, a.expr, a.note) for a in assigns]
    return needed(program.given, definitions, program.results)


def name_per_row(program: Program, derivation: Derivation) -> Program:
    """1/Z and log Z once for each row, as each element costs a multiplication or an addition then,
    and no division or logarithm."""
    reduced = frozenset(derivation.layer.reduced_axes)
    named: dict[Expr, Var] = {}
    assigns: list[Assign] = []

    def visit(expr: Expr) -> Expr:
        if (of := _costly(expr)) is not None:
            if expr not in named and not free_axes(expr) & reduced:
                kind = "log" if isinstance(expr, log) else "inv"
                named[expr] = Var(f"{kind}_{of.label}", *of.axes)
                assigns.append(Assign(named[expr], expr, "once for each row"))
            return named.get(expr, expr)
        if isinstance(expr, Var) or not expr.args:
            return expr
        return rebuild(expr, (visit(arg) for arg in expr.args))

    for assign in program.assigns:
        full = bool(free_axes(assign.target) & reduced)
        assigns.append(replace(assign, expr=visit(assign.expr)) if full else assign)
    return replace(program, assigns=tuple(assigns))


def _costly(expr: Expr) -> Var | None:
    """Of an inverse or a logarithm of one quantity, that quantity."""
    if isinstance(expr, log) or (isinstance(expr, Pow) and expr.exp == -1):
        return expr.args[0] if isinstance(expr.args[0], Var) else None
    return None


ORIGIN_PASSES: tuple[ProgramPass, ...] = (
    *(read_from_origins, take_logarithms_apart),
    *PASSES,
    name_per_row,
)


def _shifted(program: Program, derivation: Derivation, arrays: list[Var]) -> Program:
    layer = derivation.layer
    statistics = restated(layer)
    table = {label: Definition(layer[label].var, d.var) for label, d in statistics.items()}
    given: list[Var] = []
    first: list[Assign] = []
    for array in arrays:
        origin, shifted = _origin(array, layer), Var(f"{array.label}_shifted", *array.axes)
        note = NOTES.get(origin.label, NOTE)
        first.append(Assign(shifted, add(array, mul(-1, origin)), note))
        given.append(origin)
        table[array.label] = Definition(array, shifted)

    def kept(var: Var) -> Var:
        return statistics[var.label].var if var.label in statistics else var

    assigns = [
        replace(a, target=kept(a.target), expr=substitute(a.expr, table)) for a in program.assigns
    ]
    return Program(
        (*map(kept, program.given), *given),
        (*first, *assigns),
        tuple(map(kept, program.results)),
    )


def choosing(kernel: Kernel, layer: Layer) -> OriginKernel:
    """The kernel with the origins that it chooses: all but the data's, which forward chooses and
    keeps for the others."""
    program, finds = kernel.program, kernel.name == "forward"
    full = frozenset(layer.data.axes)
    arrays = [v for v in program.given if free_axes(v) == full]
    every = {o: array for array in arrays if (o := _origin(array, layer)) in program.given}
    own = {o: array for o, array in every.items() if finds or array != layer.data}
    given = tuple(v for v in program.given if v not in own)
    results = (*own, *program.results) if finds else program.results
    program = replace(program, given=given, results=results)
    return OriginKernel(kernel.name, program, kernel.passes, tuple(own.items()))

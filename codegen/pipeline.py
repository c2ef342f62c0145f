"""From a derivation to scheduled kernels, every stage proved.

1. :func:`codegen.lower.lower` takes the programs from the derivation;
2. each pass of :data:`codegen.passes.PASSES` rewrites them (the staged form only gets those that
   keep its shape);
3. :func:`certify_program` proves after each that the program still computes what was derived;
4. :func:`codegen.schedule.schedule` groups the assignments into passes over memory;
5. a backend prints them (:mod:`codegen.backends`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from sympy import Expr, exp, log

from codegen.ir import Pass, Program
from codegen.lower import lower, u_and_r
from codegen.names import CENTRE, PASS_LABELS, REST
from codegen.passes import PASSES, ProgramPass, centre_data, mean_of_data, name_roots
from codegen.schedule import schedule
from derive.chart import NotNormalError
from derive.derivation import Derivation
from derive.errors import InputError
from derive.expr import Definition, SumOver, Var, add, free_axes, labels, mul, substitute, variables
from derive.layer import Layer
from derive.trace import CertificationError

TEXTBOOK: tuple[ProgramPass, ...] = (centre_data, name_roots)


@dataclass(frozen=True)
class Kernel:
    """One generated function: its program and, unless it is a textbook form, its passes."""

    name: str
    program: Program
    passes: tuple[Pass, ...]


@dataclass(frozen=True)
class Kernels:
    """All kernels of a layer.  ``kept`` is what ``forward`` saves for the others, in order."""

    derivation: Derivation
    forward: Kernel
    backward: Kernel
    backward_staged: Kernel
    jvp: Kernel
    jacobian: Kernel
    proofs: int  # how many results were proved to have kept their value, over all stages

    @property
    def kept(self) -> tuple[Var, ...]:
        return self.forward.program.results[:-1]


def build(derivation: Derivation, passes: Sequence[ProgramPass] = PASSES) -> Kernels:
    """Lower, rewrite, prove and schedule a layer's kernels; textbook forms take fewer passes."""
    if derivation.unproved:
        raise InputError(f"{derivation.unproved}; kernels are made of what is proved")
    _check_labels(derivation.layer)
    programs = lower(derivation)
    proofs = 0

    def kernel(name: str, passes: Sequence[ProgramPass]) -> Kernel:
        nonlocal proofs
        program, proved = transform(getattr(programs, name), passes, derivation)
        proofs += proved
        textbook = passes is TEXTBOOK
        scheduled = () if textbook else schedule(program, derivation.layer.data)
        return Kernel(name, program, scheduled)

    return Kernels(
        derivation,
        forward=kernel("forward", passes),
        backward=kernel("backward", passes),
        backward_staged=kernel("backward_staged", TEXTBOOK),
        jvp=kernel("jvp", passes),
        jacobian=kernel("jacobian", TEXTBOOK),
        proofs=proofs,
    )


def _check_labels(layer: Layer) -> None:
    for var in (*layer.inputs, *layer.parameters, *(d.var for d in layer)):
        if var.label in PASS_LABELS:
            raise InputError(
                f"{layer.name}: kernels have a {var.label} of their own; call it otherwise"
            )


def transform(
    program: Program,
    passes: Sequence[ProgramPass],
    derivation: Derivation,
    more: Mapping[str, Expr] | None = None,
    restated: Mapping[str, Definition] | None = None,
) -> tuple[Program, int]:
    """The program after all passes, and how many results were proved to have kept their value.

    ``more`` says what results have to be equal to that the derivation does not know; ``restated``
    what may be kept, and then given, in the place of a quantity, by that one's label.
    """
    known = {d.var.label: d for d in (restated or {}).values()}
    meaning = {**_meaning(derivation), **{k: d.expr for k, d in known.items()}, **(more or {})}
    proofs = proved = 0
    for rewrite in passes:
        program = rewrite(before := program, derivation)
        if not proved or program != before:
            _complete(before, program, derivation.layer, rewrite.__name__, restated or {})
            proved = certify_program(program, derivation, meaning, rewrite.__name__, known)
        proofs += proved
    return program, proofs


def _complete(
    before: Program, after: Program, layer: Layer, stage: str, restated: Mapping[str, Definition]
) -> None:
    """Raise CertificationError unless every result is still there, and everything that is read is
    given or was computed before."""
    mu, kept = mean_of_data(layer), {var.label for var in after.results}
    if mu is not None and {CENTRE, REST} <= kept:
        kept.add(mu.var.label)
    kept |= {label for label, definition in restated.items() if definition.var.label in kept}
    if lost := [var.label for var in before.results if var.label not in kept]:
        raise CertificationError(f"{stage} forgot {lost[0]} of {layer.name}")
    ready = {var.label for var in after.given}
    for assign in after.assigns:
        if missing := [v.label for v in variables(assign.expr) if v.label not in ready]:
            raise CertificationError(f"{stage} reads {missing[0]} of {layer.name} too early")
        ready.add(assign.target.label)
    if unmade := [var.label for var in after.results if var.label not in ready]:
        raise CertificationError(f"{stage} never computes {unmade[0]} of {layer.name}")


def certify_program(
    program: Program,
    derivation: Derivation,
    meaning: Mapping[str, Expr],
    stage: str,
    given_as: Mapping[str, Definition] | None = None,
) -> int:
    """Prove that every result equals its meaning, for every size; how many there were.

    ``given_as`` says what quantities are that are given and that the derivation does not know.
    The centre of the data is left undetermined: the proof holds for whatever number rounding makes
    of the mean.  Raises CertificationError for a result that differs or that has no meaning, and
    for an assignment that varies over an axis which its target has not.
    """
    layer = derivation.layer.name
    for assign in program.assigns:
        if not free_axes(assign.expr) <= frozenset(assign.target.axes):
            raise CertificationError(f"{stage} made {assign.target.label} of {layer} too wide")
    known = dict(given_as or {})
    mu = mean_of_data(derivation.layer)
    if mu is not None and CENTRE in {var.label for var in program.given}:
        centre, rest = Var(CENTRE, *mu.var.axes), Var(REST, *mu.var.axes)
        known[CENTRE] = Definition(centre, add(mu.var, mul(-1, rest)))
    theirs = derivation.normal_form
    ours = theirs.knowing(known) if known else theirs
    values = unfolded(program)
    results = [result for result in program.results if result.label != CENTRE]
    for result in results:
        if result.label not in meaning:
            raise CertificationError(f"{stage} made {result.label} a result of {layer}")
        made, due = _without_logarithm(
            substitute(result, values), meaning[result.label], derivation.layer
        )
        try:
            same = ours.poly(made) == theirs.poly(due)
        except NotNormalError as error:
            raise CertificationError(f"{stage} made {result.label} of {layer}: {error}") from error
        if not same:
            _check_solved(result, derivation)
            raise CertificationError(f"{stage} changed {result.label} of {layer}")
    return len(results)


def _without_logarithm(made: Expr, due: Expr, layer: Layer) -> tuple[Expr, Expr]:
    """What is due as log p, and what was made in its place, both as powers of e: they are equal if
    those are, and normal form knows no sum of logarithms."""
    for definition in layer:
        if isinstance(definition.expr, log) and definition.var == due:
            return exp(made), definition.expr.args[0]
    return made, due


def _check_solved(result: Var, derivation: Derivation) -> None:
    """A statistic whose definition gave no identity cannot be told from any other number."""
    solved = {identity.source.label for identity in derivation.chart.identities}
    for definition in derivation.layer:
        if definition.var == result and definition.expr.has(SumOver) and result.label not in solved:
            raise InputError(
                f"{derivation.layer.name}: a kernel cannot be proved, as the definition of "
                f"{result.label} is not one sum of one coordinate"
            )


def unfolded(program: Program) -> dict[str, Definition]:
    """What each assignment comes to, in terms of what is given and of the centre of the data."""
    values: dict[str, Definition] = {}
    for assign in program.assigns:
        if assign.target.label != CENTRE:
            read = tuple(values[name] for name in sorted(labels(assign.expr)) if name in values)
            values[assign.target.label] = Definition(assign.target, _inserted(assign.expr, read))
    return values


@cache
def _inserted(expr: Expr, read: tuple[Definition, ...]) -> Expr:
    """An expression with definitions inserted; remembered, as a pass changes few assignments."""
    return substitute(expr, {definition.var.label: definition for definition in read})


def _meaning(derivation: Derivation) -> dict[str, Expr]:
    """What each result of a program has to be equal to, in the chart's coordinates."""
    meaning: dict[str, Expr] = {d.var.label: d.var for d in derivation.layer}
    meaning |= {r.var.label: r.closed for r in derivation.adjoints}
    meaning[derivation.tangent.var.label] = derivation.tangent.closed
    for part in u_and_r(derivation):
        meaning[part.var.label] = part.expr
    meaning |= {root.var.label: root.var for root in derivation.chart.roots.values()}
    mu = mean_of_data(derivation.layer)
    if mu is not None:
        meaning[REST] = add(mu.var, mul(-1, Var(CENTRE, *mu.var.axes)))
    return meaning

"""Programs for a narrow type: sums and results that are linear in the data, and what to check.

A kernel may compute in the data's own type, float32 say, if it is told where that loses digits.
Three things make it so:

* :func:`separate`   every sum becomes a combination of plain sums (Σ dy, Σ dy·d, with d the data
  less a centre), and every result a combination of the arrays that are read: a coefficient for
  each, which a channel has one value of, and an offset.  So all that is not elementwise can be
  computed in a wide type, and is.
* the centre may be any number near the mean, as its rest makes up for it, and sums of cotangents
  are taken about centres of their own (:mod:`codegen.cotangents`);
* checks             what has to be left, after subtraction, of the terms: Σ dx² of Σ (γ dy/σ)²,
  σ² + ε of Σ d²/m + ε, (Σ dy)² of Σ dy².

As with all passes, that no result has changed is proved, and Σ dx² is, as the closed form that it
is derived to be.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sympy import Add, Integer

from codegen.checks import Check, checks_of, finite_in, norms, with_results
from codegen.combinations import (
    Combination,
    NotLinearError,
    PlainSums,
    coefficient,
    combination,
)
from codegen.cotangents import centre_cotangents, centred_in
from codegen.deployment import Deployment, build_deployment
from codegen.ir import Assign, GroupPass, MapPass, Pass, Program, ReducePass, is_sum
from codegen.lower import lower
from codegen.names import CENTRE, SHIFTED, code_name
from codegen.passes import PASSES, ProgramPass, mean_of_data
from codegen.pipeline import Kernel, Kernels, transform
from codegen.schedule import schedule
from derive.derivation import Derivation
from derive.expr import (
    Axis,
    SumOver,
    Var,
    add,
    free_axes,
    mul,
    variables,
)
from derive.layer import Layer
from derive.layers.batch_norm import BATCH_NORM


@dataclass(frozen=True)
class Statistics:
    """What ``forward`` finds out about a batch, for itself and for the others: the passes that lead
    from a centre to the results, the first of which is the centre."""

    given: tuple[Var, ...]
    passes: tuple[Pass, ...]
    results: tuple[Var, ...]


@dataclass(frozen=True)
class LinearKernel(Kernel):
    """A kernel in separate terms; its passes begin where the statistics are known.

    ``statistics`` are those of a batch, if it is about one.  ``centres`` are numbers that it
    chooses, each near the means of an array that is given.  ``finite`` are the values that have to
    be of a moderate size.  Without checks the kernel has to be computed in a wide type.
    """

    statistics: Statistics | None
    centres: tuple[tuple[Var, Var], ...]
    finite: tuple[Var, ...]
    checks: tuple[Check, ...]

    @property
    def finds(self) -> bool:
        """Whether this is the kernel that finds the statistics."""
        found = self.statistics
        return found is not None and set(found.results) <= set(self.program.results)

    @property
    def subtracted(self) -> set[Var]:
        """What is taken from arrays: numbers near their means."""
        found = self.statistics.passes if self.statistics else ()
        steps = [step for step in (*found, *self.passes) if not isinstance(step, GroupPass)]
        local = [assign for step in steps for assign in step.local]
        return {
            var for a in local for var in variables(a.expr) if free_axes(var) < free_axes(a.expr)
        }


# --- Separate terms -------------------------------------------------------------------------------


def separate(program: Program, derivation: Derivation) -> Program:
    """Plain sums, and results as coefficients times arrays.

    Where the data are centred they are so by subtraction of the centre alone, whose rest goes into
    the coefficients.  Raises NotLinearError where a result is not linear.
    """
    layer = derivation.layer
    given, x = given_mean(layer), layer.data
    batch = tuple(axis for axis in x.axes if given and axis not in given.axes)
    reduced = layer.reduced_axes or batch
    axes, taken = frozenset(reduced), set(program.names())
    known: dict[Var, Combination] = {}
    assigns: list[Assign] = []
    if mean_of_data(layer) is not None and CENTRE in {var.label for var in program.given}:
        known[x], shifted = about_centre(layer)
        assigns.append(shifted)
    if given is not None and x in program.given:
        shifted = Assign(Var(SHIFTED, *x.axes), add(x, mul(-1, given)), "less the given mean")
        known[x] = {(shifted.target,): Integer(1), (): given}
        assigns.append(shifted)
    sums = PlainSums(reduced, assigns, taken)
    for assign in program.assigns:
        if is_sum(assign):
            terms = combination(assign.expr.body, axes, known)
            if any(len(arrays) > 2 for arrays in terms):
                raise NotLinearError(f"{assign.target.label} is a sum of products of many arrays")
            if list(terms.values()) == [1]:
                total = SumOver(mul(*next(iter(terms))), *reduced)
                sums.known.setdefault(total, assign.target)
                assigns.append(replace(assign, expr=total))
            else:
                note = "from sums of what is read"
                assigns.append(replace(assign, expr=sums.whole(terms), note=note))
        elif assign.target.label == SHIFTED:
            known[x], _ = about_centre(layer)
            assigns.append(assign)
        elif free_axes(assign.target) & axes:
            if assign.target in program.results:
                assigns += result_in_terms(assign, axes, known, taken)
            else:
                known[assign.target] = combination(assign.expr, axes, known)
        else:
            assigns.append(assign)
    return replace(program, assigns=tuple(assigns))


def about_centre(layer: Layer) -> tuple[Combination, Assign]:
    """The data as what they are beside the centre, and how that is made.  The layer has a mean."""
    mu, x = mean_of_data(layer), layer.data
    assert mu is not None, "no centre without a mean"
    centre, shifted = Var(CENTRE, *mu.var.axes), Var(SHIFTED, *x.axes)
    made = Assign(shifted, add(x, mul(-1, centre)), "less the rounded mean")
    return {(shifted,): Integer(1), (): centre}, made


def result_in_terms(
    assign: Assign, axes: frozenset[Axis], known: dict[Var, Combination], taken: set[str]
) -> Iterator[Assign]:
    """A result's coefficients, and the result as their combination.

    Terms that read several arrays may cancel: their offset comes before what is added to them.
    """
    first: Combination = {}
    plain: Combination = {}
    for term in Add.make_args(assign.expr):
        terms = combination(term, axes, known)
        if any(len(arrays) > 1 for arrays in terms):
            raise NotLinearError(f"{assign.target.label} has a product of arrays")
        several = sum(bool(arrays) for arrays in terms) > 1
        for arrays, factor in terms.items():
            into = first if several or arrays else plain
            into[arrays] = add(into.get(arrays, Integer(0)), factor)
    order = sorted(
        first, key=lambda arrays: (arrays != () and arrays[0].role != "value", arrays == ())
    )
    parts = []
    for arrays, factor, end in (
        *((arrays, first[arrays], "offset") for arrays in order),
        *(
            (arrays, factor, "plus" if () in first else "offset")
            for arrays, factor in plain.items()
        ),
    ):
        if arrays:
            end = f"per_{arrays[0].label.removesuffix('_shifted')}"
        note = (
            f"what {arrays[0].label} is multiplied by" if arrays else "constant along the reduction"
        )
        made = coefficient(f"{code_name(assign.target)}_{end}", factor, note, taken)
        yield made
        parts.append(mul(made.target, *arrays))
    yield replace(assign, expr=add(*parts))


def given_mean(layer: Layer) -> Var | None:
    """The parameter that a layer takes from its data, if it does."""
    for difference in (d for definition in layer for d in definition.expr.atoms(Add)):
        for var in layer.parameters:
            if var.axes and difference == add(layer.data, mul(-1, var)):
                return var
    return None


# --- Kernels --------------------------------------------------------------------------------------


def linear_kernels(kernels: Kernels, *, narrow: bool = True) -> Kernels:
    """A layer's kernels with forward, backward and jvp in separate terms.

    They are left as they are where that cannot be: where the layer has no mean to centre its data
    at, or is not linear.  ``narrow``: with what has to hold in a narrow type; only for Batch Norm
    is that known.
    """
    derivation = kernels.derivation
    narrow = narrow and derivation.layer == BATCH_NORM
    if mean_of_data(derivation.layer) is None:
        return kernels
    try:
        forward, backward, jvp = (
            _separated(kernel, derivation, narrow)
            for kernel in (kernels.forward, kernels.backward, kernels.jvp)
        )
    except NotLinearError:
        return kernels
    program, centre = _any_centre(forward.program)
    passes = schedule(replace(program, given=(*program.given, centre)), derivation.layer.data)
    statistics, rest = _statistics(program, centre, passes, derivation)
    forward = replace(forward, program=program, passes=rest)
    return replace(
        kernels,
        forward=_checked(forward, statistics, derivation, narrow),
        backward=_checked(backward, statistics, derivation, narrow),
        jvp=_checked(jvp, statistics, derivation, narrow),
    )


def linear_deployment(passes: Sequence[ProgramPass]) -> Deployment:
    """The kernels beside training, with those for test mode in separate terms."""
    found = build_deployment((*passes, separate))
    infer, backward = (
        LinearKernel(kernel.name, kernel.program, kernel.passes, None, (), (), ())
        for kernel in (found.infer, found.infer_backward)
    )
    return replace(found, infer=infer, infer_backward=backward)


def _separated(kernel: Kernel, derivation: Derivation, narrow: bool) -> Kernel:
    """A kernel in separate terms, which also knows how large its results are, if they may cancel.

    Raises NotLinearError.
    """
    program = getattr(lower(derivation), kernel.name)
    squares = tuple(norms(program, derivation)) if narrow else ()
    program, meaning = with_results(program, squares, derivation)
    passes = (*PASSES, separate, *((centre_cotangents,) if narrow else ()))
    program, _ = transform(program, passes, derivation, meaning)
    results = tuple(result for result in program.results if result.label not in meaning)
    program = replace(program, results=results)
    return Kernel(kernel.name, program, schedule(program, derivation.layer.data))


def _any_centre(program: Program) -> tuple[Program, Var]:
    """A program without its centre, and the centre: any number near the mean will do, as the proof
    has left it undetermined."""
    (centre,) = (a for a in program.assigns if a.target.label == CENTRE)
    left_out = {centre.target, *variables(centre.expr)}
    assigns = tuple(a for a in program.assigns if a.target not in left_out)
    return replace(program, assigns=assigns), centre.target


def _statistics(
    program: Program, centre: Var, passes: tuple[Pass, ...], derivation: Derivation
) -> tuple[Statistics, tuple[Pass, ...]]:
    """The passes of forward up to what it keeps, and those that are left."""
    reduced = frozenset(derivation.layer.reduced_axes)
    results = tuple(v for v in program.results if not free_axes(v) & reduced)
    wanted = set(results)
    first: list[Pass] = []
    rest: list[Pass] = []
    for step in reversed(passes):
        if isinstance(step, MapPass):
            rest.append(step)
        elif isinstance(step, ReducePass):
            first.append(step)
            wanted |= {v for a in (*step.local, *step.sums) for v in variables(a.expr)}
        else:
            own: list[Assign] = []
            for assign in reversed(step.assigns):
                if assign.target in wanted:
                    own.append(assign)
                    wanted |= set(variables(assign.expr))
            later = tuple(a for a in step.assigns if a not in own)
            first += [GroupPass(tuple(reversed(own)))] if own else []
            rest += [GroupPass(later)] if later else []
    given = tuple(var for var in program.given if var in wanted)
    ordered = (centre, *(v for v in results if v != centre))
    return Statistics(given, tuple(reversed(first)), ordered), tuple(reversed(rest))


def _checked(
    kernel: Kernel, statistics: Statistics, derivation: Derivation, narrow: bool
) -> LinearKernel:
    """A kernel with what has to hold in a ``narrow`` type."""
    checks: tuple[Check, ...] = ()
    finite: tuple[Var, ...] = ()
    if narrow:
        checks = tuple(checks_of(kernel.program, derivation))
        finite = tuple(finite_in(kernel.program, checks, derivation))
    centres = centred_in(kernel.program)
    chosen = {centre for centre, _ in centres}
    given = tuple(var for var in kernel.program.given if var not in chosen)
    program = replace(kernel.program, given=given)
    return LinearKernel(kernel.name, program, kernel.passes, statistics, centres, finite, checks)

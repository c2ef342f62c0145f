"""Programs and passes run on exact numbers, by loops: what they compute, apart from the engine.

A value that a program reads without having been given or assigned it before is a KeyError here,
and the elementwise values of one pass are not there for the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from itertools import count, product
from random import Random
from typing import Any

from sympy import Pow

from codegen.ir import Assign, GroupPass, Pass, Program, ReducePass
from codegen.lower import LayerPrograms, lower
from codegen.names import CENTRE, REST
from codegen.passes import PASSES, ProgramPass
from codegen.pipeline import TEXTBOOK, transform
from derive.expr import Var
from tests.derive.statements import ALL, derivation_of
from verify.evaluate import Evaluator
from verify.fields import PRIME_FIELD, Index, NotASquare, Scalar, Values

KERNELS = ("forward", "backward", "backward_staged", "jvp", "jacobian")
SIZES = {"m": 3, "C": 2, "N": 2, "D": 1, "H": 2, "W": 1, "L": 2, "G": 2, "O": 2, "K": 3, "S": 2}


# A Jacobian needs an output that varies like the data; without one there are no kernels.
SQUARE = [n for n, (layer, _) in ALL.items() if set(layer.data.axes) == set(layer.output.axes)]


@cache
def programs_of(name: str) -> LayerPrograms:
    """Lowered once for all tests."""
    return lower(derivation_of(name))


def kernels_of(name: str) -> dict[str, Program]:
    """The lowered programs by the kernel's name."""
    return {kernel: getattr(programs_of(name), kernel) for kernel in KERNELS}


@cache
def stages(name: str, kernel: str) -> tuple[tuple[ProgramPass, Program, int], ...]:
    """Each pass that a kernel goes through, the program after it, and how much of it is proved."""
    program, found = kernels_of(name)[kernel], []
    for rewrite in TEXTBOOK if kernel in ("backward_staged", "jacobian") else PASSES:
        program, proofs = transform(program, (rewrite,), derivation_of(name))
        found.append((rewrite, program, proofs))
    return tuple(found)


def lines(assigns: Iterable[Assign]) -> list[str]:
    """Assignments as text, their terms and factors in SymPy's order."""
    return [f"{assign.target} = {assign.expr}" for assign in assigns]


def run(assigns: Iterable[Assign], values: Values) -> Values:
    """``values`` and, at every index, what the assignments make of them, one after another."""
    scope = dict(values)
    for assign in assigns:
        evaluator = Evaluator(PRIME_FIELD, scope, SIZES)
        scope[assign.target.label] = {
            at: evaluator.at(assign.expr, dict(zip(assign.target.axes, at, strict=True)))
            for at in indices(assign.target)
        }
    return scope


def run_passes(passes: Iterable[Pass], values: Values) -> Values:
    """The same for scheduled passes; what is local to one is forgotten after it."""
    stored = dict(values)
    for step in passes:
        if isinstance(step, GroupPass):
            kept = step.assigns
            scope = run(kept, stored)
        else:
            kept = step.sums if isinstance(step, ReducePass) else step.results
            local = run(step.local, stored)
            # Each from what was there before the pass: none may read another of them.
            scope = {a.target.label: run([a], local)[a.target.label] for a in kept}
        stored |= {assign.target.label: scope[assign.target.label] for assign in kept}
    return stored


def indices(var: Var) -> Iterable[Index]:
    return product(*(range(SIZES[axis.size.name]) for axis in var.axes))


def drawn(var: Var, rng: Random) -> Mapping[Index, Scalar]:
    return {at: PRIME_FIELD.random(rng) for at in indices(var)}


@cache
def point(name: str) -> Values:
    """Random inputs, tangents and cotangent of a layer, its statistics and roots, and a centre of
    the data that is not the mean: programs have to be right for any."""
    programs, derivation = programs_of(name), derivation_of(name)
    wanted = [v for program in kernels_of(name).values() for v in program.given]
    for seed in count():
        rng = Random(seed)
        values = {v.label: drawn(v, rng) for v in wanted if v not in programs.statistics}
        try:
            known = dict(run(programs.forward.assigns, values))
            for root in derivation.chart.roots.values():
                meaning = Assign(root.var, Pow(root.base, -Pow(root.degree, -1)))
                known = dict(run([meaning], known))
        except NotASquare:
            continue
        given = {v.label: known[v.label] for v in (*wanted, *programs.statistics)}
        given |= {label: known[label] for label in derivation.chart.roots}
        if "mu" in given:
            mu = given["mu"]
            given[CENTRE] = {at: PRIME_FIELD.random(rng) for at in mu}
            given[REST] = {at: mu[at] - given[CENTRE][at] for at in mu}
        return given
    raise AssertionError("unreachable")


def computed(program: Program, name: str) -> Values:
    """The results of a program of the named layer, from nothing but what it is given."""
    values = point(name)
    given = {var.label: values[var.label] for var in program.given}
    # The centre may be any number: the one that was drawn, not what the program makes of it.
    assigns = [a for a in program.assigns if a.target.label != CENTRE]
    if len(assigns) < len(program.assigns):
        given[CENTRE] = values[CENTRE]
    scope = run(assigns, given)
    return {var.label: scope[var.label] for var in program.results}


def each(results: Any) -> tuple[Any, ...]:
    """The results of a function that returns one by itself, or several as a tuple."""
    return results if isinstance(results, tuple) else (results,)

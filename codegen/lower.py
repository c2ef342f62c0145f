"""From a derivation to the programs of a layer's kernels.

Each program is the derivation's own formulas, unchanged: the definitions for ``forward``, the
closed forms for ``backward`` and ``jvp``, the staged adjoints for ``backward_staged``, u·R for
``jacobian``.  :mod:`codegen.passes` then makes them fit for a machine.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from codegen.ir import Assign, Program
from derive.derivation import Derivation
from derive.expr import Definition, SumOver, Var, adjoint, substitute, tangent, variables
from derive.layer import LayerError
from derive.trace import Result


@dataclass(frozen=True)
class LayerPrograms:
    """A layer's programs, and which statistics ``forward`` has to keep for the others."""

    derivation: Derivation
    forward: Program
    backward: Program
    backward_staged: Program
    jvp: Program
    jacobian: Program
    statistics: tuple[Var, ...]


def lower(derivation: Derivation) -> LayerPrograms:
    """All programs of a layer, straight from the derivation."""
    layer = derivation.layer
    statistics = tuple(d.var for d in layer if d.expr.has(SumOver))
    given = (*layer.inputs, *layer.parameters)
    kept = (*given, *statistics)
    cotangent = adjoint(layer.output)
    forward = Program(given, assigns(layer.definitions), (*statistics, layer.output))
    elementwise = [d for d in layer.definitions if not d.expr.has(SumOver)]
    wanted = tuple(adjoint(var) for var in layer.inputs)
    closed = [
        Definition(r.var, r.closed, f"closed form of dl/d{r.var.of}")
        for r in derivation.adjoints
        if r.var in wanted
    ]
    zero = {r.var.label: Definition(r.var, r.staged) for r in derivation.adjoints if not r.staged}
    staged = [Definition(r.var, substitute(r.staged, zero), _chain(r)) for r in derivation.adjoints]
    pushed = Definition(derivation.tangent.var, derivation.tangent.closed, "closed form of the jvp")
    u, R = u_and_r(derivation)  # noqa: N806 - R is its name
    return LayerPrograms(
        derivation=derivation,
        forward=forward,
        backward=needed((*kept, cotangent), [*elementwise, *closed], wanted),
        backward_staged=needed((*kept, cotangent), [*elementwise, *staged], wanted),
        jvp=needed(
            (*kept, *(tangent(v) for v in layer.inputs)),
            [*elementwise, pushed],
            (derivation.tangent.var,),
        ),
        jacobian=needed(kept, [*elementwise, u, R], (u.var, R.var)),
        statistics=statistics,
    )


def u_and_r(derivation: Derivation) -> tuple[Definition, Definition]:
    """The two factors of the Jacobian; LayerError if it has none."""
    jacobian = derivation.jacobian
    if jacobian is None:
        raise LayerError(f"{derivation.layer.name} has no square Jacobian, and no kernels yet")
    return (
        replace(jacobian.u, note="the factor that all entries of the Jacobian share"),
        replace(jacobian.R, note="what is left of them"),
    )


def _chain(result: Result) -> str:
    through = ", ".join(var.label for var in result.reason.formulas)
    return f"dl/d{result.var.of}: chain rule through {through}"


def assigns(definitions: Iterable[Definition]) -> tuple[Assign, ...]:
    """One assignment for each definition."""
    return tuple(Assign(d.var, d.expr, d.note) for d in definitions)


def needed(
    given: tuple[Var, ...], definitions: list[Definition], results: tuple[Var, ...]
) -> Program:
    """A program of just those definitions that the results depend on, and inputs they read."""
    labels = {var.label for var in results}
    kept: list[Definition] = []
    for definition in reversed(definitions):
        if definition.var.label in labels:
            kept.append(definition)
            labels |= {var.label for var in variables(definition.expr)}
    used = tuple(var for var in given if var.label in labels)
    return Program(used, assigns(reversed(kept)), results)

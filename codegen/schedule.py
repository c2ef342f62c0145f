"""Grouping a program's assignments into passes over memory."""

from __future__ import annotations

from collections.abc import Iterable

from codegen.ir import Assign, GroupPass, MapPass, Pass, Program, ReducePass, is_sum
from derive.expr import Axis, Var, free_axes, variables


def schedule(program: Program, data: Var) -> tuple[Pass, ...]:
    """Passes over memory; where all sums are over the same axes, as few as the dependences allow.

    Values of the data's size are never stored: each pass that needs one computes it again from
    what it reads.  A result of that size was rounded as it was written, and is not read again.
    """
    full = frozenset(data.axes)
    local = {
        a.target: a
        for a in program.assigns
        if free_axes(a.target) == full and a.target not in program.results
    }
    pending = [a for a in program.assigns if a.target not in local]
    ready = set(program.given)
    passes: list[Pass] = []
    while pending:
        groups = _ready_groups(pending, ready, local, full)
        if groups:
            passes.append(GroupPass(tuple(groups)))
            done = groups
        else:
            sums = [a for a in pending if is_sum(a) and _can(a, ready, local)]
            if sums:
                first = sums[0].expr.axes
                done = [a for a in sums if a.expr.axes == first]
                passes.append(ReducePass(first, _locals(done, local), tuple(done)))
            else:
                done = [a for a in pending if free_axes(a.target) == full]
                if not done or not all(_can(a, ready, local) for a in done):
                    raise AssertionError(
                        f"no order of passes for {[str(a.target) for a in pending]}"
                    )
                passes.append(MapPass(_locals(done, local), tuple(done)))
        ready |= {a.target for a in done if free_axes(a.target) != full}
        pending = [a for a in pending if a not in done]
    return tuple(passes)


def _ready_groups(
    pending: Iterable[Assign], ready: set[Var], local: dict[Var, Assign], full: frozenset[Axis]
) -> list[Assign]:
    found: list[Assign] = []
    now = set(ready)
    for assign in pending:
        if not is_sum(assign) and free_axes(assign.target) != full and _can(assign, now, local):
            found.append(assign)
            now.add(assign.target)
    return found


def _can(assign: Assign, ready: set[Var], local: dict[Var, Assign]) -> bool:
    return all(
        var in ready or (var in local and _can(local[var], ready, local))
        for var in variables(assign.expr)
    )


def _locals(assigns: Iterable[Assign], local: dict[Var, Assign]) -> tuple[Assign, ...]:
    """The elementwise values that a pass needs, in order of dependence."""
    needed: dict[Var, Assign] = {}

    def visit(assign: Assign) -> None:
        for var in variables(assign.expr):
            if var in local and var not in needed:
                visit(local[var])
                needed[var] = local[var]

    for assign in assigns:
        visit(assign)
    return tuple(needed.values())

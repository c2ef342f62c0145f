"""The cores of numba modules whose kernels choose origins (:mod:`codegen.origins`): row by row.

One compiled loop over rows computes all that a kernel makes.  What takes an exponential is computed
once for each element and left in scratch of the size of a row, for the sums and the results; the
formulas of one element are functions of their own, so that only sums are computed in any order.
Rows too long for that are left to NumPy, by pieces.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from sympy import exp

from codegen.backends.numba_readings import Reading, argument, each, element, reading
from codegen.backends.numpy_cores import name_of
from codegen.backends.numpy_origins import Core
from codegen.backends.numpy_rows import RETURNS, leave_to_pieces
from codegen.backends.python_code import code
from codegen.backends.python_lines import call, signature, statement, tuple_of
from codegen.ir import Assign, GroupPass, MapPass, Pass, Program, ReducePass, is_sum
from codegen.names import code_name, unused
from codegen.origins import LARGEST
from codegen.pipeline import Kernel
from codegen.schedule import schedule
from derive.expr import Var, free_axes, variables

EXP = re.compile(r"np\.exp\((\w+)\)")


def numba_origin_core(kernel: Kernel, data: Var, outputs: Sequence[str], about: str) -> str:
    """A kernel row by row; it writes into ``outputs`` and returns its other results."""
    core = Core(kernel, data, outputs)
    compiled = _Compiled(core, data)
    parts = [*map(element, compiled.readings), compiled.loop(), compiled.core(about)]
    text = EXP.sub(r"_exp(\1, of)", "\n\n\n".join(parts))
    return f"{text}\n\n\n{core.by_pieces(about)}"


class _Compiled:
    """The compiled functions of one core."""

    def __init__(self, core: Core, data: Var) -> None:
        self.of, self.full = core, core.full
        self.steps = self._steps(core.program, data)
        self.readings = [r for step in self.steps if (r := self._reading(step)) is not None]
        self.data = [code_name(v) for v in core.program.given if free_axes(v) == self.full]
        self.rows = [code_name(v) for v in core.given]
        self.kept = [code_name(v) for v in core.kept]
        every = (*core.program.given, *(a.target for a in core.program.assigns))
        names = {code_name(v) for v in every}
        self.i, self.p = unused("i", names), unused("p", names)  # of a row, and of an element

    def _steps(self, program: Program, data: Var) -> list[Pass]:
        """The schedule, with what takes an exponential made once and before the first sum."""
        local = [a for a in program.assigns if self._is_local(a)]
        costly: list[Var] = []
        for a in local:
            if a.expr.has(exp, *costly):
                costly.append(a.target)
        read = {v for a in program.assigns if a not in local for v in variables(a.expr)}
        self.stored = tuple(a for a in local if a.target in costly and a.target in read)
        inside: list[Assign] = []
        needed = {v for a in self.stored for v in variables(a.expr)}
        for a in reversed(local):
            if a.target in needed:
                inside.insert(0, a)
                needed |= set(variables(a.expr))
        ready = (*program.given, *self.of.origins, *(a.target for a in self.stored))
        rest = tuple(a for a in program.assigns if a not in self.stored)
        steps = list(schedule(Program(ready, rest, program.results), data))
        first = next(k for k, step in enumerate(steps) if isinstance(step, ReducePass))
        return [*steps[:first], MapPass(tuple(inside), self.stored), *steps[first:]]

    def _is_local(self, a: Assign) -> bool:
        whole = free_axes(a.target) == self.full and not is_sum(a)
        return whole and a.target not in self.of.program.results

    def _reading(self, step: Pass) -> Reading | None:
        if isinstance(step, GroupPass):
            return None
        name = "sums" if isinstance(step, ReducePass) else "map"
        if isinstance(step, MapPass) and step.results == self.stored:
            name = "scratch"
        found = reading(f"_{self.of.kernel.name}_{name}", step, self.full)
        return replace(found, values=(*found.values, "of")) if name == "scratch" else found

    # --- The loop over rows -----------------------------------------------------------------------

    def loop(self) -> str:
        stored = [code_name(a.target) for a in self.stored]
        arrays = [*self.data, *(f"{r}_of" for r in (*self.rows, *self.kept)), *self.of.outputs]
        parameters = [f"{a}: Array" for a in (*arrays, *stored)]
        lines = ["@_in_any_order", signature(f"_{self.of.kernel.name}_rows", parameters, "None")]
        i = self.i
        lines += ['    """Row by row."""', f"    for {i} in range(x.shape[0]):"]
        lines += [f"        {r} = {r}_of[{i}]" for r in self.rows]
        lines += self._choose()
        by_step = {id(r.step): r for r in self.readings}
        together: list[Reading] = []
        for step in self.steps:
            if isinstance(step, GroupPass):
                for a in step.assigns:
                    lines += statement(
                        f"{code_name(a.target)} = {code(a.expr, name_of)}", a.note, 8
                    )
                continue
            together.append(by_step[id(step)])
            if not (isinstance(step, MapPass) and step.results == self.stored):
                lines += self._along(together, stored)
                together = []
        return "\n".join([*lines, *(f"        {r}_of[{i}] = {r}" for r in self.kept)])

    def _choose(self) -> list[str]:
        """The origins: the largest of the data, and what other arrays have in its place."""
        names = {code_name(origin): code_name(array) for origin, array in self.of.origins.items()}
        lines = []
        if names.pop(LARGEST, ""):
            lines.append(f"        {LARGEST} = _largest_in(x, {self.i})")
        if names:
            lines.append(f"        place = _place_of({LARGEST}, x, {self.i})")
        read = (f"        {o} = _load({of}[{self.i}, place])" for o, of in names.items())
        return [*lines, *read]

    def _along(self, together: Sequence[Reading], stored: Sequence[str]) -> list[str]:
        """One loop over the elements of a row."""
        lines = [f"        {total} = 0" for one in together if one.sums for total in one.made]
        i, p = self.i, self.p
        lines.append(f"        for {p} in range(x.shape[1]):")
        for one in together:
            data = [f"{v}[{p}]" if v in stored else f"_load({v}[{i}, {p}])" for v in one.data]
            values = ["x" if v == "of" else v for v in one.values]
            lines += call(f"made = {one.element}", [*data, *values], 12).split("\n")
            for made, value in each(one):
                if one.sums:
                    lines.append(f"            {made} += {value}")
                elif made in stored:
                    lines.append(f"            {made}[{p}] = {value}")
                else:
                    lines.append(f"            {made}[{i}, {p}] = _store({value}, {made})")
        return lines

    # --- The core ---------------------------------------------------------------------------------

    def core(self, about: str) -> str:
        kernel, outputs = self.of.kernel, self.of.outputs
        parameters = [f"{code_name(v)}: Any" for v in self.of.program.given]
        parameters += ["layout: _Layout", *(f"{output}: Array" for output in outputs)]
        lines = [
            signature(f"_{kernel.name}", parameters, RETURNS),
            f'    """{about}, row by row."""',
            *leave_to_pieces(kernel, outputs, "layout.m > _ROOM"),
            *(f"    {name} = layout.per_row()" for name in self.kept),
        ]
        groups = (self.data, self.rows, self.kept, list(outputs))
        arguments = [f"_{kernel.name}_rows", "layout", *map(argument, groups)]
        lines.append(call("_by_lines", [*arguments, str(len(self.stored))], 4))
        return "\n".join([*lines, f"    return {tuple_of(self.kept)}"])

"""The cores of numba modules whose layers reduce rows: a row stays in the cache until it is done.

Data are seen as (i, g, p, s): a row (i, g) has one value of each statistic, a parameter has one
value for each (g, p), and s counts the elements of a row that share it.  Layer Norm has one g and
one s, Instance Norm one p, Group Norm all four.  One compiled loop over rows computes all that a
kernel makes; it is printed twice, for rows whose parameters lie side by side (s has one value, and
the innermost loop is over p) and for runs along s.  The formulas of one element are functions of
their own, so that only sums are computed in any order.  The loop is over some g of all, and is
called for one part after another, each of which has so few parameters that there is room for their
gradients in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from codegen.backends.numba_readings import Reading, argument, each, element, reading, readings
from codegen.backends.numpy_cores import name_of, size_of
from codegen.backends.numpy_row_pieces import pieces_core
from codegen.backends.numpy_rows import RowCore, leave_to_pieces
from codegen.backends.python_code import code
from codegen.backends.python_lines import call, signature, statement, tuple_of
from codegen.ir import Assign, GroupPass, Program, ReducePass
from codegen.names import code_name
from codegen.pipeline import Kernel
from codegen.schedule import schedule
from derive.expr import Var, free_axes


@dataclass(frozen=True)
class Nest:
    """The innermost loops: the index of an element, how a parameter and a total are called there,
    and how deep the body stands."""

    name: str
    about: str
    index: str
    learnt: str
    total: str
    inner: int


LANES = Nest("lanes", "parameters side by side", "i, g, p", "{}[own, p]", "{}[own, p]", 16)
RUNS = Nest("runs", "along runs (s) that share a parameter", "i, g, p, s", "{}_p", "{}_p", 20)


def numba_row_core(
    kernel: Kernel, data: Var, outputs: Sequence[str], about: str, *, kept: int
) -> str:
    """A kernel row by row; it writes into ``outputs`` and returns its other results."""
    core = _Core(kernel, data, outputs, kept)
    return f"{core.text(about)}\n\n\n{pieces_core(core.parts, data, about)}"


class _Core:
    """The text of one core.  ``totals`` are sums over more than a row."""

    def __init__(self, kernel: Kernel, data: Var, outputs: Sequence[str], kept: int) -> None:
        parts = RowCore(kernel, data.axes, data.axes[:kept], outputs)
        given = kernel.program.given
        self.kernel, self.parts, self.outputs = kernel, parts, list(outputs)
        results = tuple(v for v in kernel.program.results if code_name(v) in outputs)
        inside = Program(given, tuple(parts.inside), (*parts.kept, *results))
        self.steps = schedule(inside, data)
        self.data = [code_name(v) for v in given if free_axes(v) == parts.full]
        self.of_row = [code_name(v) for v in given if free_axes(v) == parts.rows]
        self.numbers = [code_name(v) for v in given if not v.axes]
        self.numbers += [line.split()[0] for line in size_of(kernel)]
        known = {*self.data, *self.of_row, *self.numbers}
        learnt = {code_name(v): v for v in given if code_name(v) not in known}
        # A parameter may have one value for a row too, as in Instance Norm.
        self.of_group = [name for name, v in learnt.items() if free_axes(v) <= parts.rows]
        self.learnt = [name for name in learnt if name not in self.of_group]
        self.kept = [code_name(v) for v in parts.kept]
        self.totals = [code_name(a.target) for a in parts.totals]

    def text(self, about: str) -> str:
        readings = self._readings()
        parts = [element(reading) for reading in readings]
        parts += [self._loop(readings, nest) for nest in (LANES, RUNS)]
        return "\n\n\n".join([*parts, self._core(about)])

    # --- What is done for each row ----------------------------------------------------------------

    def _readings(self) -> list[Reading]:
        """Every loop over the elements of a row: sums of it, totals, results."""
        full = self.parts.full
        steps = [step for step in self.steps if not isinstance(step, GroupPass)]
        sums = [step for step in steps if isinstance(step, ReducePass)]
        found = readings(self.kernel.name, sums, full)
        totals = [a for a in self.parts.totals if a not in self._of_rows()]
        if totals:  # before any result, which may replace what was read
            local = self.parts.local([a.expr.body for a in totals])
            step = ReducePass(totals[0].expr.axes, local, tuple(totals))
            found.append(reading(f"_{self.kernel.name}_totals", step, full))
        return found + readings(self.kernel.name, [s for s in steps if s not in sums], full)

    def _of_rows(self) -> list[Assign]:
        """The totals of what a row has one value of."""
        rows = self.parts.rows
        return [a for a in self.parts.totals if free_axes(a.expr.body) <= rows]

    def _loop(self, readings: list[Reading], nest: Nest) -> str:
        name = f"_{self.kernel.name}_{nest.name}"
        arrays = [*self.data, *self.learnt, *(f"{r}_of" for r in (*self.of_group, *self.of_row))]
        written = [*(f"{r}_of" for r in self.kept), *self.totals, *self.outputs]
        parameters = [*(f"{a}: Array" for a in arrays), *(f"{n}: Any" for n in self.numbers)]
        parameters += [*(f"{a}: Array" for a in written), "start: int", "stop: int"]
        first = self.data[0]
        lines = ["@_in_any_order", signature(name, parameters, "None")]
        lines += [
            f'    """Row by row (i, g), {nest.about}; g from start to stop."""',
            f"    for i in range({first}.shape[0]):",
            "        for g in range(start, stop):",
            *(
                ["            own = g - start"]
                if self.of_group or self.learnt or self.totals
                else []
            ),
            *(f"            {v} = {v}_of[own, 0]" for v in self.of_group),
            *(f"            {r} = {r}_of[i, g]" for r in self.of_row),
        ]
        by_step = {id(r.step): r for r in readings}
        totals = [r for r in readings if r.name.endswith("_totals")]
        known = {*self.of_group, *self.of_row, *self.learnt, *self.numbers}
        for step in self.steps:
            if isinstance(step, GroupPass):
                for a in step.assigns:
                    text = f"{code_name(a.target)} = {code(a.expr, name_of)}"
                    lines += statement(text, a.note, 12)
                    known.add(code_name(a.target))
                continue
            reading = by_step[id(step)]
            if reading.sums:
                together = [r for r in totals if known >= set(r.values)]  # read what it reads
                totals = [r for r in totals if r not in together]
                lines += self._along([reading, *together], nest)
                known |= set(reading.made)
                continue
            for one in totals:
                lines += self._along([one], nest)
            for a in self._of_rows():
                added = f"{code_name(a.target)}[own, 0] += {code(a.expr.body, name_of)}"
                lines += statement(added, "", 12)
            totals = []
            lines += self._along([reading], nest)
        lines += [f"            {r}_of[i, g] = {r}" for r in self.kept]
        return "\n".join(lines)

    def _along(self, readings: list[Reading], nest: Nest) -> list[str]:
        """One loop over the elements of a row."""
        first, inner = self.data[0], nest.inner
        totals = [t for r in readings if r.name.endswith("_totals") for t in r.made]
        learnt = [v for v in self.learnt if any(v in r.values for r in readings)]
        sums = [made for r in readings if r.sums for made in r.made if made not in totals]
        lines = [f"            {made} = 0" for made in sums]
        lines.append(f"            for p in range({first}.shape[2]):")
        if nest is RUNS:
            lines += [f"                {v}_p = {v}[own, p]" for v in learnt]
            lines += [f"                {t}_p = 0" for t in totals]
            lines.append(f"                for s in range({first}.shape[3]):")
        for one in readings:
            values = [nest.learnt.format(v) if v in learnt else v for v in one.values]
            data = [f"_load({name}[{nest.index}])" for name in one.data]
            lines += call(f"made = {one.element}", [*data, *values], inner).split("\n")
            for made, value in each(one):
                if not one.sums:
                    lines.append(f"{' ' * inner}{made}[{nest.index}] = _store({value}, {made})")
                else:
                    target = nest.total.format(made) if made in totals else made
                    lines.append(f"{' ' * inner}{target} += {value}")
        if nest is RUNS:
            lines += [f"                {t}[own, p] += {t}_p" for t in totals]
        return lines

    # --- The core ---------------------------------------------------------------------------------

    def _core(self, about: str) -> str:
        kernel, program = self.kernel, self.kernel.program
        parameters = [*(f"{code_name(var)}: Any" for var in program.given), "layout: _Layout"]
        parameters += [f"{name}: Array" for name in self.parts.outputs]
        lines = [signature(f"_{kernel.name}", parameters, "tuple[Array, ...]")]
        lines.append(f'    """{about}, in one reading of the data, row by row."""')
        arrays = ", ".join(["layout", *self.data, *self.outputs])
        lines += leave_to_pieces(kernel, self.parts.outputs, f"not _fits({arrays})")
        lines += [line.replace("layout.m", "max(layout.m, 1)") for line in size_of(kernel)]
        lines += [f"    {name} = layout.per_row()" for name in self.kept]
        groups = {
            "data": self.data,
            "learnt": [f"{name}_part" for name in (*self.learnt, *self.of_group)],
            "rows": self.of_row,
            "numbers": self.numbers,
            "kept": self.kept,
            "totals": self.totals,
            "results": self.outputs,
        }
        fields = [f"{name}={argument(names)}" for name, names in groups.items()]
        loops = f"(_{kernel.name}_lanes, _{kernel.name}_runs)"
        loop = call("        rows = _Arrays", fields, 8).lstrip()
        body = [f"        {loop}", f"        _by_rows({loops}, layout, part, rows)"]
        lines += self.parts.by_parts(body, "_parts(layout)")
        return "\n".join([*lines, f"    return {tuple_of(self.kept)}"])

"""Cores of NumPy modules for rows that are larger than a block: each is read piece by piece.

Where rows fit in a block, :mod:`codegen.backends.numpy_rows` reads the data once, and all that is
made of a row stays in the cache.  Of a larger row it would take more memory, without a limit.  Then
the same program is printed as :func:`codegen.schedule.schedule` groups it, one row after another:
each reduce pass adds up the sums of the row's pieces, what depends on them is computed once, and
the map pass reads the pieces again.  Sums over more than a row are added up in the map pass, before
its results, which may replace what was read.

In a core a quantity that is an array outside the loops is called by its name and ``_row`` where it
has one value in a row, and by its name and ``_block`` where it varies within a piece.
"""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Expr

from codegen.backends.numpy_cores import READINGS, assignments, name_of, size_of
from codegen.backends.numpy_rows import RETURNS, RowCore, pieces_name
from codegen.backends.python_code import Name, code
from codegen.backends.python_lines import signature, statement, tuple_of
from codegen.ir import Assign, GroupPass, MapPass, Program, ReducePass
from codegen.names import code_name
from codegen.pipeline import Kernel
from codegen.schedule import schedule
from derive.expr import Var, free_axes, variables


def row_core(kernel: Kernel, data: Var, outputs: Sequence[str], about: str, *, kept: int) -> str:
    """A kernel by blocks of rows, or by pieces of each; it writes into ``outputs`` and returns its
    other results."""
    parts = RowCore(kernel, data.axes, data.axes[:kept], outputs)
    return f"{parts.text(about)}\n\n\n{pieces_core(parts, data, about)}"


def pieces_core(parts: RowCore, data: Var, about: str) -> str:
    """The core of a kernel for such rows; it takes and returns what the other one does."""
    return _PieceCore(parts, data).text(about)


class _PieceCore:
    """The text of one core."""

    def __init__(self, parts: RowCore, data: Var) -> None:
        self.parts, self.program = parts, parts.program
        results = (v for v in self.program.results if code_name(v) in parts.outputs)
        inside = Program(self.program.given, tuple(parts.inside), (*parts.kept, *results))
        self.steps = schedule(inside, data)
        self.arrays = {*self.program.given, *parts.kept}

    def text(self, about: str) -> str:
        parts, kernel = self.parts, self.parts.kernel
        readings = READINGS[sum(not isinstance(step, GroupPass) for step in self.steps)]
        parameters = [*(f"{code_name(v)}: Any" for v in self.program.given), "layout: _Layout"]
        parameters += [f"{name}: Array" for name in parts.outputs]
        lines = [signature(pieces_name(kernel), parameters, RETURNS)]
        lines.append(f'    """{about}, in {readings} of each row by pieces of it."""')
        lines += size_of(kernel)
        lines += [f"    {code_name(var)} = layout.per_row()" for var in parts.kept]
        lines += [f"    {code_name(a.target)} = layout.zeros()" for a in parts.totals]
        lines.append("    for row in layout.blocks():")
        given = [v for v in self.program.given if v.axes and not self._within(v)]
        lines += [f"        {self._in_row(v)} = _cut({code_name(v)}, row)" for v in given]
        for step in self.steps:
            if isinstance(step, GroupPass):
                for a in step.assigns:
                    lines += self._statement(self._in_row(a.target), a, self._in_row, 8)
            else:
                lines += self._reading(step)
        lines += [f"        {code_name(v)}[row] = {self._in_row(v)}" for v in parts.kept]
        lines += assignments(parts.after, name_of)
        results = [
            name for v in self.program.results if (name := code_name(v)) not in parts.outputs
        ]
        return "\n".join([*lines, f"    return {tuple_of(results)}"])

    def _reading(self, step: ReducePass | MapPass) -> list[str]:
        """One loop over the pieces of a row."""
        if isinstance(step, ReducePass):
            totals, written = [], list(step.sums)
            head = [f"        {code_name(a.target)} = layout.nothing()" for a in step.sums]
        else:
            totals, written = self.parts.totals, list(step.results)
            rows = self.parts.rows
            once = [a for a in totals if free_axes(a.expr.body) <= rows]
            totals = [a for a in totals if a not in once]
            head = [line for a in once for line in self._total(a, "row", self._in_row, 8)]
        local = self.parts.local([a.expr for a in (*totals, *written)])
        made = {a.target for a in local}
        read = {v for a in (*local, *totals, *written) for v in variables(a.expr)} - made
        lines = [*head, "        for block in layout.pieces(row):"]
        lines += map(self._read, sorted(filter(self._within, read), key=code_name))

        def name(node: Expr) -> str:
            if node in made or not (isinstance(node, Var) and self._within(node)):
                return self._in_row(node)
            return f"{code_name(node)}_block"

        for a in local:
            lines += self._statement(code_name(a.target), a, name, 12)
        for a in totals:
            lines += self._total(a, "block", name, 12)
        for a in written:
            if isinstance(step, ReducePass):
                summed = f"{code_name(a.target)} += layout.total({code(a.expr.body, name)})"
                lines += statement(summed, "", 12)
            else:
                lines += self._statement(f"{code_name(a.target)}[block]", a, name, 12)
        return lines

    def _read(self, var: Var) -> str:
        name, whole = code_name(var), free_axes(var) == self.parts.full
        own = f"_wide({name}[block])" if whole else f"_cut({name}, block)"
        return f"            {name}_block = {own}"

    def _total(self, a: Assign, where: str, name: Name, indent: int) -> list[str]:
        added = f"layout.over_rows({code(a.expr.body, name)})"
        return statement(f"_cut({code_name(a.target)}, {where})[...] += {added}", "", indent)

    def _statement(self, target: str, a: Assign, name: Name, indent: int) -> list[str]:
        return statement(f"{target} = {code(a.expr, name)}", a.note, indent)

    def _within(self, var: Var) -> bool:
        """Whether a quantity varies within a row."""
        return bool(free_axes(var) & self.parts.reduced)

    def _in_row(self, node: Expr) -> str:
        array = node in self.arrays and isinstance(node, Var) and node.axes
        return f"{name_of(node)}_row" if array and not self._within(node) else name_of(node)

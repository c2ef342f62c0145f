"""Cores of NumPy modules for rows that are larger than a block: each is read piece by piece.

Where rows fit in a block, :mod:`codegen.backends.numpy_rows` reads the data once, and all that is
made of a row stays in the cache.  Of a larger row it would take more memory, without a limit.  Then
the same program is printed as :func:`codegen.schedule.schedule` groups it: each reduce pass adds up
the sums of every row's pieces, what depends on them is computed once for all rows, of which there
are few, and the map pass goes over the data by parts, each of which has as many parameters as a
piece has elements, and within each over its blocks.  Sums over more than a row are added up there,
before results, which may replace what was read.

In a core a quantity that is an array outside the loops is called by its name and ``_row``,
``_part`` or ``_block`` where it is a row's, a part's or a block's own.
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
        results = (v for v in results if v not in parts.gradients)
        inside = Program(self.program.given, tuple(parts.inside), (*parts.kept, *results))
        self.steps = schedule(inside, data)

    def text(self, about: str) -> str:
        parts, kernel = self.parts, self.parts.kernel
        readings = READINGS[sum(not isinstance(step, GroupPass) for step in self.steps)]
        parameters = [*(f"{code_name(v)}: Any" for v in self.program.given), "layout: _Layout"]
        parameters += [f"{name}: Array" for name in parts.outputs]
        lines = [signature(pieces_name(kernel), parameters, RETURNS)]
        lines.append(f'    """{about}, in {readings} of each row by pieces of it."""')
        lines += size_of(kernel)
        for step in self.steps:
            if isinstance(step, GroupPass):
                lines += ["    # Once for each row.", *assignments(step.assigns, self._widened)]
            elif isinstance(step, ReducePass):
                lines += self._sums(step)
            else:
                lines += self._results(step)
        return "\n".join([*lines, f"    return {tuple_of([code_name(v) for v in parts.kept])}"])

    def _sums(self, step: ReducePass) -> list[str]:
        """One loop over the pieces of all rows."""
        sums = [code_name(a.target) for a in step.sums]
        lines = ["    # One reading of the data: sums over rows."]
        lines += [f"    {total} = layout.per_row()" for total in sums]
        lines.append("    for row in layout.blocks():")
        read, name = self._read([*step.local, *step.sums], "row")
        lines += [f"        {total}_row = layout.nothing(row)" for total in sums]
        lines += [f"        {line}" for line in read["row"]]
        lines.append("        for block in layout.pieces(row):")
        lines += [f"            {line}" for line in read["block"]]
        for a in step.local:
            lines += self._statement(code_name(a.target), a, name)
        for a in step.sums:
            added = f"{code_name(a.target)}_row += layout.total({code(a.expr.body, name)})"
            lines += statement(added, "", 12)
        return [*lines, *(f"        {total}[row] = {total}_row" for total in sums)]

    def _results(self, step: MapPass) -> list[str]:
        """One loop over parts, for what is written and for sums over more than a row."""
        rows = self.parts.rows
        totals = [a for a in self.parts.totals if not free_axes(a.expr.body) <= rows]
        local = self.parts.local([a.expr for a in (*totals, *step.results)])
        read, name = self._read([*local, *totals, *step.results], "block")
        lines = []
        for a in (a for a in self.parts.totals if a not in totals):
            lines += self._total(a, self._of_part, 8)
        lines.append("        for block in layout.within(part):")
        lines += [f"            {line}" for line in read["block"]]
        for a in local:
            lines += self._statement(code_name(a.target), a, name)
        for a in totals:
            lines += self._total(a, name, 12)
        for a in step.results:
            lines += self._statement(f"{code_name(a.target)}[block]", a, name)
        note = "    # One reading of the data: the result, rounded once as it is stored."
        return [note, *self.parts.by_parts(lines)]

    def _read(self, assigns: Sequence[Assign], per_row: str) -> tuple[dict[str, list[str]], Name]:
        """What a loop reads of a row and of a block, and how it calls that; what has one value in a
        row is ``per_row`` (a part's parameters are read already)."""
        made = {a.target for a in assigns}
        found = {v for a in assigns for v in variables(a.expr) if v.axes} - made
        lines: dict[str, list[str]] = {"row": [], "block": []}
        names: dict[Expr, str] = {}
        for var in sorted(found, key=code_name):
            own, whole = code_name(var), free_axes(var) == self.parts.full
            where = "block" if whole else per_row
            if var in self.parts.learnt:
                where = "part" if per_row == "block" else "block"
            names[var] = f"{own}_{where}"
            if where != "part":
                cut = f"_wide({own}[{where}])" if whole else f"_cut({own}, {where})"
                lines[where].append(f"{names[var]} = {cut}")
        return lines, lambda node: names.get(node) or name_of(node)

    def _widened(self, node: Expr) -> str:
        return f"_wide({name_of(node)})" if node in self.parts.learnt else name_of(node)

    def _of_part(self, node: Expr) -> str:
        """What a part has of what every row has one value of."""
        if node in self.parts.learnt:
            return self.parts.name(node)
        return f"_cut({name_of(node)}, part)" if free_axes(node) else name_of(node)

    def _total(self, a: Assign, name: Name, indent: int) -> list[str]:
        added = f"{code_name(a.target)} += layout.over_rows({code(a.expr.body, name)})"
        return statement(added, "", indent)

    def _statement(self, target: str, a: Assign, name: Name) -> list[str]:
        return statement(f"{target} = {code(a.expr, name)}", a.note, 12)

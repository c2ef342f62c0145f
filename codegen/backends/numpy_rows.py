"""Cores of NumPy modules whose layers reduce rows: the features of each, a channel, a group.

All that a row needs is in the row, so one loop over blocks of whole rows computes it in one reading
of the data, from a program as it stands: sums over a row, what each row has one value of, and the
results.  Only other sums, which gradients of parameters are, add up from block to block; what
depends on them comes after the loop.  Rows that do not fit in a block are left to
:mod:`codegen.backends.numpy_row_pieces`.

The first ``kept`` axes of the data tell rows apart.  A parameter may extend along some of them (γ
of a channel, in Instance Norm): then a block has its own part of it.  Inside the loop a quantity
that is an array outside it, too, is called by its name and ``_block``.
"""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Expr

from codegen.backends.numpy_cores import assignments, name_of, size_of
from codegen.backends.python_code import Name, code
from codegen.backends.python_lines import call, signature, statement, tuple_of
from codegen.ir import Assign, is_sum
from codegen.names import code_name
from codegen.pipeline import Kernel
from derive.expr import Axis, SumOver, Var, free_axes, variables

RETURNS = "tuple[Array, ...]"


def pieces_name(kernel: Kernel) -> str:
    """The function that rows larger than a block are left to."""
    return f"_{kernel.name.removesuffix('_wide')}_in_pieces"


def leave_to_pieces(kernel: Kernel, outputs: Sequence[str], condition: str) -> list[str]:
    """The lines that do so where a condition holds."""
    handed_on = [*(code_name(var) for var in kernel.program.given), "layout", *outputs]
    return [
        f"    if {condition}:",
        *call(f"return {pieces_name(kernel)}", handed_on, 8).split("\n"),
    ]


class RowCore:
    """The text of one core."""

    def __init__(
        self,
        kernel: Kernel,
        axes: tuple[Axis, ...],
        rows: tuple[Axis, ...],
        outputs: Sequence[str],
    ) -> None:
        self.kernel, self.program = kernel, kernel.program
        self.full, self.rows, self.outputs = frozenset(axes), frozenset(rows), outputs
        self.reduced = self.full - self.rows
        self.totals, self.after = self._split()
        self.inside = [
            a for a in self.program.assigns if a not in self.totals and a not in self.after
        ]
        results = self.program.results
        self.kept = [
            a.target
            for a in self.inside
            if a.target in results and code_name(a.target) not in outputs
        ]
        given = [var for var in self.program.given if self.rows & free_axes(var)]
        self.outside = {*given, *self.kept}

    def text(self, about: str) -> str:
        kernel, program = self.kernel, self.program
        parameters = [*(f"{code_name(var)}: Any" for var in program.given), "layout: _Layout"]
        parameters += [f"{name}: Array" for name in self.outputs]
        lines = [signature(f"_{kernel.name}", parameters, RETURNS)]
        lines.append(f'    """{about}, in one reading of the data by blocks of whole rows."""')
        lines += leave_to_pieces(kernel, self.outputs, "layout.m > _BLOCK")
        lines += size_of(kernel)
        lines += [f"    {code_name(var)} = layout.per_row()" for var in self.kept]
        lines += [f"    {code_name(a.target)} = layout.zeros()" for a in self.totals]
        lines.append("    for block in layout.blocks():")
        lines += self._loop()
        lines += assignments(self.after, name_of)
        results = [code_name(v) for v in program.results if code_name(v) not in self.outputs]
        return "\n".join([*lines, f"    return {tuple_of(results)}"])

    def local(self, exprs: Sequence[Expr]) -> tuple[Assign, ...]:
        """The values of the data's size that expressions need, in order of dependence."""
        read = {var for expr in exprs for var in variables(expr)}
        needed: list[Assign] = []
        for assign in reversed(self.inside):
            if assign.target in read and free_axes(assign.target) == self.full:
                needed.insert(0, assign)
                read |= set(variables(assign.expr))
        return tuple(needed)

    def _loop(self) -> list[str]:
        """What is done for each block."""
        kept, results = self.kept, self.program.results
        written = [a for a in self.inside if a.target in results and a.target not in kept]
        lines = []
        for var in (v for v in self.program.given if v in self.outside):
            read = f"{code_name(var)}[{self._place(var)}]"
            wide = f"_wide({read})" if free_axes(var) == self.full else read
            lines.append(f"        {self._name(var)} = {wide}")
        for a in (a for a in self.inside if a not in written):
            lines += self._statement(self._name(a.target), a)
        for a in self.totals:
            place = self._place(a.target)
            target = code_name(a.target) + (f"[{place}]" if place else "")
            summed = code(a.expr.body, self._name)
            lines += statement(f"{target} += layout.over_rows({summed})", "", 8)
        for a in written:  # last, because a result may replace what was read
            lines += self._statement(f"{code_name(a.target)}[block]", a)
        return [*lines, *(f"        {code_name(var)}[block] = {self._name(var)}" for var in kept)]

    def _statement(self, target: str, a: Assign) -> list[str]:
        return statement(f"{target} = {code(a.expr, self._name)}", a.note, 8)

    def _place(self, var: Var) -> str:
        """The indices of a block in a quantity; none where every block needs all of it."""
        if self.rows <= free_axes(var):
            return "block"
        return "_part(block, layout)" if self.rows & free_axes(var) else ""

    def _name(self, node: Expr) -> str:
        if isinstance(node, SumOver):
            return f"layout.total({code(node.body, self._name)})"
        return name_of(node) + ("_block" if node in self.outside else "")

    def _split(self) -> tuple[list[Assign], list[Assign]]:
        """The sums over more than a row, and what depends on them: of the parameters' shape."""
        assigns = self.program.assigns
        totals = [a for a in assigns if is_sum(a) and frozenset(a.expr.axes) != self.reduced]
        late = {a.target for a in totals}
        after: list[Assign] = []
        for assign in assigns:
            if late & set(variables(assign.expr)):
                one = not self.rows <= free_axes(assign.target)
                assert one, "a sum over the rows is needed in each of them"
                after.append(assign)
                late.add(assign.target)
        return totals, after


def row_namer(data: Var, *, kept: int) -> Name:
    """Names and sums on whole arrays, for the textbook form."""
    reduced = frozenset(data.axes[kept:])

    def name(node: Expr) -> str:
        if isinstance(node, SumOver):
            way = "total" if frozenset(node.axes) == reduced else "over_rows"
            return f"layout.{way}({code(node.body, name)})"
        return name_of(node)

    return name

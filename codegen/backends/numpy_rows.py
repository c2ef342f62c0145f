"""Cores of NumPy modules whose layers reduce rows: the features of each, a channel, a group.

All that a row needs is in the row, so one loop over blocks of whole rows computes it in one reading
of the data, from a program as it stands: sums over a row, what each row has one value of, and the
results.  Only other sums, which gradients of parameters are, add up from block to block; what
depends on them comes after the loop.  Rows that take too much room are left to
:mod:`codegen.backends.numpy_row_pieces`.

The first ``kept`` axes of the data tell rows apart.  A parameter may extend along some of them (γ
of a channel, in Instance Norm).  What shares some few parameters is a *part*: the loop over blocks
is one within a part, where its parameters are widened once, and where their gradients are added up
and then stored, rounded once.  So nothing in float64 is larger than a block, however many
parameters there are.

Inside the loops a quantity that is an array outside them, too, is called by its name and ``_part``
if it is a parameter's, else by its name and ``_block``.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from sympy import Expr

from codegen.backends.numpy_cores import name_of, size_of
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
        self.full, self.rows = frozenset(axes), frozenset(rows)
        self.reduced = self.full - self.rows
        self.totals, self.after = self._split()
        self.inside = [
            a for a in self.program.assigns if a not in self.totals and a not in self.after
        ]
        late = {a.target for a in self.after}
        self.gradients = [v for v in self.program.results if v in late]
        self.outputs = [*outputs, *map(code_name, self.gradients)]
        self.kept = [v for v in self.program.results if code_name(v) not in self.outputs]
        given = [var for var in self.program.given if var.axes]
        self.learnt = [var for var in given if not self.rows <= free_axes(var)]
        self.outside = {*given, *self.kept}

    def text(self, about: str) -> str:
        kernel, program = self.kernel, self.program
        parameters = [*(f"{code_name(var)}: Any" for var in program.given), "layout: _Layout"]
        parameters += [f"{name}: Array" for name in self.outputs]
        lines = [signature(f"_{kernel.name}", parameters, RETURNS)]
        lines.append(f'    """{about}, in one reading of the data by blocks of whole rows."""')
        lines += leave_to_pieces(kernel, self.outputs, "layout.m > _ROW")
        lines += size_of(kernel)
        lines += [f"    {code_name(var)} = layout.per_row()" for var in self.kept]
        lines += self.by_parts(self._loop())
        return "\n".join([*lines, f"    return {tuple_of([code_name(v) for v in self.kept])}"])

    def by_parts(self, loop: list[str], parts: str = "layout.parts()") -> list[str]:
        """A loop over all parts, around one over the blocks within each."""
        after = []
        for a in self.after:
            target = code_name(a.target) + ("[part]" if a.target in self.gradients else "")
            after += statement(f"{target} = {code(a.expr, self.name)}", a.note, 8)
        words = set(re.findall(r"\w+", "\n".join([*loop, *after])))
        read = [v for v in self.learnt if self.name(v) in words]
        return [
            f"    for part in {parts}:",
            *(f"        {self.name(v)} = _wide({code_name(v)}[part])" for v in read),
            *(f"        {code_name(a.target)} = layout.zeros(part)" for a in self.totals),
            *loop,
            *after,
        ]

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
        """What is done for each block of a part."""
        kept, results = self.kept, self.program.results
        written = [a for a in self.inside if a.target in results and a.target not in kept]
        lines = ["        for block in layout.within(part):"]
        for var in (v for v in self.program.given if v in self.outside and v not in self.learnt):
            read = f"{code_name(var)}[block]"
            wide = f"_wide({read})" if free_axes(var) == self.full else read
            lines.append(f"            {self.name(var)} = {wide}")
        for a in (a for a in self.inside if a not in written):
            lines += self._statement(self.name(a.target), a)
        for a in self.totals:
            summed = code(a.expr.body, self.name)
            lines += statement(f"{code_name(a.target)} += layout.over_rows({summed})", "", 12)
        for a in written:  # last, because a result may replace what was read
            lines += self._statement(f"{code_name(a.target)}[block]", a)
        return [*lines, *(f"            {code_name(v)}[block] = {self.name(v)}" for v in kept)]

    def _statement(self, target: str, a: Assign) -> list[str]:
        return statement(f"{target} = {code(a.expr, self.name)}", a.note, 12)

    def name(self, node: Expr) -> str:
        """Names inside the loops, and sums over rows."""
        if isinstance(node, SumOver):
            return f"layout.total({code(node.body, self.name)})"
        if node in self.learnt:
            return f"{name_of(node)}_part"
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

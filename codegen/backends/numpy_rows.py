"""Cores of NumPy modules whose layers reduce the features of each row.

All that a row needs is in the row, so one loop over blocks of whole rows computes it in one reading
of the data, from a program as it stands: sums over the features, what each row has one value of,
and the results.  Only totals over the rows, which gradients of parameters are, add up from block to
block; what depends on them comes after the loop.

Inside the loop a quantity that is an array outside it, too, is called by its name and ``_block``.
"""

from __future__ import annotations

from collections.abc import Sequence

from sympy import Expr

from codegen.backends.numpy_cores import assignments, name_of, size_of
from codegen.backends.python_code import Name, code
from codegen.backends.python_lines import signature, statement, tuple_of
from codegen.ir import Assign, is_sum
from codegen.names import code_name
from codegen.pipeline import Kernel
from derive.expr import SumOver, Var, free_axes, variables

RETURNS = "tuple[Array, ...]"


def row_core(kernel: Kernel, data: Var, outputs: Sequence[str], about: str) -> str:
    """A kernel by blocks of rows; it writes into ``outputs`` and returns its other results."""
    program = kernel.program
    totals, after = _split(kernel, data)
    inside = [a for a in program.assigns if a not in totals and a not in after]
    kept = [
        a.target
        for a in inside
        if a.target in program.results and code_name(a.target) not in outputs
    ]
    parameters = [*(f"{code_name(var)}: Any" for var in program.given), "layout: _Layout"]
    parameters += [f"{name}: Array" for name in outputs]
    lines = [signature(f"_{kernel.name}", parameters, RETURNS)]
    lines.append(f'    """{about}, in one reading of the data by blocks of whole rows."""')
    lines += size_of(kernel)
    lines += [f"    {code_name(var)} = layout.per_row()" for var in kept]
    lines += [f"    {code_name(a.target)} = layout.zeros()" for a in totals]
    lines.append("    for block in layout.blocks():")
    lines += _loop(kernel, data, inside, totals, kept)
    lines += assignments(after, name_of)
    results = [code_name(var) for var in program.results if code_name(var) not in outputs]
    return "\n".join([*lines, f"    return {tuple_of(results)}"])


def _loop(
    kernel: Kernel, data: Var, inside: list[Assign], totals: list[Assign], kept: list[Var]
) -> list[str]:
    """What is done for each block."""
    full, results = frozenset(data.axes), kernel.program.results
    given = [v for v in kernel.program.given if data.axes[0] in v.axes]
    outside = {*given, *kept}
    written = [a for a in inside if a.target in results and a.target not in kept]

    def name(node: Expr) -> str:
        if isinstance(node, SumOver):
            return f"layout.total({code(node.body, name)})"
        return name_of(node) + ("_block" if node in outside else "")

    lines = []
    for var in given:
        read = f"{code_name(var)}[block]"
        lines.append(f"{name(var)} = {f'_wide({read})' if free_axes(var) == full else read}")
    lines = [" " * 8 + line for line in lines]
    for a in (a for a in inside if a not in written):
        lines += statement(f"{name(a.target)} = {code(a.expr, name)}", a.note, 8)
    for a in totals:
        lines.append(f"        {name(a.target)} += layout.over_rows({code(a.expr.body, name)})")
    for a in written:  # last, because a result may replace what was read
        lines += statement(f"{code_name(a.target)}[block] = {code(a.expr, name)}", a.note, 8)
    return [*lines, *(f"        {code_name(var)}[block] = {name(var)}" for var in kept)]


def row_namer(data: Var) -> Name:
    """Names and sums on whole arrays, for the textbook form."""
    rows, _ = data.axes

    def name(node: Expr) -> str:
        if isinstance(node, SumOver):
            way = "over_rows" if node.axes == (rows,) else "total"
            return f"layout.{way}({code(node.body, name)})"
        return name_of(node)

    return name


def _split(kernel: Kernel, data: Var) -> tuple[list[Assign], list[Assign]]:
    """The totals over rows, and what depends on them: values of the parameters' shape."""
    rows, _ = data.axes
    assigns = kernel.program.assigns
    totals = [a for a in assigns if is_sum(a) and a.expr.axes == (rows,)]
    late = {a.target for a in totals}
    after: list[Assign] = []
    for assign in assigns:
        if late & set(variables(assign.expr)):
            assert rows not in assign.target.axes, "a sum over the rows is needed in each of them"
            after.append(assign)
            late.add(assign.target)
    return totals, after

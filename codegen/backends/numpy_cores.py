"""The cores of a NumPy module: the functions that compute.

Each is printed from the passes of its kernel, one loop over blocks for each reading of the data;
the two textbook forms, on whole arrays, straight from their programs.  Arguments are as the
functions that users call prepare them: what has one value for each channel is in the shape that
broadcasts against the data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from sympy import Expr

from codegen.backends.python_code import Name, code
from codegen.backends.python_lines import signature, statement, tuple_of
from codegen.ir import Assign, GroupPass, MapPass, Pass, ReducePass
from codegen.names import code_name
from codegen.pipeline import Kernel
from derive.errors import InputError
from derive.expr import Axis, Delta, SumOver, Var, free_axes, mul, sizes_in, variables

# Prints a scheduled kernel: of which data, into which outputs, and what it is about.
Core = Callable[[Kernel, Var, Sequence[str], str], str]

READINGS = ("no reading", "one reading", "two readings", "three readings", "four readings")


def core(kernel: Kernel, data: Var, outputs: Sequence[str], about: str) -> str:
    """A scheduled kernel; it writes into ``outputs`` and returns its other results."""
    given = [code_name(var) for var in kernel.program.given]
    results = [name for var in kernel.program.results if (name := code_name(var)) not in outputs]
    parameters = [*(f"{name}: Any" for name in given), "layout: _Layout"]
    parameters += [f"{name}: Array" for name in outputs]
    readings = sum(not isinstance(step, GroupPass) for step in kernel.passes)
    lines = [signature(f"_{kernel.name}", parameters, "tuple[Array, ...]")]
    lines.append(f'    """{about}, in {READINGS[readings]} of the data."""')
    lines += size_of(kernel)
    for step in kernel.passes:
        lines += _pass(step, frozenset(data.axes))
    return "\n".join([*lines, f"    return {tuple_of(results)}"])


def _pass(step: Pass, full: frozenset[Axis]) -> list[str]:
    if isinstance(step, GroupPass):
        return ["    # Once for each channel.", *assignments(step.assigns, name_of)]
    blocks = _blocks_read(step, full)
    body = [f"        {code_name(v)}_block = _wide({code_name(v)}[block])" for v in blocks]
    for a in step.local:
        body += statement(f"{code_name(a.target)} = {_code(a.expr, blocks)}", a.note, 8)
    if isinstance(step, ReducePass):
        head = ["    # One reading of the data: sums over the batch."]
        head += [f"    {code_name(a.target)} = layout.zeros()" for a in step.sums]
        body += [
            f"        {code_name(a.target)} += layout.total({_code(a.expr.body, blocks)})"
            for a in step.sums
        ]
    else:
        head = ["    # One reading of the data: the result, rounded once as it is stored."]
        for a in step.results:
            body += statement(f"{code_name(a.target)}[block] = {_code(a.expr, blocks)}", a.note, 8)
    return [*head, "    for block in layout.blocks():", *body]


def _blocks_read(step: ReducePass | MapPass, full: frozenset[Axis]) -> list[Var]:
    """Arrays of the data's size that a pass reads."""
    made = {a.target for a in step.local}
    written = step.sums if isinstance(step, ReducePass) else step.results
    read = {v for a in (*step.local, *written) for v in variables(a.expr)} - made
    return sorted((v for v in read if free_axes(v) == full), key=lambda var: var.name)


def _code(expr: Expr, blocks: Sequence[Var] = ()) -> str:
    return code(expr, lambda node: name_of(node) + ("_block" if node in blocks else ""))


def batch_namer(_: Var) -> Name:
    """Names and sums on whole arrays, for the textbook form."""

    def name(node: Expr) -> str:
        if isinstance(node, SumOver):
            return f"layout.total({code(node.body, name)})"
        return name_of(node)

    return name


def staged_core(kernel: Kernel, data: Var, name: Name) -> str:
    """The chain rule on whole arrays, one line for each adjoint."""
    given = [code_name(var) for var in kernel.program.given]
    parameters = [*(f"{name}: Any" for name in given), "layout: _Layout"]
    lines = [signature(f"_{kernel.name}", parameters, "tuple[Array, ...]")]
    lines.append('    """The chain rule, backwards through the definitions, on whole arrays."""')
    lines += size_of(kernel)
    full = frozenset(data.axes)
    whole = [code_name(v) for v in kernel.program.given if free_axes(v) == full]
    lines.append(f"    {', '.join(whole)} = {', '.join(f'_wide({w})' for w in whole)}")
    lines += assignments(kernel.program.assigns, name)
    results = [code_name(var) for var in kernel.program.results]
    return "\n".join([*lines, f"    return {tuple_of(results)}"])


def jacobian_core(kernel: Kernel, about: str) -> str:
    """u·R of one group: rows are the output's elements, columns the data's."""
    row, column = kernel.program.results[1].axes[:2]
    parameters = [*(f"{code_name(var)}: Any" for var in kernel.program.given), "m: int"]
    lines = [signature(f"_{kernel.name}", parameters, "Array")]
    lines.append(f'    """{about}"""')

    def in_column(node: Expr) -> str:
        if not isinstance(node, SumOver):
            return name_of(node)
        if free_axes(node) & {row, column}:
            raise InputError(f"there is no code yet for the sum {node} in a Jacobian")
        return f"np.add.reduce({code(node.body, in_column)})"

    def in_matrix(node: Expr) -> str:
        if isinstance(node, Delta):
            return "np.eye(m, dtype=_WIDE)"
        if isinstance(node, SumOver):
            return in_column(node)
        way = {(True, False): "[:, None]", (False, True): "[None, :]"}
        return name_of(node) + way.get((row in free_axes(node), column in free_axes(node)), "")

    lines += [f"    {size} = m" for size in sizes(kernel.program.assigns) if size != "m"]
    u, matrix = kernel.program.results
    factor: Expr = u
    for assign in kernel.program.assigns:
        if assign.target == u and not variables(assign.expr):
            factor = assign.expr  # a number: by itself it would be a float
            continue
        square = {row, column} <= free_axes(assign.expr)
        lines += assignments([assign], in_matrix if square else in_column)
    product = code(mul(factor, matrix), in_matrix)
    return "\n".join([*lines, f"    jacobian: Array = {product}", "    return jacobian"])


def assignments(assigns: Iterable[Assign], name: Name) -> list[str]:
    lines = []
    for a in assigns:
        lines += statement(f"{code_name(a.target)} = {code(a.expr, name)}", a.note, 4)
    return lines


def name_of(node: Expr) -> str:
    if not isinstance(node, Var):
        raise TypeError(f"no code for {type(node).__name__} here: {node}")
    return code_name(node)


def size_of(kernel: Kernel) -> list[str]:
    """m, if the kernel's formulas speak of it, by the layer's name for it."""
    return [f"    {size} = layout.m" for size in sizes(kernel.program.assigns)]


def sizes(assigns: Iterable[Assign]) -> list[str]:
    """The names of sizes in formulas."""
    return sorted({size for a in assigns for size in sizes_in(a.expr)})

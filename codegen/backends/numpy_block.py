"""The NumPy module of the block: linear layer, Batch Norm and activation, on whole matrices.

Its cores are printed from the proved programs of :mod:`codegen.block`, one line for each quantity.
What varies over samples is a matrix with the samples in columns, what has one value for each
channel a column (C, 1), and a sum of products over one axis a matrix product, which NumPy gives to
BLAS.  The functions that validate are the fixed text of :mod:`codegen.backends.numpy_block_text`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sympy import Expr

from codegen.backends.numpy_block_text import BACKWARD, FORWARD, MODULE, WITH_SLOPE
from codegen.backends.numpy_cores import sizes
from codegen.backends.numpy_layouts import copied, definitions
from codegen.backends.python_code import Name, code
from codegen.backends.python_lines import call, indented, signature, statement, tuple_of
from codegen.block import ACTIVATIONS, Placement, matrix_product
from codegen.ir import Assign, Program
from codegen.names import CODE_NAMES
from derive.expr import Axis, Definition, SumOver, Var, adjoint
from derive.functions import Activation, ActivationSlope, Sigmoid
from derive.render import PAPER, equation, formula, to_line, to_lines
from derive.trace import Result

WIDTH = 92  # of formulas in docstrings
AXES = ("n", "k", "c")  # of samples, features and channels: all are shown
A = Var("a")  # what an activation is taken of


def block_text(placements: Sequence[Placement]) -> str:
    """The body of the module."""
    before, _ = placements
    layer = before.derivation.layer
    fields = {f"{p.name}_definitions": _formulas(p.derivation.layer, 4) for p in placements}
    fields |= {f"{p.name}_gradients": _formulas(_gradients(p), 4) for p in placements}
    fields |= {f"{p.name}_forward": _call(p, p.forward, "forward") for p in placements}
    fields |= {f"{p.name}_backward": _call(p, p.backward, "backward") for p in placements}
    parts = [
        MODULE.format(
            **fields,
            source=layer.source,
            why=_why_zero(before.derivation["db"]),
            support=_support(),
        ),
        *(text for name in ACTIVATIONS for text in _activation(name)),
        _table(),
        WITH_SLOPE,
        FORWARD.format(**fields),
        *(_core(p, p.forward, "forward", "The definitions") for p in placements),
        BACKWARD.format(**fields, why=_why_zero(before.derivation["db"])),
        *(_core(p, p.backward, "backward", "The closed forms") for p in placements),
    ]
    return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"


def _support() -> str:
    """What the module carries with it: its own array handling, and two of every module's."""
    shared = definitions("numpy_support.py")
    return "\n\n\n".join([copied("numpy_block_support.py"), shared["_array"], shared["_real"]])


# --- Docstrings -----------------------------------------------------------------------------------


def _formulas(definitions: Iterable[Definition], by: int) -> str:
    lines: list[str] = []
    for definition in definitions:
        tree = equation(definition.var, definition.expr, PAPER, AXES)
        lines += to_lines(tree, ascii=True, width=WIDTH)
    return indented(lines, by)


def _gradients(placement: Placement) -> list[Definition]:
    layer = placement.derivation.layer
    wanted = {adjoint(var) for var in (*layer.stages, *layer.inputs)}
    return [r.definition for r in placement.derivation.adjoints if r.var in wanted]


def _why_zero(result: Result) -> str:
    """The reason of the step that makes a gradient vanish."""
    reason = result.steps[-1].reason
    formulas = (to_line(formula(f, PAPER, AXES), ascii=True) for f in reason.formulas)
    return reason.template.format(*formulas)


# --- Activations ----------------------------------------------------------------------------------


def _activation(name: str) -> list[str]:
    """An activation and its slope, which is differentiated here."""
    value = ACTIVATIONS[name](A)
    slope = value.diff(A)
    lines = [f"def _{name}_slope(a: Array) -> Array:"]
    if isinstance(value, Sigmoid):  # its slope is a formula in its value
        lines.append(f"    value = _{name}(a)")
        slope = slope.subs(value, Var("value"))
    shown = "np.ones_like(a)" if slope == 1 else code(slope, str)
    head = f"def _{name}(a: Array) -> Array:"
    return [
        "\n".join([head, f"    result: Array = {code(value, str)}", "    return result"]),
        "\n".join([*lines, f"    result: Array = {shown}", "    return result"]),
    ]


def _table() -> str:
    entries = (f'    "{name}": (_{name}, _{name}_slope),' for name in ACTIVATIONS)
    return "\n".join(["_ACTIVATIONS: dict[str, tuple[Function, Function]] = {", *entries, "}"])


# --- Cores ----------------------------------------------------------------------------------------


def _label(var: Var) -> str:
    """A quantity's name here: W and b stay what the document calls them."""
    return CODE_NAMES.get(var.label, var.label) if var.label not in ("W", "b") else var.label


def _functions(program: Program) -> list[str]:
    """What a core is to call: g, its slope, or both."""
    exprs = [a.expr for a in program.assigns]
    found = ((Activation, "g"), (ActivationSlope, "slope"))
    return [name for function, name in found if any(e.has(function) for e in exprs)]


def _call(placement: Placement, program: Program, function: str) -> str:
    prefix = "" if function == "forward" else "cache."
    dy = adjoint(placement.derivation.layer.output)
    arguments = []
    for var in program.given:
        name = _label(var)
        matrix = name in ("A", "W")
        given = name if var == dy else prefix + name
        arguments.append(f"_wide({given})" if matrix or var == dy else given)
    arguments += [prefix + name for name in _functions(program)]
    targets = tuple_of([_label(var) for var in program.results])
    return call(f"{targets} = _{function}_{placement.name}", arguments, 12)


def _core(placement: Placement, program: Program, function: str, about: str) -> str:
    parameters = [f"{_label(var)}: Any" for var in program.given]
    parameters += [f"{name}: Function" for name in _functions(program)]
    lines = [signature(f"_{function}_{placement.name}", parameters, "tuple[Array, ...]")]
    lines.append(f'    """{about}, with Batch Norm {placement.name} the activation."""')
    lines += _sizes(program)
    for assign in program.assigns:
        note = assign.note
        if assign.expr == 0:
            note = _why_zero(placement.derivation[assign.target.label])
        lines += statement(f"{_label(assign.target)} = {_value(assign, program)}", note, 4)
    results = tuple_of([_label(var) for var in program.results])
    return "\n".join([*lines, f"    return {results}"])


def _sizes(program: Program) -> list[str]:
    """m, if the formulas speak of it."""
    lines = []
    for size in sizes(program.assigns):
        var, position = next(
            (var, k)
            for var in program.given
            for k, axis in enumerate(var.axes)
            if len(var.axes) == 2 and axis.size.name == size
        )
        lines.append(f"    {size} = {_label(var)}.shape[{position}]")
    return lines


def _value(assign: Assign, program: Program) -> str:
    if assign.expr == 0:
        like = next(var for var in program.given if var.axes == assign.target.axes)
        return f"np.zeros_like({_label(like)})"
    return code(assign.expr, _names(assign.target.axes[0]))


def _names(rows: Axis) -> Name:
    """Code for the parts of a formula whose value has one row for each index of ``rows``."""

    def name(node: Expr) -> str:
        if isinstance(node, SumOver):
            return _sum(node, rows, name)
        if not isinstance(node, Var):
            raise TypeError(f"no code for {type(node).__name__} here: {node}")
        if node.axes and node.axes[0] != rows:
            raise TypeError(f"{node} does not broadcast against rows of {rows}")
        return _label(node)

    return name


def _sum(total: SumOver, rows: Axis, name: Name) -> str:
    factors = matrix_product(total, rows)
    if factors is None:
        return f"_total({code(total.body, name)})"
    left, right = factors
    (summed,) = total.axes
    return " @ ".join(
        _label(factor) + ("" if factor.axes[side] == summed else ".T")
        for factor, side in ((left, 1), (right, 0))
    )

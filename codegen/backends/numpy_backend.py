"""The NumPy backend: blocks of the data in float64, one loop for each pass over memory.

A module is made of three kinds of text: the array handling of :mod:`numpy_support`, copied; the
functions users call, which validate and are the same for every layer of this shape; and the cores
that compute, printed from the scheduled passes.  Only the last contain mathematics, and all of it
comes from the derivation.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from sympy import Add, Expr, Symbol

from codegen.backends.numpy_text import (
    BACKWARD,
    CACHE,
    FORWARD,
    JACOBIAN,
    JVP,
    MODULE,
    STAGED,
)
from codegen.backends.python_code import code
from codegen.ir import Assign, GroupPass, MapPass, Pass, ReducePass
from codegen.names import code_name
from codegen.pipeline import Kernel, Kernels
from derive.errors import InputError
from derive.expr import (
    Axis,
    Definition,
    Delta,
    SumOver,
    Var,
    adjoint,
    free_axes,
    variables,
)
from derive.layer import Layer
from derive.render import PAPER, equation, to_lines

DEFAULTS = {"eps": "1e-5"}
WIDTH = 100
MARKER = "# --- copied from here on ---\n"


class NumpyBackend:
    """Prints modules for ``generated/numpy_kernels``."""

    name = "numpy"
    folder = "numpy_kernels"

    def render(self, kernels: Kernels) -> str:
        layer = kernels.derivation.layer
        if len(layer.reduced_axes) != 1 or layer.data.axes[0] != layer.reduced_axes[0]:
            raise InputError(
                f"the NumPy backend has no array layout for {layer.name} yet; "
                "it generates layers that reduce over the batch, like batch_norm"
            )
        return _Module(kernels).text()


class _Module:
    """The text of one module."""

    def __init__(self, kernels: Kernels) -> None:
        self.kernels = kernels
        self.layer: Layer = kernels.derivation.layer
        self.kept = tuple(code_name(var) for var in kernels.kept)
        self.learnt = tuple(code_name(var) for var in self.layer.learnt)
        self.parameters = tuple(code_name(var) for var in self.layer.parameters)

    def text(self) -> str:
        support = Path(__file__).with_name("numpy_support.py").read_text(encoding="utf-8")
        derivation = self.kernels.derivation
        fields = {
            "title": self.layer.title,
            "source": self.layer.source,
            "definitions": self._formulas(self.layer.definitions),
            "closed": self._formulas(self._closed_forms()),
            "staged": self._formulas(Definition(r.var, r.staged) for r in derivation.adjoints),
            "jvp_form": self._formulas([derivation.tangent.definition]),
            "u_and_r": self._formulas([derivation.jacobian.u, derivation.jacobian.R]),
            "support": support.split(MARKER)[1].strip(),
            "learnt_defaults": _arguments(f"{p}: npt.ArrayLike | None = None" for p in self.learnt),
            "parameter_defaults": _arguments(
                f"{p}: float = {DEFAULTS.get(p, '0.0')}" for p in self.parameters
            ),
            "learnt_names": ", ".join(self.learnt) + ("," if len(self.learnt) == 1 else ""),
            "neutral": ", ".join(f"{code_name(v)} = {self._neutral(v)}" for v in self.layer.learnt),
        }
        parts = [
            MODULE.format(**fields),
            CACHE.format(fields=self._cache_fields()),
            FORWARD.format(**fields, **self._forward_setup()),
            self._core(self.kernels.forward, ("y",)),
            BACKWARD.format(**fields, **self._gradients()),
            self._core(self.kernels.backward, ("dx",)),
            STAGED.format(**fields, **self._gradients()),
            self._staged_core(),
            JVP.format(**fields, **self._tangents()),
            self._core(self.kernels.jvp, ("y_dot",)),
            JACOBIAN.format(**fields, **self._columns()),
            self._jacobian_core(),
        ]
        return "\n\n\n".join(part.strip("\n") for part in parts) + "\n"

    # --- Formulas for the docstrings --------------------------------------------------------------

    def _lines(self, definition: Definition) -> list[str]:
        shown = tuple(axis.base for axis in self.layer.reduced_axes)
        tree = equation(definition.var, definition.expr, PAPER, shown)
        return list(to_lines(tree, ascii=True, width=WIDTH - 8))

    def _formulas(self, definitions: Iterable[Definition], by: int = 4) -> str:
        return _indented([line for d in definitions for line in self._lines(d)], by)

    def _closed_forms(self) -> list[Definition]:
        wanted = [adjoint(var) for var in self.layer.inputs]
        return [r.definition for r in self.kernels.derivation.adjoints if r.var in wanted]

    # --- Pieces of the functions that users call --------------------------------------------------

    def _neutral(self, var: Var) -> int:
        """The value that leaves the output unchanged: 0 for a term of it, 1 for a factor."""
        output = self.layer.definitions[-1].expr
        return 0 if var in Add.make_args(output) else 1

    def _cache_fields(self) -> str:
        lines = ["x: Array"]
        lines += [f"{name}: Array" for name in (*self._cached_learnt(), *self.kept)]
        return "\n".join(f"    {line}" for line in (*lines, "axis: int"))

    def _cached_learnt(self) -> list[str]:
        """Learnt inputs that some other kernel reads."""
        kernels = self.kernels
        used = {
            var.label
            for kernel in (kernels.backward, kernels.backward_staged, kernels.jvp, kernels.jacobian)
            for var in kernel.program.given
        }
        return [code_name(var) for var in self.layer.learnt if var.label in used]

    def _forward_setup(self) -> dict[str, str]:
        setup = [f'{p} = _real("{p}", {p})' for p in self.parameters]
        setup += [
            f'wide_{code_name(v)} = _per_channel("{code_name(v)}", {code_name(v)}, layout, '
            f"{self._neutral(v)})"
            for v in self.layer.learnt
        ]
        given = [
            f"wide_{code_name(v)}" if v in self.layer.learnt else code_name(v)
            for v in self.kernels.forward.program.given
        ]
        cached = ["x", *(f"wide_{p}" for p in self._cached_learnt()), *self.kept, "layout.axis"]
        return {
            "setup": _indented(setup),
            "core_call": _call(f"{', '.join(self.kept)} = _forward", [*given, "layout", "y"]),
            "cache": ", ".join(cached),
        }

    def _gradients(self) -> dict[str, str]:
        names = [f"d{p}" for p in self.learnt]
        store = [f"{name}[...] = wide_{name}.reshape(one)" for name in names]
        arguments = {
            kernel.name: [*self._given(kernel), "layout"]
            for kernel in (self.kernels.backward, self.kernels.backward_staged)
        }
        wide = ", ".join(f"wide_{name}" for name in names) + ("," if len(names) == 1 else "")
        narrow = ["dx.astype(dtype)", *(f"{name}.reshape(one).astype(dtype)" for name in names)]
        return {
            "gradient_names": ", ".join(["dx", *names]),
            "gradient_shapes": "".join(f', "{name}": one' for name in names),
            "gradient_types": ", ".join("Array" for _ in ["dx", *names]),
            "store": _indented(store, 8),
            "backward_call": _call(
                f"{wide} = _backward" if names else "_backward", [*arguments["backward"], "dx"]
            ),
            "staged_results": ", ".join(narrow),
            "staged_call": _call(
                f"{', '.join(['dx', *names])} = _backward_staged", arguments["backward_staged"]
            ),
        }

    def _tangents(self) -> dict[str, str]:
        names = [f"{p}_dot" for p in self.learnt]
        setup = [f'wide_{name} = _per_channel("{name}", {name}, layout, 0)' for name in names]
        arguments = [f"{name}: npt.ArrayLike | None" for name in names]
        given = []
        for var in self.kernels.jvp.program.given:
            name = code_name(var)
            if name in names:
                given.append(f"wide_{name}")
            else:
                given.append(name if var.role == "tangent" else f"cache.{name}")
        return {
            "tangent_arguments": _arguments(arguments),
            "tangent_setup": _indented(setup),
            "tangent_names": " and ".join(["x_dot", *names])
            if len(names) < 2
            else ", ".join(["x_dot", *names]),
            "jvp_call": _call("_jvp", [*given, "layout", "y_dot"]),
        }

    def _columns(self) -> dict[str, str]:
        names = [code_name(v) for v in self.kernels.jacobian.program.given]
        return {
            "columns": _indented([f"{name} = column(cache.{name})" for name in names], 8),
            "column_names": ", ".join(names),
        }

    def _given(self, kernel: Kernel) -> list[str]:
        """What a core takes, in the words of its caller."""
        dy = adjoint(self.layer.output)
        return [code_name(v) if v == dy else f"cache.{code_name(v)}" for v in kernel.program.given]

    # --- Cores: what is computed ------------------------------------------------------------------

    def _core(self, kernel: Kernel, outputs: tuple[str, ...]) -> str:
        given = [code_name(var) for var in kernel.program.given]
        results = [
            code_name(var) for var in kernel.program.results if code_name(var) not in outputs
        ]
        arguments = [f"{name}: Any" for name in given] + ["layout: _Layout"]
        arguments += [f"{name}: Array" for name in outputs]
        lines = [_signature(f"_{kernel.name}", arguments, "tuple[Array, ...]")]
        if any(_mentions_size(a.expr) for p in kernel.passes for a in _assigns(p)):
            lines.append("    m = layout.m")
        for step in kernel.passes:
            lines += self._pass(step)
        lines.append(_return(results))
        return "\n".join(lines)

    def _pass(self, step: Pass) -> list[str]:
        if isinstance(step, GroupPass):
            lines = ["    # Once for each channel."]
            for a in step.assigns:
                lines += _statement(a, f"{code_name(a.target)} = {self._code(a.expr)}", 4)
            return lines
        blocks = self._blocks_read(step)
        body = [f"        {code_name(v)}_block = _wide({code_name(v)}[block])" for v in blocks]
        for a in step.local:
            body += _statement(a, f"{code_name(a.target)} = {self._code(a.expr, blocks)}", 8)
        if isinstance(step, ReducePass):
            head = ["    # One reading of the data: sums over the batch."]
            head += [f"    {code_name(a.target)} = layout.zeros()" for a in step.sums]
            body += [
                f"        {code_name(a.target)} += layout.total({self._code(a.expr.body, blocks)})"
                for a in step.sums
            ]
        else:
            head = ["    # One reading of the data: the result, rounded once as it is stored."]
            for a in step.results:
                text = f"{code_name(a.target)}[block] = {self._code(a.expr, blocks)}"
                body += _statement(a, text, 8)
        return [*head, "    for block in layout.blocks():", *body]

    def _blocks_read(self, step: ReducePass | MapPass) -> list[Var]:
        """Arrays of the data's size that a pass reads."""
        full = frozenset(self.layer.data.axes)
        made = {a.target for a in step.local}
        read = {
            v
            for a in _assigns(step)
            for v in variables(a.expr)
            if free_axes(v) == full and v not in made
        }
        return sorted(read, key=lambda var: var.name)

    def _code(self, expr: Expr, blocks: list[Var] | None = None) -> str:
        def name(node: Expr) -> str:
            if not isinstance(node, Var):
                raise TypeError(f"no code for {type(node).__name__} in a scheduled pass")
            return code_name(node) + ("_block" if node in (blocks or ()) else "")

        return code(expr, name)

    def _staged_core(self) -> str:
        kernel = self.kernels.backward_staged
        given = [code_name(var) for var in kernel.program.given]
        arguments = [f"{name}: Any" for name in given] + ["layout: _Layout"]
        lines = [_signature("_backward_staged", arguments, "tuple[Array, ...]")]
        if any(_mentions_size(a.expr) for a in kernel.program.assigns):
            lines.append("    m = layout.m")
        full = frozenset(self.layer.data.axes)
        whole = [code_name(v) for v in kernel.program.given if free_axes(v) == full]
        lines.append(f"    {', '.join(whole)} = {', '.join(f'_wide({w})' for w in whole)}")

        def name(node: Expr) -> str:
            if isinstance(node, SumOver):
                return f"layout.total({code(node.body, name)})"
            return code_name(node)

        for a in kernel.program.assigns:
            lines += _statement(a, f"{code_name(a.target)} = {code(a.expr, name)}", 4)
        lines.append(_return([code_name(var) for var in kernel.program.results]))
        return "\n".join(lines)

    def _jacobian_core(self) -> str:
        kernel = self.kernels.jacobian
        row, column = kernel.program.results[1].axes[:2]
        given = [code_name(var) for var in kernel.program.given]
        arguments = [f"{name}: Any" for name in given] + ["m: int"]
        lines = [_signature("_jacobian", arguments, "Array")]

        def name(node: Expr) -> str:
            if isinstance(node, Delta):
                return "np.eye(m, dtype=_WIDE)"
            if row in node.axes:
                return f"{code_name(node)}[:, None]"
            return f"{code_name(node)}[None, :]" if column in node.axes else code_name(node)

        for assign in kernel.program.assigns:
            square = {row, column} <= free_axes(assign.expr)
            text = code(assign.expr, name if square else code_name)
            lines += _statement(assign, f"{code_name(assign.target)} = {text}", 4)
        lines += ["    jacobian: Array = u * R", "    return jacobian"]
        return "\n".join(lines)


def _assigns(step: Pass) -> tuple[Assign, ...]:
    if isinstance(step, GroupPass):
        return step.assigns
    return step.local + (step.sums if isinstance(step, ReducePass) else step.results)


def _mentions_size(expr: Expr) -> bool:
    return any(
        not isinstance(symbol, Var) for symbol in expr.atoms(Symbol) if not isinstance(symbol, Axis)
    )


def _arguments(lines: Iterable[str]) -> str:
    return "".join(f"    {line},\n" for line in lines)


def _statement(assign: Assign, text: str, indent: int) -> list[str]:
    """A line of code with its comment beside it, or above where that is too long."""
    space = " " * indent
    if not assign.note:
        return [space + text]
    if indent + len(text) + len(assign.note) + 4 <= WIDTH:
        return [f"{space}{text}  # {assign.note}"]
    return [f"{space}# {assign.note}", *_broken(text, indent)]


def _broken(text: str, indent: int) -> list[str]:
    """A line that is too long, broken before its outermost additions."""
    space = " " * indent
    if indent + len(text) <= WIDTH:
        return [space + text]
    target, expression = text.split(" = ", 1)
    parts, depth, start = [], 0, 0
    for k, letter in enumerate(expression):
        depth += (letter in "([") - (letter in ")]")
        if depth == 0 and expression[k : k + 3] in (" + ", " - "):
            parts.append(expression[start:k])
            start = k + 1
    parts.append(expression[start:])
    return [f"{space}{target} = (", *(f"{space}    {part}" for part in parts), f"{space})"]


def _signature(name: str, arguments: list[str], returns: str) -> str:
    line = f"def {name}({', '.join(arguments)}) -> {returns}:"
    if len(line) <= WIDTH:
        return line
    middle = f"    {', '.join(arguments)}"
    if len(middle) <= WIDTH:
        return f"def {name}(\n{middle}\n) -> {returns}:"
    return f"def {name}(\n{_arguments(arguments)}) -> {returns}:"


def _call(function: str, arguments: list[str], indent: int = 8) -> str:
    space = " " * indent
    line = f"{space}{function}({', '.join(arguments)})"
    if len(line) <= WIDTH:
        return line
    middle = f"{space}    {', '.join(arguments)}"
    if len(middle) > WIDTH:
        middle = ",\n".join(f"{space}    {argument}" for argument in arguments) + ","
    return f"{space}{function}(\n{middle}\n{space})"


def _return(names: list[str]) -> str:
    if len(names) < 2:
        return f"    return ({names[0]},)" if names else "    return ()"
    return f"    return {', '.join(names)}"


def _indented(lines: list[str], by: int = 4) -> str:
    return "\n".join(" " * by + line for line in lines)

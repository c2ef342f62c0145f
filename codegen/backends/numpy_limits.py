"""What a NumPy module cannot say: names that mean something else in it, and missing functions.

The names that the module's fixed text uses are read from that text (:mod:`numpy_text`,
:mod:`numpy_support`), so that there is no list to keep in step with it.
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections import defaultdict
from collections.abc import Iterator
from functools import cache
from keyword import iskeyword

from sympy import Function, Pow, Symbol

from codegen.backends.numpy_layouts import ArrayLayout
from codegen.backends.numpy_text import (
    BACKWARD,
    CACHE,
    FORWARD,
    JVP,
    MODULE,
    STAGED,
)
from codegen.backends.python_code import FUNCTIONS
from codegen.names import CODE_NAMES, PASS_LABELS, code_name
from codegen.pipeline import Kernels
from derive.errors import InputError
from derive.expr import Axis, Var
from derive.functions import FUNCTIONS as BY_NAME
from derive.functions import Activation, Sigmoid
from derive.layer import Layer

TEMPLATES = (MODULE, CACHE, FORWARD, BACKWARD, STAGED, JVP)
# What else cores are printed with, but for what they loop over or are given.
IN_CORES = (
    *("float", "m", "inputs", "row", "block", "made", "of", "place", "scratch", "work"),
    *("given", "own", "some"),
)

AT_TOP = re.compile(r"^(?:def |class )?(\w+(?:, \w+)*)(?=[(:]| =)", re.MULTILINE)
LOOP = re.compile(r"\n +for (.+?) in ")
NO_ARRAY = re.compile(": (?:_|int|float|str|bool|tuple|Sequence|Callable)")  # as annotations

IN_COMPREHENSIONS = {"a"}  # bound there alone, where no quantity is mentioned


def refuse(kernels: Kernels, layout: ArrayLayout) -> None:
    """Raise InputError for what the module of these kernels could not say."""
    layer = kernels.derivation.layer
    _refuse_operations(layer)
    _refuse_names(kernels, layer, taken(layout))


def refuse_clashes(text: str, layer: Layer, layout: ArrayLayout) -> None:
    """Raise InputError if a quantity has the name of something else that a core binds."""
    names = {code_name(definition.var): definition.var.label for definition in layer}

    def may_clash(code: str) -> bool:  # quick to tell
        annotated = [before.rpartition(" ")[2] for before in NO_ARRAY.split(code)[:-1]]
        bound = re.findall(r"\w+", " ".join([*LOOP.findall(code), *annotated]))
        return not names.keys().isdisjoint(bound)

    if not may_clash(text):
        return
    support = _defined(layout.support())
    clashing = {
        name
        for part in text.split("\n\n\n")
        if may_clash(part)
        for node in ast.parse(part).body
        if isinstance(node, ast.FunctionDef) and node.name not in support
        for name in _bound_twice(node)
    }
    for name, label in names.items():
        if name in clashing:
            raise _clash(f"{layer.name}: {label}", name)


def _bound_twice(function: ast.FunctionDef) -> set[str]:
    """The names of loops and of parameters that are no arrays, if something else has them too."""
    fixed: list[str] = []
    arrays: list[str] = []
    for argument in function.args.args:
        kind = ast.unparse(argument.annotation) if argument.annotation else ""
        (arrays if kind in ("Any", "Array") else fixed).append(argument.arg)
    for node in ast.walk(function):
        if isinstance(node, ast.For):
            fixed += {part.id for part in ast.walk(node.target) if isinstance(part, ast.Name)}
        elif isinstance(node, ast.Assign):
            arrays += {part.id for part in node.targets if isinstance(part, ast.Name)}
    return set(fixed) & set(arrays)


def _clash(where: str, name: str) -> InputError:
    return InputError(
        f"{where} cannot be called {name} in a generated module, where {name} is something else; "
        "call it otherwise"
    )


@cache
def taken(layout: ArrayLayout) -> frozenset[str]:
    """Every name in the fixed text of a layout that a quantity's name would hide."""
    found = {*IN_CORES, *(CODE_NAMES.get(label, label) for label in PASS_LABELS)}
    found |= _defined(layout.support())
    for template in (*TEMPLATES, layout.jacobian):
        filled = defaultdict(lambda: "_", layout.fields())
        filled["summary"] = '"""_'  # which opens the docstring
        found |= _names(template.format_map(filled))
    return frozenset(found - {"x", "y"} - IN_COMPREHENSIONS)


def _defined(chunk: str) -> frozenset[str]:
    """The names in a Python text that it defines, or assigns at its top level."""
    return frozenset(name for names in AT_TOP.findall(chunk) for name in names.split(", "))


@cache
def _names(text: str) -> frozenset[str]:
    """The names in a Python text, but for attributes."""
    found, before = set(), ""
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME and before != ".":
            found.add(token.string)
        before = token.string
    return frozenset(found)


def _refuse_names(kernels: Kernels, layer: Layer, hidden: frozenset[str]) -> None:
    ends = (layer.data, layer.output)
    own = [v for v in (*layer.inputs, *layer.parameters, *(d.var for d in layer)) if v not in ends]
    named: dict[str, str] = {"x": "the data", "y": "the output"}
    made = _made(kernels, {*own, *ends})
    sizes = {axis.size.name: f"the size of {axis}" for axis in layer.data.axes}
    for name, label in [*((code_name(v), v.label) for v in own), *sizes.items()]:
        where = f"{layer.name}: {label}"
        if not name.isidentifier() or iskeyword(name) or name.startswith("_"):
            raise InputError(f"{where} is no name in Python; begin with a letter, then a-z, 0-9, _")
        if name in named:
            raise InputError(f"{where} would be called {name} in the module, as is {named[name]}")
        if name in made or (name in hidden and (label, name) != (sizes.get("m"), "m")):
            raise _clash(where, name)
        named[name] = label


def _made(kernels: Kernels, own: set[Var]) -> set[str]:
    """The names that the module makes from those of the layer."""
    every = (
        kernels.forward,
        kernels.backward,
        kernels.backward_staged,
        kernels.jvp,
        kernels.jacobian,
    )
    programs, labels = [kernel.program for kernel in every], {var.label for var in own}
    found = {f"_{kernel.name}" for kernel in every}
    found |= {
        code_name(var)
        for program in programs
        for var in (*program.given, *(a.target for a in program.assigns), *program.results)
        if var.label not in labels
    }
    for name in [code_name(var) for var in own]:
        found |= {f"{name}_row", f"{name}_block", f"wide_{name}", f"d{name}", f"{name}_dot"}
        found |= {f"wide_d{name}", f"wide_{name}_dot", f"d{name}_block", f"{name}_dot_block"}
    return found


def _refuse_operations(layer: Layer) -> None:
    sizes = [axis.size for axis in layer.reduced_axes]
    for definition in layer:
        where = f"{layer.name}: {definition.var.label}"
        for function in sorted(definition.expr.atoms(Function), key=str):
            if isinstance(function, Activation):
                raise InputError(f"{where} has any function g; a kernel needs one by name, as tanh")
            if type(function) not in FUNCTIONS and not isinstance(function, Sigmoid):
                raise InputError(
                    f"{where} has {type(function).__name__.lower()}, which NumPy has not; "
                    f"it has {', '.join(sorted(_spelt()))}"
                )
            if any(arg.is_number and not arg.is_Integer for arg in function.args):
                raise InputError(
                    f"{where} has a function of a fraction, which a kernel would round; "
                    "write max(2*x, 1)/2 for max(x, 1/2)"
                )
        powers = definition.expr.atoms(Pow)
        if bad := [p for p in powers if not (p.exp.is_Rational and p.exp.q <= 2)]:
            raise InputError(
                f"{where} has the power {min(bad, key=str).exp}; a kernel takes whole powers and "
                "square roots"
            )
        for symbol in sorted(definition.expr.atoms(Symbol), key=lambda symbol: symbol.name):
            if not isinstance(symbol, Var | Axis) and symbol not in sizes:
                raise InputError(
                    f"{where} has the size {symbol}; a kernel knows "
                    f"{', '.join(str(size) for size in sizes)} only, that of "
                    f"{', '.join(str(axis) for axis in layer.reduced_axes)}"
                )


def _spelt() -> Iterator[str]:
    """The functions that there is code for, as layer files call them."""
    printed = {*FUNCTIONS, Sigmoid}
    yield from (name for name, function in BY_NAME.items() if function in printed)

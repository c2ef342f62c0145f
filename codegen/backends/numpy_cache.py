"""What a module's cache keeps, in words: a line or so for each of its fields."""

from __future__ import annotations

from collections.abc import Callable

from sympy import Pow

from codegen.names import CENTRE, CODE_NAMES, REST, code_name
from codegen.origins import origins_of, restated
from codegen.passes import mean_of_data
from codegen.pipeline import Kernels
from derive.expr import Definition, Var


def kept_lines(
    kernels: Kernels, lines_of: Callable[[Definition], list[str]], symbol: Callable[[Var], str]
) -> list[str]:
    """What the fields of the cache are, in the formulas' own notation."""
    layer = kernels.derivation.layer
    roots = kernels.derivation.chart.roots
    mu, origins = mean_of_data(layer), origins_of(kernels.forward)
    kept_as = {d.var: d.expr for d in restated(layer).values()} if origins else {}
    lines: list[str] = []
    for var in kernels.kept:
        name = Var(code_name(var), *var.axes)
        if var.label in roots:
            root = roots[var.label]
            lines += lines_of(Definition(name, Pow(root.base, -Pow(root.degree, -1))))
        elif var.label == CENTRE and mu is not None:
            lines.append(f"{code_name(var)} + {CODE_NAMES[REST]} = {symbol(mu.var)}")
        elif var in origins:
            lines.append(f"{symbol(var)}: the largest of {symbol(origins[var])}")
        elif var in kept_as:
            lines += lines_of(Definition(var, kept_as[var]))
        elif var.label != REST:
            lines.append(f"{name.label} = {symbol(var)}")
    return lines

"""A row that extends along several axes, counted by one size and told by one index.

The formulas of Group Norm say C·S, the channels of a group times their positions.  A kernel has
one name for it, m, and the Jacobian of a group one index for rows and one for columns: the axes
that are reduced become one of size m, and δ of each of them together one δ.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from sympy import Expr, Pow, Symbol

from codegen.ir import Assign, Program
from codegen.lines import LineKernel
from codegen.pipeline import Kernel, Kernels
from derive.errors import InputError
from derive.expr import Axis, Delta, SumOver, Var, mul, rebuild
from derive.layer import Layer

SIZE = "m"


def with_one_size(kernels: Kernels) -> Kernels:
    """The kernels with m in the place of a product of sizes; unchanged where it is one size.

    Raises InputError where a size occurs by itself.
    """
    layer = kernels.derivation.layer
    return replace(
        kernels,
        forward=counted(kernels.forward, layer),
        backward=counted(kernels.backward, layer),
        backward_staged=counted(kernels.backward_staged, layer),
        jvp=counted(kernels.jvp, layer),
        jacobian=counted(kernels.jacobian, layer, one_index=True),
    )


def counted(kernel: Kernel, layer: Layer, *, one_index: bool = False) -> Kernel:
    """One kernel so; with ``one_index`` its axes, too, become one."""
    if len(layer.reduced_axes) == 1:
        return kernel
    row = Axis("i", SIZE)

    def change(expr: Expr) -> Expr:
        made = _counted(expr, layer, row.size)
        return _told(made, layer.reduced_axes, row) if one_index else made

    def target(var: Var) -> Var:
        changed = change(var)
        assert isinstance(changed, Var)
        return changed

    program = Program(
        tuple(target(var) for var in kernel.program.given),
        tuple(Assign(target(a.target), change(a.expr), a.note) for a in kernel.program.assigns),
        tuple(target(var) for var in kernel.program.results),
    )
    if isinstance(kernel, LineKernel):
        wide, statistics = counted(kernel.wide, layer), counted(kernel.statistics, layer)
        return replace(kernel, program=program, wide=wide, statistics=statistics)
    return Kernel(kernel.name, program, ())


def _counted(expr: Expr, layer: Layer, size: Symbol) -> Expr:
    """m for the product of the sizes of all that is reduced."""
    *others, last = (axis.size for axis in layer.reduced_axes)

    def visit(part: Expr) -> Expr:
        if part == last:
            return mul(size, *(Pow(other, -1) for other in others))
        if isinstance(part, Var | Delta) or not part.args:
            return part
        return rebuild(part, (visit(arg) for arg in part.args))

    made = visit(expr)
    if alone := sorted({other.name for other in others} & {s.name for s in made.atoms(Symbol)}):
        raise InputError(
            f"{layer.name} has the size {alone[0]}; a kernel knows only the product of the sizes "
            f"of {' and '.join(str(axis) for axis in layer.reduced_axes)}"
        )
    return made


def _told(expr: Expr, reduced: tuple[Axis, ...], row: Axis) -> Expr:
    """One index in the place of those of the reduced axes, in every quantity, δ and sum."""
    bases = {axis.base: axis for axis in reduced}

    def axes(old: Iterable[Axis]) -> tuple[Axis, ...]:
        return tuple(dict.fromkeys(row.prime(a.level) if a.base in bases else a for a in old))

    def visit(part: Expr) -> Expr:
        if isinstance(part, Var):
            return part.at(*axes(part.axes)) if part.axes else part
        if isinstance(part, Delta):
            base = part.indices[0].base
            if base not in bases:
                return part
            return Delta(*axes(part.indices)) if base == reduced[0].base else mul(1)
        if isinstance(part, SumOver):
            return SumOver(visit(part.body), *axes(part.axes))
        return rebuild(part, (visit(arg) for arg in part.args)) if part.args else part

    return visit(expr)

"""Sums of cotangents and tangents about numbers near their means, for a narrow type.

The mean of an upstream gradient dy weighs m times in Σ dy, and Σ dy multiplies whatever error the
rest of the data's centre has in Σ dy (x − μ) = Σ dy·d − rest Σ dy.  With dy = centre + d_dy, and
since Σ d = m rest,

    Σ dy (x − μ) = Σ d_dy·d − rest Σ d_dy        Σ dy = Σ d_dy + m centre

where Σ d_dy is small.  Any centre gives the same results, which is proved as for every pass.
"""

from __future__ import annotations

from dataclasses import replace

from sympy import Integer

from codegen.combinations import Combination, PlainSums, combination
from codegen.ir import Assign, Program, is_sum
from codegen.names import REST, SHIFTED, unused
from derive.derivation import Derivation
from derive.expr import SumOver, Var, add, free_axes, mul, variables

NOTE = "from sums about a number near the mean"


def centre_cotangents(program: Program, derivation: Derivation) -> Program:
    """A program of plain sums with those of arrays that are not the data taken about centres."""
    layer = derivation.layer
    axes, data = frozenset(layer.reduced_axes), layer.data
    rest = next((var for var in program.given if var.label == REST), None)
    others = [v for v in program.given if axes <= free_axes(v) and v != data]
    if rest is None or not others:
        return program
    taken = set(program.names())
    known: dict[Var, Combination] = {}
    assigns: list[Assign] = []
    for array in others:
        centre = Var(unused(f"{array.label}_centre", taken), *rest.axes)
        shifted = shifted_of(array)
        known[array] = {(shifted,): Integer(1), (): centre}
        assigns.append(Assign(shifted, add(array, mul(-1, centre)), "less a number near its mean"))
    centres = tuple(terms[()] for terms in known.values())
    sums = PlainSums(layer.reduced_axes, assigns, taken)
    size = mul(*(axis.size for axis in layer.reduced_axes))
    sums.known[SumOver(Var(SHIFTED, *data.axes), *layer.reduced_axes)] = mul(size, rest)
    for assign in program.assigns:
        if is_sum(assign) and not known.keys().isdisjoint(variables(assign.expr.body)):
            terms = combination(assign.expr.body, axes, known)
            assigns.append(replace(assign, expr=sums.whole(terms), note=NOTE))
        else:
            assigns.append(assign)
    return replace(program, given=(*program.given, *centres), assigns=tuple(assigns))


def shifted_of(array: Var) -> Var:
    """An array less its centre."""
    return Var(f"{array.label}_shifted", *array.axes)


def centred_in(program: Program) -> tuple[tuple[Var, Var], ...]:
    """The centres that a program takes from arrays that are given, each with its array."""
    found = []
    for assign in program.assigns:
        for array in variables(assign.expr) if assign.target.label != SHIFTED else ():
            if assign.target == shifted_of(array) and array in program.given:
                (centre,) = (v for v in variables(assign.expr) if v != array)
                found.append((centre, array))
    return tuple(found)

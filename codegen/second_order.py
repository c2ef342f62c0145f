"""The kernel of a layer's double backward, from its closed forms in centred quantities.

The program has the means of dy and v_dx by name, what is left of each, and the closed forms with
their sums over those: nothing of the size of mΣvg − ΣvΣg is ever subtracted.  It goes through the
passes and proofs of any other kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from codegen.ir import Program
from codegen.lower import needed
from codegen.origins import ORIGIN_PASSES, SOFTMAX_Y, as_in_kernels, choosing, has_origins, restated
from codegen.passes import PASSES, ProgramPass, collect_arrays, hoist
from codegen.pipeline import Kernel, transform
from codegen.schedule import schedule
from derive.derivation import Derivation
from derive.expr import Definition, SumOver, adjoint, substitute
from derive.layer import Layer
from derive.layers.batch_norm import BATCH_NORM
from derive.layers.group_norm import GROUP_NORM
from derive.layers.instance_norm import INSTANCE_NORM
from derive.layers.layer_norm import LAYER_NORM
from derive.layers.rms_norm import RMS_NORM
from derive.layers.softmax import SOFTMAX
from derive.second_order import SecondOrder

LAYERS = (BATCH_NORM, LAYER_NORM, RMS_NORM, GROUP_NORM, INSTANCE_NORM, SOFTMAX, SOFTMAX_Y)


@dataclass(frozen=True)
class SecondOrderKernel:
    """The kernel, what it was derived from, and how many results were proved on the way."""

    second: SecondOrder
    kernel: Kernel
    proofs: int


@cache
def build_second_order(
    derivation: Derivation, passes: tuple[ProgramPass, ...] = PASSES
) -> SecondOrderKernel:
    """Lower, rewrite, prove and schedule the double backward of a layer; once for all backends."""
    derivation = as_in_kernels(derivation)
    second = derivation.second_order
    layer = derivation.layer
    statistics = tuple(d.var for d in layer if d.expr.has(SumOver))
    elementwise = [d for d in layer if not d.expr.has(SumOver)]
    closed = [second.closing.written_out(result) for result in second.results]
    noted = [Definition(d.var, d.expr, "closed form of the double backward") for d in closed]
    kept = (*layer.inputs, *layer.parameters, *statistics)
    given = (*kept, adjoint(layer.output), *second.cotangents)
    results = tuple(d.var for d in closed)
    program = needed(given, [*elementwise, *second.split, *noted], results)
    meaning = {}
    for definition in closed:
        expr = definition.expr
        for named in reversed(second.split):
            expr = substitute(expr, {named.var.label: named})
        meaning[definition.var.label] = expr
    if not has_origins(derivation):
        # These formulas are long, with one array in several terms.
        passes = tuple(collect_arrays if step is hoist else step for step in passes)
        program, proofs = transform(program, passes, derivation, meaning)
        return SecondOrderKernel(second, _kernel(program, layer), proofs)
    program, proofs = transform(program, ORIGIN_PASSES, derivation, meaning, restated(layer))
    return SecondOrderKernel(second, choosing(_kernel(program, layer), layer), proofs)


def _kernel(program: Program, layer: Layer) -> Kernel:
    return Kernel("double_backward", program, schedule(program, layer.data))

"""Kernels of the block: linear layer, Batch Norm and activation, in both placements.

The programs are the derivations' own formulas, as in :mod:`codegen.lower`: the definitions for
``forward``; for ``backward`` the closed forms in stages, dl/dZ in terms of dl/dZ_tilde and
dl/dW in terms of dl/dZ, which is also the order in which they are best computed.  The passes:

1. ``name_roots``     (σ²+ε)^(-1/2) is computed once and gets a name;
2. ``collect_sums``   every sum becomes one assignment, shared by all that need it;
3. ``hoist``          what is constant along the reduced axes is multiplied first;
4. ``return_sums``    a sum that one formula alone reads goes back into it.

A sum of products over one axis, such as Σₖ WₚₖAₖᵢ, stays a sum here, so that it can be proved; a
backend recognises it as a matrix product (:func:`matrix_product`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from sympy import Expr, Mul, tanh

from codegen.ir import Program, is_sum
from codegen.lower import assigns, needed
from codegen.passes import ProgramPass, collect_sums, hoist, name_roots
from codegen.pipeline import certify_program
from derive.derivation import Derivation, derive
from derive.expr import Axis, Definition, SumOver, Var, adjoint, substitute, variables
from derive.functions import Relu, Sigmoid
from derive.layers.block import BLOCK, BLOCK_BEHIND

# The activations that go by name.
ACTIVATIONS: Mapping[str, Callable[[Expr], Expr]] = {
    "identity": lambda a: a,
    "relu": Relu,
    "sigmoid": Sigmoid,
    "tanh": tanh,
}


@dataclass(frozen=True)
class Placement:
    """The block with Batch Norm in one place, and how many results were proved on the way."""

    name: str
    derivation: Derivation
    forward: Program
    backward: Program
    proofs: int


def build_block() -> tuple[Placement, ...]:
    """Lower, rewrite and prove both placements: before the activation, and behind it."""
    return _placement("before", derive(BLOCK)), _placement("behind", derive(BLOCK_BEHIND))


def _placement(name: str, derivation: Derivation) -> Placement:
    layer = derivation.layer
    statistics = tuple(d.var for d in layer if d.expr.has(SumOver))
    elementwise = [d for d in layer if not d.expr.has(SumOver)]
    wanted = tuple(adjoint(var) for var in layer.inputs)
    stages = {adjoint(var) for var in layer.stages}
    closed = [
        Definition(r.var, r.closed, f"closed form of dl/d{r.var.of}")
        for r in derivation.adjoints
        if r.var in {*wanted, *stages}
    ]
    given = (*layer.inputs, *layer.parameters)
    forward = Program(given, assigns(layer.definitions), (*statistics, layer.output))
    kept = (*given, *statistics, adjoint(layer.output))
    backward = needed(kept, [*elementwise, *closed], wanted)
    forward, one = _transformed(forward, derivation)
    backward, two = _transformed(backward, derivation)
    return Placement(name, derivation, forward, backward, one + two)


def _transformed(program: Program, derivation: Derivation) -> tuple[Program, int]:
    meaning = _meaning(derivation)
    proofs = 0
    for rewrite in BLOCK_PASSES:
        program = rewrite(program, derivation)
        proofs += certify_program(program, derivation, meaning, rewrite.__name__)
    return program, proofs


def _meaning(derivation: Derivation) -> dict[str, Expr]:
    """What each result has to be equal to; of the adjoints, with their stages inserted."""
    unfolded: dict[str, Definition] = {}
    for result in derivation.adjoints:
        expr = substitute(result.closed, unfolded)
        unfolded[result.var.label] = Definition(result.var, expr)
    return {
        **{d.var.label: d.var for d in derivation.layer},
        **{root.var.label: root.var for root in derivation.chart.roots.values()},
        **{label: definition.expr for label, definition in unfolded.items()},
    }


# --- Sums -----------------------------------------------------------------------------------------


def return_sums(program: Program, _: Derivation) -> Program:
    """The named sums that one formula alone reads, put back into it."""
    reads = Counter(var.label for a in program.assigns for var in variables(a.expr))
    single = {
        a.target.label: Definition(a.target, a.expr)
        for a in program.assigns
        if is_sum(a) and reads[a.target.label] == 1 and a.target not in program.results
    }
    remaining = (a for a in program.assigns if a.target.label not in single)
    return replace(
        program, assigns=tuple(replace(a, expr=substitute(a.expr, single)) for a in remaining)
    )


def matrix_product(total: SumOver, rows: Axis) -> tuple[Var, Var] | None:
    """The factors of a sum of products over one axis: the one that varies over ``rows`` first."""
    factors = Mul.make_args(total.body)
    if len(total.axes) != 1 or len(factors) != 2:
        return None
    if not all(
        isinstance(f, Var) and len(f.axes) == 2 and total.axes[0] in f.axes for f in factors
    ):
        return None
    left, right = sorted(factors, key=lambda factor: rows not in factor.axes)
    return (left, right) if rows in left.axes and rows not in right.axes else None


BLOCK_PASSES: tuple[ProgramPass, ...] = (name_roots, collect_sums, hoist, return_sums)

"""Which of several equal formulas a right kernel computes.

∂ℓ/∂μ has a term with Σ(x−μ), which is 0 by the definition of μ.  Some kernels compute it, others
leave it out, and people ask again and again which of them is wrong: neither.  Where a kernel is
given μ and σ² one by one, the two can be told apart with numbers that are not those of x.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sympy import Add

from derive.derivation import derive
from derive.expr import Definition, add, adjoint, mul
from derive.layer import Layer
from derive.trace import Result, Step
from verify.audit.arrays import Floats, run
from verify.audit.hypotheses import Program
from verify.audit.predictor import Predictor
from verify.audit.probes import Probe, scales
from verify.audit.sample import TOLERANCE

VANISHING = "vanishing sum"


@dataclass(frozen=True)
class Form:
    """A kernel keeps ``term`` in the formula of ``line``; the derivation drops it by ``step``."""

    term: Add
    line: Result
    step: Step


def form_of(layer: Layer, probe: Probe, given: tuple[Floats, Floats], dx: Floats) -> Form | None:
    """The vanishing term that a right kernel computes; None where none is seen."""
    adjoints = derive(layer).adjoints
    line = next((r for r in adjoints if any(s.rule == VANISHING for s in r.staging)), None)
    if line is None:
        return None
    step = next(s for s in line.staging if s.rule == VANISHING)
    without = tuple(Definition(r.var, r.staged) for r in adjoints)
    with_ = tuple(Definition(r.var, step.before if r is line else r.staged) for r in adjoints)
    if not _gives(layer, with_, probe, given, dx) or _gives(layer, without, probe, given, dx):
        return None
    return Form(add(step.before, mul(-1, step.after)), line, step)


def _gives(
    layer: Layer, backward: Program, probe: Probe, given: tuple[Floats, Floats], dx: Floats
) -> bool:
    predictor = Predictor(layer, probe)
    statistics = [d.var.label for d in layer][:2]
    known = {**predictor.given, **dict(zip(statistics, given, strict=True))}
    program = (*(d for d in layer if d.var.label not in statistics), *backward)
    values = run(program, predictor.space, known)
    found = predictor.results(values)[adjoint(layer.data).label]
    size = max(scales(probe)["dx"], float(abs(found).max()))
    return bool(np.abs(found - dx).max() <= TOLERANCE * size)

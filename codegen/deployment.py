"""Kernels of Batch Norm beside training: test mode, its statistics, and folding.

Their programs come from the derivation of the frozen layer and from the conclusions of the studies,
and go through the same passes and proofs as any other.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from sympy import Expr

from codegen.ir import Assign, Program
from codegen.lower import lower
from codegen.passes import PASSES, ProgramPass, name_roots
from codegen.pipeline import Kernel, certify_program, transform
from codegen.schedule import schedule
from derive.derivation import Derivation, derive
from derive.expr import Definition, variables
from derive.layers.batch_norm_inference import BATCH_NORM_INFERENCE
from derive.studies import STUDIES

FOLD: tuple[ProgramPass, ...] = (name_roots,)


@dataclass(frozen=True)
class FormulaKernel(Kernel):
    """A kernel that reads no data; ``concludes`` is what its results were before any pass."""

    concludes: tuple[Definition, ...]


@dataclass(frozen=True)
class Deployment:
    """Kernels by name, and how many results of theirs were proved on the way."""

    inference: Derivation
    infer: Kernel
    infer_backward: Kernel
    fold: FormulaKernel
    fold_linear: FormulaKernel
    running_biased: FormulaKernel
    running_unbiased: FormulaKernel
    population: FormulaKernel
    proofs: int


@cache
def _inference() -> Derivation:
    """Derived once for all backends."""
    return derive(BATCH_NORM_INFERENCE)


def build_deployment(passes: Sequence[ProgramPass] = PASSES) -> Deployment:
    """Lower, rewrite, prove and schedule the kernels for test mode."""
    inference = _inference()
    programs = lower(inference)
    infer, one = transform(programs.forward, passes, inference)
    infer_backward, two = transform(programs.backward, passes, inference)
    kernels, three = _formula_kernels()
    data = inference.layer.data
    return Deployment(
        inference,
        Kernel("infer", infer, schedule(infer, data)),
        Kernel("infer_backward", infer_backward, schedule(infer_backward, data)),
        **kernels,
        proofs=one + two + three,
    )


@cache
def _formula_kernels() -> tuple[dict[str, FormulaKernel], int]:
    """The kernels that read no data, the same for all backends, and how much was proved."""
    alone, linear = (section.conclusions for section in STUDIES["folding"].develop())
    _, running, population = (s.conclusions for s in STUDIES["running_statistics"].develop())
    average, biased, unbiased = running
    groups = {
        "fold": (alone, FOLD),
        "fold_linear": (linear, FOLD),
        "running_biased": ((average, biased), ()),
        "running_unbiased": ((average, unbiased), ()),
        "population": (population, ()),
    }
    kernels, proofs = {}, 0
    for name, (conclusions, rewrites) in groups.items():
        program, proved = _formulas(conclusions, rewrites, _inference())
        kernels[name] = FormulaKernel(name, program, (), conclusions)
        proofs += proved
    return kernels, proofs


def _formulas(
    conclusions: Iterable[Definition], passes: Sequence[ProgramPass], derivation: Derivation
) -> tuple[Program, int]:
    """A program of formulas that read no data."""
    assigns = tuple(Assign(d.var, d.expr, d.note) for d in conclusions)
    results = tuple(assign.target for assign in assigns)
    read = dict.fromkeys(var for assign in assigns for var in variables(assign.expr))
    program = Program(tuple(read), assigns, results)
    meaning: Mapping[str, Expr] = {assign.target.label: assign.expr for assign in assigns}
    proofs = 0
    for rewrite in passes:
        program = rewrite(program, derivation)
        proofs += certify_program(program, derivation, meaning, rewrite.__name__)
    return program, proofs

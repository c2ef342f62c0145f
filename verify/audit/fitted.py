"""The terms of a gradient with other factors: what is left when no mistake explains it.

A gradient is a sum of terms, dx = γr dy − (γr/m)Σdy − (γr/m)x̂Σdyx̂.  If a kernel computes a times
the first, b times the second and so on, with the same a, b, … on every batch, these are found by
least squares, and are named as fractions.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from fractions import Fraction

import numpy as np
from sympy import Add, Expr, Rational

from derive.derivation import derive
from derive.expr import Definition, add, mul
from derive.layer import Layer
from verify.audit.arrays import Evaluator, run
from verify.audit.hypotheses import Hypothesis
from verify.audit.predictor import Predictor
from verify.audit.probes import scales
from verify.audit.sample import Sample

SIMPLE = 1000  # the largest denominator of a factor


def scaled(layer: Layer, samples: Sequence[Sample], name: str) -> Iterator[Hypothesis]:
    """The gradient with other factors in front of its terms, if that is what the samples are."""
    result = derive(layer)[name]
    forms = [step.after for step in result.steps if isinstance(step.after, Add)]
    if not forms:
        return
    terms = forms[-1].args
    columns, due = zip(*(_columns(layer, sample, terms, name) for sample in samples), strict=True)
    matrix, target = np.concatenate(columns), np.concatenate(due)
    if not np.isfinite(target).all():
        return
    factors = [_simple(f) for f in np.linalg.lstsq(matrix, target, rcond=None)[0]]
    off = abs(matrix @ np.array([float(f) for f in factors]) - target).max()
    if off <= max(sample.tolerance for sample in samples):
        yield _hypothesis(layer, Definition(result.var, forms[-1]), terms, factors)


def _columns(
    layer: Layer, sample: Sample, terms: Sequence[Expr], name: str
) -> tuple[np.ndarray, np.ndarray]:
    """The terms on one batch and what the kernel gave, both in units of what is added up."""
    predictor, scale = Predictor(layer, sample.probe), scales(sample.probe)[name]
    values = run(layer.definitions, predictor.space, predictor.given)
    evaluator = Evaluator(predictor.space, values)
    whole = [predictor.results({**values, name: evaluator.at(term)})[name] for term in terms]
    return np.stack([w.ravel() for w in whole], 1) / scale, sample.results[name].ravel() / scale


def _simple(factor: float) -> Fraction:
    return Fraction(float(factor)).limit_denominator(SIMPLE)


def _hypothesis(
    layer: Layer, line: Definition, terms: Sequence[Expr], factors: Sequence[Fraction]
) -> Hypothesis:
    pairs = [(t, Rational(f.numerator, f.denominator)) for t, f in zip(terms, factors, strict=True)]
    mistakes = tuple((f"times {factor}", term) for term, factor in pairs if factor != 1)
    wrong = Definition(line.var, add(*(mul(factor, term) for term, factor in pairs)))
    program = (*layer.definitions, wrong)
    return Hypothesis(mistakes, line, wrong.expr, program, len(program) - 1)

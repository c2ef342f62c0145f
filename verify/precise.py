"""Gradients of any reference definition in high precision, to judge floating-point kernels by.

The same dual numbers as in the exact oracle, over mpmath numbers instead of a field: no rule of
the symbolic engine is used here either.  One pass through the definition per input entry, so this
is for small arrays.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from mpmath import MPContext
from numpy.typing import NDArray

from verify.duals import Duals
from verify.exact import moved_run, run
from verify.fields import Index, Scalar
from verify.references import Reference

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Reals:
    """mpmath numbers of a context of their own, so that no global precision is changed."""

    context: Any

    def number(self, value: int | Fraction) -> Scalar:
        ratio = Fraction(value)
        return self.context.mpf(ratio.numerator) / ratio.denominator

    def sqrt(self, a: Scalar) -> Scalar:
        return self.context.sqrt(a)

    def exp(self, a: Scalar) -> Scalar:
        return self.context.exp(a)

    def log(self, a: Scalar) -> Scalar:
        return self.context.log(a)

    def transcendental(self, name: str, a: Scalar) -> Scalar:
        if name == "gauss":
            return 2 * self.context.exp(-(a**2)) / self.context.sqrt(self.context.pi)
        return getattr(self.context, name)(a)


def high_precision_gradients(
    reference: Reference,
    inputs: Mapping[str, Floats],
    eps: float,
    cotangent: Floats,
    digits: int = 50,
) -> dict[str, Floats]:
    """The gradient of sum(cotangent * output) with respect to each input, rounded once to float64.

    ``inputs`` holds each input of the reference by label, in the shapes it indexes (x: (m, C),
    gamma: (C,), ...); ``cotangent`` has the shape of the output, which is the value that the
    reference reports last.  Raises ValueError if that shape is another.
    """
    context = MPContext()
    context.dps = digits
    reals = Reals(context)
    given = {label: entries(reals, values) for label, values in inputs.items()}
    given["eps"] = {(): context.mpf(eps)}
    output = list(run(reference.forward, reals, given).items())[-1]
    weights = entries(reals, cotangent)
    if weights.keys() != output[1].keys():
        raise ValueError(f"cotangent has shape {cotangent.shape}, which is not that of {output[0]}")
    duals = Duals(reals)

    def gradient(label: str, at: Index) -> float:
        moved = moved_run(reference.forward, duals, given, label, at)[output[0]]
        return float(sum(weights[i] * duals.derivative(value) for i, value in moved.items()))

    return {
        label: np.array([gradient(label, at) for at in np.ndindex(values.shape)]).reshape(
            values.shape
        )
        for label, values in inputs.items()
    }


def entries(reals: Reals, values: Floats) -> dict[Index, Scalar]:
    """An array's elements, exactly."""
    return {at: reals.context.mpf(float(values[at])) for at in np.ndindex(values.shape)}

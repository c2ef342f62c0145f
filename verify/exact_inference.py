"""Batch Norm with given statistics, folded and updated, in exact arithmetic.

In test mode mean and variance are constants, so with r = 1/√(v+ε) and s = γr

    y = s(x−μ) + β        dx = s·dy        dγ = r Σdy(x−μ)        dβ = Σdy

and folding is y = s·x + (β − sμ), which into a preceding weight and bias is W′ = sW and
b′ = s(b−μ) + β.  Everything is rational but r, which is right to 2⁻²⁵⁵
(:func:`verify.exact_batch_norm.inverse_root`).

Written out by hand on purpose: nothing here comes from the derivation that it helps to check.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from numpy.typing import NDArray

from verify.exact_batch_norm import Affine, Centred, inverse_root


@dataclass(frozen=True)
class Frozen:
    """One channel in test mode: its parameters and the statistics that it is given."""

    gamma: Fraction
    beta: Fraction
    mean: Fraction
    inv_std: Fraction

    @classmethod
    def of(cls, gamma: float, beta: float, mean: float, var: float, eps: float) -> Frozen:
        """Raises ValueError where var + eps ≤ 0 or a value is not finite."""
        q = Fraction(var) + Fraction(eps)
        return cls(Fraction(gamma), Fraction(beta), Fraction(mean), inverse_root(q))

    @property
    def scale(self) -> Fraction:
        return self.gamma * self.inv_std

    @property
    def shift(self) -> Fraction:
        return self.folded_bias(Fraction(0))

    @property
    def condition(self) -> float:
        """1 + |μ|/√(v+ε): how much a relative change of x is magnified in x̂."""
        return 1.0 + float(abs(self.mean) * self.inv_std)

    def y(self, x: NDArray[Any]) -> Affine:
        """For the m ≥ 1 floats of the channel."""
        data = Centred.of(x)
        return Affine(((self.scale, data),), self.folded_bias(data.mean))

    def backward(self, dy: NDArray[Any], x: NDArray[Any]) -> tuple[Affine, Fraction, Fraction]:
        """(dx, dγ, dβ)."""
        cotangent, data = Centred.of(dy), Centred.of(x)
        dbeta = cotangent.m * cotangent.mean
        dgamma = self.inv_std * (cotangent.dot(data) + dbeta * (data.mean - self.mean))
        return Affine(((self.scale, cotangent),), self.scale * cotangent.mean), dgamma, dbeta

    def folded_weight(self, weight: NDArray[Any]) -> Affine:
        """s·W for the weights of one output channel."""
        row = Centred.of(weight)
        return Affine(((self.scale, row),), self.scale * row.mean)

    def folded_bias(self, bias: Fraction) -> Fraction:
        """s(b−μ) + β."""
        return self.scale * (bias - self.mean) + self.beta


def updated(old: float, new: Fraction, momentum: float) -> Fraction:
    """The exponential average; ``momentum`` weighs the new value."""
    weight = Fraction(momentum)
    return (1 - weight) * Fraction(old) + weight * new


def average(values: Iterable[float]) -> Fraction:
    """The mean of some floats."""
    exact: Sequence[Fraction] = [Fraction(value) for value in values]
    return sum(exact, Fraction(0)) / len(exact)


def unbiased(variance: Fraction, m: int) -> Fraction:
    """m/(m−1) times a variance over m elements."""
    return variance * Fraction(m, m - 1)

"""Exact numbers that a kernel of others can compute with, and batches of them.

Many a NumPy kernel runs on object arrays as it does on floats.  Given rational numbers at which
√(σ²+ε) is rational, its results can be compared without a tolerance.  A floating-point constant in
the kernel is read as the simplest fraction that rounds to it: 0.5 as 1/2, ``1.0 / 7`` as 1/7.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any

import numpy as np

from verify.audit.probes import Probe
from verify.fields import RATIONALS

SIMPLE = 10**6  # the largest denominator that a constant is read with


def _read(value: object) -> Fraction | None:
    """A number of a kernel, exactly; None for what is no number.

    Raises TypeError for a float that is not read as a constant but was computed.
    """
    if isinstance(value, Exact):
        return value.value
    if isinstance(value, (int, np.integer)):
        return Fraction(int(value))
    if isinstance(value, (float, np.floating)):
        simple = Fraction(float(value)).limit_denominator(SIMPLE)
        if float(simple) != float(value):
            raise TypeError(f"it computes in floats: {value!r} is no simple fraction")
        return simple
    return None


def _binary(operation: Callable[[Fraction, Fraction], Any], turned: bool = False) -> Any:
    def method(self: Exact, other: object) -> Any:
        read = _read(other)
        if read is None:
            return NotImplemented
        found = operation(read, self.value) if turned else operation(self.value, read)
        return Exact(found) if isinstance(found, Fraction) else found

    return method


class Exact:
    """A rational number as NumPy's object arrays handle it; whole and half-whole powers."""

    __slots__ = ("value",)

    def __init__(self, value: Fraction) -> None:
        self.value = value

    __add__, __radd__ = _binary(operator.add), _binary(operator.add)
    __sub__, __rsub__ = _binary(operator.sub), _binary(operator.sub, turned=True)
    __mul__, __rmul__ = _binary(operator.mul), _binary(operator.mul)
    __truediv__, __rtruediv__ = _binary(operator.truediv), _binary(operator.truediv, turned=True)
    __lt__, __le__ = _binary(operator.lt), _binary(operator.le)
    __gt__, __ge__ = _binary(operator.gt), _binary(operator.ge)
    __eq__ = _binary(operator.eq)

    def __hash__(self) -> int:
        return hash(self.value)

    def __neg__(self) -> Exact:
        return Exact(-self.value)

    def __abs__(self) -> Exact:
        return Exact(abs(self.value))

    def __pow__(self, exponent: object) -> Exact:
        read = _read(exponent)
        if read is None or read.denominator > 2:
            return NotImplemented
        base = self.sqrt() if read.denominator == 2 else self
        return Exact(Fraction(base.value**read.numerator))

    def sqrt(self) -> Exact:
        """What np.sqrt asks of an object.  Raises NotASquare."""
        return Exact(RATIONALS.sqrt(self.value))

    def conjugate(self) -> Exact:
        """What np.var asks of an object."""
        return self


Numbers = Mapping[str, Any]  # nested lists of numbers as text, by label


def probe_of(layer: str, numbers: Numbers) -> Probe:
    """A batch written down by :mod:`verify.audit.exactly`, as exact numbers."""
    whole = np.frompyfunc(lambda text: Exact(Fraction(text)), 1, 1)
    x, gamma, beta, dy = (whole(np.array(numbers[k])) for k in ("x", "gamma", "beta", "dy"))
    return Probe(layer, "exact", x, gamma, beta, dy, whole(numbers["eps"]))


def written(array: Any) -> list[str]:
    """Results as text, flat.  Raises TypeError where the kernel has made a float of one."""
    found = []
    for number in np.ravel(array):
        read = None if isinstance(number, (float, np.floating)) else _read(number)
        if read is None:
            raise TypeError(f"it makes a {type(number).__name__} of exact numbers")
        found.append(str(read))
    return found

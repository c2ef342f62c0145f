"""The elementwise functions that definitions may use beside exp, log and tanh, which are SymPy's.

    f           f′                  at the kink
    sigmoid     f (1 − f)
    erf         gauss
    gauss(a)    −2a f               gauss(a) = 2/√π exp(−a²), the slope of erf
    abs         sign                abs′(0) = sign(0) = 0, as in PyTorch
    sign        0                   also at 0
    relu        step                relu′(0) = step(0) = 0, as in PyTorch
    step        0                   also at 0
    max(a, b)   (1 ± sign(a − b))/2 1/2 each where a = b, as in PyTorch

The family is closed under differentiation and free of irrational numbers, so that derivatives of
every order have a normal form.  SymPy's own Abs, Max and erf are not used: their derivatives bring
Dirac deltas, Heaviside steps and √π.

The normal form takes f(a), with a in normal form, as a generator of its own, and knows nothing of f
but what is built in here: parity, values at rational numbers, and max(a, b) = (a + b + |a − b|)/2.
Nothing may depend on how a is written: |a| = a for a square a, say, would hold for (x + z)² and not
for the same square multiplied out.
"""

from __future__ import annotations

from typing import Any

from sympy import Expr, Function, Integer, Pow, exp, log, tanh

from derive.expr import HALF, add, mul


class Sigmoid(Function):
    """1/(1 + exp(−a))."""

    nargs = 1
    is_positive = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return mul(self, add(1, mul(-1, self)))

    def by_exp(self) -> Expr:
        """1/(1 + exp(−a)), to compute it by."""
        return Pow(add(1, exp(mul(-1, self.args[0]))), -1)


class Erf(Function):
    """The error function, 2/√π ∫₀ᵃ exp(−t²) dt."""

    nargs = 1
    is_real = True

    @classmethod
    def eval(cls, a: Expr) -> Any:
        return _odd(cls, a)

    def fdiff(self, argindex: int = 1) -> Expr:
        return Gauss(self.args[0])


class Gauss(Function):
    """2/√π exp(−a²), the slope of erf."""

    nargs = 1
    is_positive = True

    @classmethod
    def eval(cls, a: Expr) -> Any:
        return cls(-a) if a.could_extract_minus_sign() else None

    def fdiff(self, argindex: int = 1) -> Expr:
        return mul(-2, self.args[0], self)


class Absolute(Function):
    """|a|."""

    nargs = 1
    is_nonnegative = True

    @classmethod
    def eval(cls, a: Expr) -> Any:
        if a.is_Rational:
            return abs(a)
        return cls(-a) if a.could_extract_minus_sign() else None

    def fdiff(self, argindex: int = 1) -> Expr:
        return Sign(self.args[0])


class Sign(Function):
    """−1, 0 or 1."""

    nargs = 1
    is_real = True

    @classmethod
    def eval(cls, a: Expr) -> Any:
        if a.is_Rational:
            return Integer(bool(a > 0) - bool(a < 0))
        return _odd(cls, a)

    def fdiff(self, argindex: int = 1) -> Expr:
        return Integer(0)


class Relu(Function):
    """a where it is positive, else 0."""

    nargs = 1
    is_nonnegative = True

    @classmethod
    def eval(cls, a: Expr) -> Any:
        return max(a, Integer(0)) if a.is_Rational else None

    def fdiff(self, argindex: int = 1) -> Expr:
        return Step(self.args[0])


class Step(Function):
    """1 where a is positive, else 0."""

    nargs = 1
    is_nonnegative = True

    @classmethod
    def eval(cls, a: Expr) -> Any:
        return Integer(bool(a > 0)) if a.is_Rational else None

    def fdiff(self, argindex: int = 1) -> Expr:
        return Integer(0)


class Maximum(Function):
    """The larger of a and b."""

    nargs = 2
    is_real = True

    @classmethod
    def eval(cls, a: Expr, b: Expr) -> Any:
        if a == b:
            return a
        return max(a, b) if a.is_Rational and b.is_Rational else None

    def fdiff(self, argindex: int = 1) -> Expr:
        a, b = self.args if argindex == 1 else reversed(self.args)
        return mul(HALF, add(1, Sign(add(a, mul(-1, b)))))

    def by_absolute(self) -> Expr:
        """(a + b + |a − b|)/2.  True of exact numbers; in floating point it would cancel."""
        a, b = self.args
        return mul(HALF, add(a, b, Absolute(add(a, mul(-1, b)))))


class Activation(Function):
    """g(a), any elementwise function with a derivative."""

    nargs = 1
    is_real = True

    def fdiff(self, argindex: int = 1) -> Expr:
        return ActivationSlope(self.args[0])


class ActivationSlope(Function):
    """g′(a)."""

    nargs = 1
    is_real = True


def _odd(function: Any, a: Expr) -> Any:
    """f(0) = 0 and f(−a) = −f(a)."""
    if a == 0:
        return Integer(0)
    return -function(-a) if a.could_extract_minus_sign() else None


FUNCTIONS: dict[str, Any] = {
    "exp": exp,
    "log": log,
    "tanh": tanh,
    "sigmoid": Sigmoid,
    "erf": Erf,
    "gauss": Gauss,
    "abs": Absolute,
    "sign": Sign,
    "relu": Relu,
    "step": Step,
    "max": Maximum,
}

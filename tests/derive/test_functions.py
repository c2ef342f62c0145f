"""The elementwise functions: their slopes, their conventions, and layers that use them."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import pytest
from sympy import Add, Expr, Integer, Mul, Pow, Rational, exp, log, tanh

from derive.chart import NotNormalError
from derive.derivation import derive
from derive.differentiate import partial
from derive.errors import InputError
from derive.expr import SumOver, Var, adjoint
from derive.functions import (
    Absolute,
    Erf,
    Gauss,
    Maximum,
    Relu,
    Sigmoid,
    Sign,
    Step,
)
from derive.grammar import parse_layer
from derive.layers.batch_norm import BATCH_NORM, n, x
from derive.normal_form import NormalForm
from tests.derive.statements import derivation_of

z = Var("z", n)

FLOATS: dict[type, Callable[..., float]] = {
    exp: math.exp,
    log: math.log,
    tanh: math.tanh,
    Sigmoid: lambda a: 1 / (1 + math.exp(-a)),
    Erf: math.erf,
    Gauss: lambda a: 2 / math.sqrt(math.pi) * math.exp(-a * a),
    Absolute: abs,
    Sign: lambda a: float((a > 0) - (a < 0)),
    Relu: lambda a: max(a, 0.0),
    Step: lambda a: float(a > 0),
    Maximum: max,
}


def value(expr: Expr, at: Mapping[Var, float]) -> float:
    """An expression without sums, in floating point."""
    if isinstance(expr, Var):
        return at[expr]
    if isinstance(expr, Rational):
        return int(expr.p) / int(expr.q)
    args = [value(arg, at) for arg in expr.args]
    if isinstance(expr, Add | Mul):
        return math.fsum(args) if isinstance(expr, Add) else math.prod(args)
    return float(args[0] ** args[1]) if isinstance(expr, Pow) else FLOATS[type(expr)](*args)


@pytest.mark.parametrize("function", FLOATS)
@pytest.mark.parametrize("point", [(0.7, 0.2), (1.3, 2.1), (-0.4, 0.3)])
def test_the_first_and_second_derivative(function: type, point: tuple[float, float]) -> None:
    """Against central differences."""
    if function is log:
        point = (abs(point[0]), point[1])
    expr = function(x, z) if function is Maximum else function(x)
    here = dict(zip((x, z), point, strict=True))
    h = 1e-5
    for _ in range(2):
        slope = partial(expr, x)
        near = [value(expr, {**here, x: here[x] + step}) for step in (h, -h)]
        assert value(slope, here) == pytest.approx((near[0] - near[1]) / (2 * h), abs=1e-8)
        expr = slope


def test_at_the_kinks() -> None:
    zero = {x: 0.0, z: 0.0}
    assert value(partial(Absolute(x), x), zero) == 0
    assert value(partial(Relu(x), x), zero) == 0
    assert value(partial(Maximum(x, z), x), zero) == value(partial(Maximum(x, z), z), zero) == 0.5
    assert partial(Sign(x), x) == partial(Step(x), x) == 0


VALUES: list[tuple[Expr, Expr]] = [
    (Absolute(-x), Absolute(x)),
    (Absolute(Rational(-1, 2)), Rational(1, 2)),
    (Sign(-x), -Sign(x)),
    (Sign(Integer(0)), Integer(0)),
    (Sign(Integer(-3)), Integer(-1)),
    (Erf(-x), -Erf(x)),
    (Gauss(-x), Gauss(x)),
    (Relu(Integer(-2)), Integer(0)),
    (Step(Integer(0)), Integer(0)),
    (Maximum(x, x), x),
    (Maximum(Integer(1), Integer(2)), Integer(2)),
]


@pytest.mark.parametrize(("written", "meant"), VALUES, ids=str)
def test_what_is_built_in(written: Expr, meant: Expr) -> None:
    assert written == meant


PROVED: list[tuple[Expr, Expr, bool]] = [
    (tanh(x - z), -tanh(z - x), True),
    (Absolute(2 * x - 2 * z), Absolute(2 * (z - x)), True),
    (Relu((x + z) ** 2), Relu(x**2 + 2 * x * z + z**2), True),
    (Maximum(x, z), Maximum(z, x), True),
    (Maximum(x, z) + z, z + x / 2 + z / 2 + Absolute(x - z) / 2, True),
    (SumOver(Sigmoid(x) * z, n), SumOver(z * Sigmoid(x + 0), n), True),
    (Relu(x), Relu(x + z), False),
    (Maximum(x, z), x, False),
    (Sign(x - z), Sign(z - x), False),
]


@pytest.mark.parametrize(("left", "right", "equal"), PROVED, ids=str)
def test_functions_in_normal_form(left: Expr, right: Expr, equal: bool) -> None:
    chart = derivation_of("batch_norm").chart
    assert NormalForm(chart).zero(left - right) == equal


HEAD = """
axes: n (m), c (C)
x[n, c]; gamma[c]; beta[c]; eps > 0
mu[c]       = mean[n](x)
var[c]      = mean[n]((x - mu)^2)
x_hat[n, c] = (x - mu) / sqrt(var + eps)
z[n, c]     = gamma * x_hat + beta
"""


@pytest.mark.parametrize("function", ["relu(z)", "max(z, 0)", "erf(z)"])
def test_batch_norm_with_an_activation(function: str) -> None:
    """Its gradient is Batch Norm's, with the cotangent times the slope of the activation."""
    derivation = derive(parse_layer(f"{HEAD}y[n, c] = {function}"))
    normal_form = NormalForm(derivation.chart, derivation.known)
    (dz,) = (result for result in derivation.adjoints if result.var.label == "dz")
    plain = derivation_of("batch_norm")["dx"].closed
    y, activated = BATCH_NORM.output, derivation.layer["z"].var
    assert dz.closed.has(Step) or dz.closed.has(Sign) or dz.closed.has(Gauss)
    assert normal_form.zero(derivation["dx"].closed - plain.subs(adjoint(y), adjoint(activated)))


def test_what_cannot_be_proved_is_said() -> None:
    layer = parse_layer(f"{HEAD}y[n, c] = log(z)", "logged")
    with pytest.raises(NotNormalError) as caught:
        derive(layer)
    assert isinstance(caught.value, InputError)
    assert str(caught.value) == (
        "logged: the engine cannot prove the gradients of this layer: "
        "division by beta[c] + gamma[c]*x_hat[n,c]"
    )


def test_cube_roots() -> None:
    layer = parse_layer(
        "axes: n, c\nx[n, c]; eps > 0\nb[c] = mean[n](abs(x)^3)\ny[n, c] = x/(8*b + eps)^(1/3)"
    )
    assert derive(layer)["dx"].closed.has(Sign)

"""A definition that does not hold together is refused, and the message says what would be right."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from sympy import Symbol, exp

from derive.errors import InputError
from derive.expr import Axis, Definition, Delta, SumOver, Var, mean
from derive.layer import Layer, LayerError
from derive.layers import LAYERS
from derive.layers.batch_norm import BATCH_NORM, beta, c, eps, gamma, mu, n, var, x, x_hat, y

m, n1 = n.size, n.prime()
a, z = Var("a", c), Var("z", n, c)


def small(*definitions: Definition, **changes: Any) -> Layer:
    """A layer over x, γ and ε with other definitions."""
    parts = {"data": x, "learnt": (gamma,), "parameters": (eps,), **changes}
    return Layer(name="small", title="Small", source="this test", definitions=definitions, **parts)


OUTPUT = Definition(z, gamma * x)
MEAN = Definition(mu, mean(x, n))

REFUSED: dict[str, tuple[tuple[Definition, ...], dict[str, Any], str]] = {
    "unknown name": (
        (Definition(z, x - a),),
        {},
        "small: z uses a, which is not defined before it; known here: x, gamma, eps",
    ),
    "used too early": (
        (Definition(z, x - mu), MEAN),
        {},
        "small: z uses mu, which is not defined before it; known here: x, gamma, eps",
    ),
    "used in itself": (
        (Definition(z, x - z),),
        {},
        "small: z uses z, which is not defined before it; known here: x, gamma, eps",
    ),
    "other axes": (
        (Definition(z, x * Var("gamma", n)),),
        {},
        "small: z uses gamma[n], but gamma is declared as gamma[c]",
    ),
    "primed index": (
        (Definition(z, x - x.at(n1, c)),),
        {},
        "small: z uses x[n',c], but x is declared as x[n,c]",
    ),
    "axis over another range": (
        (Definition(z, gamma * Var("x", Axis("n", "N"), c)),),
        {},
        "small: the index n has the sizes m and N; give each range an index of its own",
    ),
    "axes of different sizes": (
        (Definition(z, gamma * x),),
        {"learnt": (Var("gamma", Axis("c", "D")),)},
        "small: the index c has the sizes C and D; give each range an index of its own",
    ),
    "delta": (
        (Definition(z, x + gamma * SumOver(Delta(n, n1) * x, n)),),
        {},
        "small: z contains a δ; those belong to Jacobians",
    ),
    "sum over what is absent": (
        (Definition(z, gamma * x + SumOver(gamma, n)),),
        {},
        "small: z sums over n, which its summand does not vary over",
    ),
    "foreign symbol": (
        (Definition(z, Symbol("k") * gamma * x),),
        {},
        "small: z uses k, which is neither a quantity nor the size of an axis",
    ),
    "size of a foreign axis": (
        (Definition(z, Axis("q", "Q").size * gamma * x),),
        {},
        "small: z uses Q, which is neither a quantity nor the size of an axis",
    ),
    "an index": (
        (Definition(z, n * gamma * x),),
        {},
        "small: z uses n, which is neither a quantity nor the size of an axis",
    ),
    "varies over more": (
        (Definition(mu, gamma * x), OUTPUT),
        {},
        "small: mu is declared over ['c'], but its right-hand side varies over ['c', 'n']",
    ),
    "varies over less": (
        (Definition(z, gamma * eps),),
        {},
        "small: z is declared over ['n', 'c'], but its right-hand side varies over ['c']",
    ),
    "defined twice": (
        (MEAN, MEAN, OUTPUT),
        {},
        "small: mu is defined twice",
    ),
    "input defined": (
        (Definition(x, gamma * x),),
        {},
        "small: x is defined twice",
    ),
    "declared twice": (
        (OUTPUT,),
        {"learnt": (gamma, gamma)},
        "small: the name gamma is used twice",
    ),
    "data as a parameter": (
        (OUTPUT,),
        {"parameters": (x,)},
        "small: the name x is used twice",
    ),
    "nothing defined": (
        (),
        {},
        "small: a layer needs at least one definition",
    ),
    "independent output": (
        (Definition(mu, mean(x, n)), Definition(a, eps * gamma)),
        {},
        "small: the output a does not depend on x",
    ),
    "data at a primed index": (
        (Definition(z.at(n1, c), gamma * x.at(n1, c)),),
        {"data": x.at(n1, c)},
        "small uses the index n'; those belong to Jacobians",
    ),
}

TAKEN = {
    "m": "the size of the axis n",
    "C": "the size of the axis c",
    "u": "the scalar factor of the Jacobian",
    "R": "the matrix factor of the Jacobian",
    "dx": "the adjoint of x",
    "dz": "the adjoint of z",
    "x_dot": "the tangent of x",
    "gamma_dot": "the tangent of gamma",
    "inv_root_x": "an inverse root that contains x",
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str) -> None:
    definitions, changes, message = REFUSED[name]
    with pytest.raises(LayerError) as caught:
        small(*definitions, **changes)
    assert str(caught.value) == message
    assert isinstance(caught.value, InputError)


@pytest.mark.parametrize("label", TAKEN)
@pytest.mark.parametrize(
    ("definitions", "changes"),
    [
        (lambda var: (Definition(var, mean(x, n)), OUTPUT), lambda _: {}),
        (lambda _: (OUTPUT,), lambda var: {"learnt": (gamma, var)}),
        (lambda _: (OUTPUT,), lambda var: {"parameters": (eps, var)}),
    ],
    ids=["definition", "learnt", "parameter"],
)
def test_names_that_the_derivation_gives_are_taken(
    label: str,
    definitions: Callable[[Var], tuple[Definition, ...]],
    changes: Callable[[Var], dict[str, Any]],
) -> None:
    named = Var(label, c)
    with pytest.raises(LayerError) as caught:
        small(*definitions(named), **changes(named))
    why = f"small: {label} is the name of {TAKEN[label]}; call it something else"
    assert str(caught.value) == why


def test_what_is_said_to_be_right_is_accepted() -> None:
    assert small(OUTPUT).output == z
    assert small(MEAN, Definition(z, gamma * (x - mu))).reduced_axes == (n,)
    assert small(Definition(z, gamma * x / m + c.size * eps * x)).constants == (c.size, m, eps)
    assert small(Definition(z, exp(x) / SumOver(exp(x), n))).reduced_axes == (n,)


def test_a_layer_tells_what_it_consists_of() -> None:
    assert BATCH_NORM.inputs == (x, gamma, beta)
    assert BATCH_NORM.output == y
    assert BATCH_NORM.axes == (c, n)
    assert BATCH_NORM.reduced_axes == (n,)
    assert BATCH_NORM.constants == (c.size, m, eps)
    assert [d.var for d in BATCH_NORM] == [mu, var, x_hat, y]
    assert BATCH_NORM["var"].note == "mini-batch variance"
    with pytest.raises(KeyError, match="batch_norm defines mu, var, x_hat, y, not sigma"):
        BATCH_NORM["sigma"]


def test_terms_are_put_in_reading_order() -> None:
    """SymPy's own operators make −μ + x, ε + σ² and β + γx̂ of these."""
    (total,) = BATCH_NORM["var"].expr.atoms(SumOver)
    assert total.body.base.args == (x, -mu)
    root, centred = BATCH_NORM["x_hat"].expr.args
    assert centred.args == (x, -mu)
    assert root.base.args == (var, eps)
    assert BATCH_NORM["y"].expr.args == (gamma * x_hat, beta)
    assert small(Definition(z, 1 - gamma * x))["z"].expr.args == (1, -gamma * x)


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_survives_being_made_again(name: str) -> None:
    layer = LAYERS[name]
    assert replace(layer, definitions=tuple(layer)) == layer
    assert layer.source
    assert all(definition.note for definition in layer)

"""vjp and jvp: transposes of each other, true by dual numbers, and closed under application.

Random programs are differentiated by the engine and, apart from it, run on dual numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given
from sympy import Abs, Expr, Function, Integer, Pow, atan, diff, exp, log, sign, sin, tanh
from sympy import Derivative as SympyDerivative

from derive.differentiate import Derivative, jvp, partial, vjp
from derive.expr import (
    HALF,
    Definition,
    Delta,
    SumOver,
    Var,
    add,
    adjoint,
    canonical,
    mean,
    mul,
    tangent,
)
from derive.layers import LAYERS
from derive.layers.batch_norm import BATCH_NORM, beta, c, eps, gamma, mu, n, var, x, x_hat, y
from derive.layers.softmax import SOFTMAX
from tests.derive.expressions import FEW, dy, made_of, n1
from verify.duals import Duals
from verify.evaluate import evaluate
from verify.fields import PRIME_FIELD, Arithmetic, Index, Scalar

a, v, w = Var("a", n, c), Var("v", n, c), Var("w", n, c)
SIZES = {"m": 3, "C": 2, "N": 2}
Table = dict[str, dict[Index, Scalar]]


# --- Programs run on numbers ----------------------------------------------------------------------


def indices(var: Var) -> list[Index]:
    return list(product(*(range(SIZES[axis.size.name]) for axis in var.axes)))


def inputs(*variables: Var, salt: int = 0) -> Table:
    """Whole numbers, different for each entry."""
    table: Table = {}
    places = ((q, at) for q in variables for at in indices(q))
    for k, (of, at) in enumerate(places):
        entry = PRIME_FIELD.number(7 + (k * k + 13 * k * (salt + 1)) % 101)
        table.setdefault(of.label, {})[at] = entry
    return table


def run(
    program: Sequence[Definition],
    given: Mapping[str, dict[Index, Scalar]],
    numbers: Arithmetic = PRIME_FIELD,
) -> Table:
    """Every quantity of a program, by loops."""
    table = dict(given)
    for definition in program:
        axes = definition.var.axes
        table[definition.var.label] = {
            at: evaluate(definition.expr, numbers, table, SIZES, dict(zip(axes, at, strict=True)))
            for at in indices(definition.var)
        }
    return table


def inner(left: Mapping[Index, Scalar], right: Mapping[Index, Scalar]) -> Scalar:
    return sum(left[at] * right[at] for at in left)


def moved(given: Table, directions: Table, duals: Duals) -> Table:
    """The inputs on dual numbers; ``directions`` by the inputs' labels."""
    return {
        label: {
            at: duals.variable(number, directions[label][at]) if label in directions else number
            for at, number in entries.items()
        }
        for label, entries in given.items()
    }


LEAVES: tuple[Expr, ...] = (a, gamma, a.at(n1, c), Integer(2), Integer(-1), n.size, Pow(gamma, -1))
first = made_of([leaf for leaf in LEAVES if leaf != a.at(n1, c)], 4)
second = made_of((a, gamma, v, Integer(3), Pow(n.size, -1)), 4)


@FEW
@given(first, second)
def test_both_modes_give_the_derivative_of_a_random_program(f: Expr, g: Expr) -> None:
    """w = g(v) with v = f(a, γ): the pushforward is that of dual numbers, the pullback its
    transpose."""
    program = (Definition(v, f), Definition(w, g))
    given_at = inputs(a, gamma)
    directions = inputs(a, gamma, salt=1)
    duals = Duals(PRIME_FIELD)
    truth = run(program, moved(given_at, directions, duals), duals)["w"]
    values = run(program, given_at)

    dots = {tangent(var).label: directions[var.label] for var in (a, gamma)}
    pushed = run(jvp(program, {a: tangent(a), gamma: tangent(gamma)}), {**values, **dots})
    for at in indices(w):
        expected = duals.derivative(truth[at])
        assert pushed.get("w_dot", dict.fromkeys(indices(w), 0))[at] == expected

    cotangent = inputs(adjoint(w), salt=2)
    pulled = run(vjp(program, {w: adjoint(w)}, (a, gamma)), {**values, **cotangent})
    expected = sum(cotangent["dw"][at] * duals.derivative(truth[at]) for at in indices(w))
    found = inner(pulled["da"], directions["a"]) + inner(pulled["dgamma"], directions["gamma"])
    assert found == expected


# --- Elementary operations ------------------------------------------------------------------------

t, s = Var("t", n, positive=True), Var("s", n, positive=True)
ELEMENTWISE: dict[str, Expr] = {
    "itself": t,
    "square": t**2,
    "inverse": 1 / t,
    "root": t**HALF,
    "inverse root": (t + s) ** -HALF,
    "product": t * s,
    "quotient": t / s,
    "affine": 3 * t - s + 2,
    "exponential": exp(-(t**2)),
    "power of a power": (t**2 + s) ** 3,
    "logarithm": log(t + 1),
    "sine": sin(t * s),
    "tanh": tanh(t / s),
    "arctangent": atan(t),
    "modulus": Abs(t - s),
    "exponent": 2**t,
    "both": t**t,
    "nested": exp(tanh(log(t) * t) / (1 + t * s)),
}


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_partial_derivative_is_sympys(name: str) -> None:
    expr = ELEMENTWISE[name]
    at = {t: Fraction(13, 8), s: Fraction(5, 4)}
    for variable in (t, s):
        difference = partial(expr, variable) - diff(expr, variable)
        assert abs(difference.subs({k: float(q) for k, q in at.items()}).evalf()) < 1e-12


def test_a_partial_derivative_keeps_the_shape_of_its_arguments() -> None:
    centred = add(x, mul(-1, mu))
    assert partial(Pow(centred, 2), x) == mul(2, centred)
    assert partial(Pow(centred, 2), mu).args == (-2, centred)
    assert partial(Pow(add(var, eps), -HALF), var) == mul(-HALF, Pow(add(var, eps), -3 * HALF))
    assert partial(mul(gamma, x_hat), gamma) == x_hat
    assert partial(gamma, x) == 0
    assert partial(Abs(x), x) == sign(x)


def test_the_derivative_of_an_unknown_function_stays_formal() -> None:
    f = Function("f")
    assert partial(f(x), x) == SympyDerivative(f(x), x)


# --- Structure ------------------------------------------------------------------------------------


def by_label(derivatives: Sequence[Derivative]) -> dict[str, Derivative]:
    return {derivative.var.label: derivative for derivative in derivatives}


def test_contributions_come_from_every_use() -> None:
    found = by_label(vjp(BATCH_NORM.definitions, {y: dy}, BATCH_NORM.inputs))
    through = {label: [term.through for term in found[label].terms] for label in found}
    assert through == {
        "dx_hat": [y],
        "dvar": [x_hat],
        "dmu": [x_hat, var],
        "dx": [x_hat, var, mu],
        "dgamma": [y],
        "dbeta": [y],
    }
    for derivative in found.values():
        assert derivative.expr == add(*(term.expr for term in derivative.terms))


def test_a_quantity_used_twice_in_one_definition_contributes_once_for_each_place() -> None:
    """a − mean(a): through its own entry and through the sum."""
    (da,) = vjp((Definition(v, a - mean(a, n)),), {v: adjoint(v)}, (a,))
    assert [term.through for term in da.terms] == [v, v]
    dv = adjoint(v)
    assert canonical(da.expr) == dv + SumOver(-dv / n.size, n)


def test_broadcasting_forward_is_a_sum_backward() -> None:
    (dgamma,) = vjp((Definition(v, gamma * a),), {v: adjoint(v)}, (gamma,))
    assert dgamma.expr == SumOver(mul(adjoint(v), a), n)
    (db,) = vjp((Definition(v, a + beta),), {v: adjoint(v)}, (beta,))
    assert db.expr == SumOver(adjoint(v), n)
    scalar = Var("scalar")
    (ds,) = vjp((Definition(v, scalar * a),), {v: adjoint(v)}, (scalar,))
    assert ds.expr == SumOver(mul(adjoint(v), a), n, c)


def test_a_sum_forward_is_broadcasting_backward() -> None:
    total = Var("total", c)
    (da,) = vjp((Definition(total, SumOver(a, n)),), {total: adjoint(total)}, (a,))
    assert da.expr == adjoint(total)
    (a_dot,) = jvp((Definition(total, SumOver(a, n)),), {a: tangent(a)})
    assert a_dot.expr == SumOver(tangent(a), n)


def test_what_does_not_reach_the_output_has_no_adjoint() -> None:
    idle = Definition(mu, mean(a, n))
    program = (idle, Definition(v, 2 * a))
    (da, dgamma) = vjp(program, {v: adjoint(v)}, (a, gamma))
    assert da.expr == mul(2, adjoint(v))
    assert (dgamma.expr, dgamma.terms) == (0, ())
    assert [d.var.label for d in jvp(program, {gamma: tangent(gamma)})] == []


def test_several_outputs() -> None:
    program = (Definition(v, 2 * a), Definition(w, 3 * v))
    *_, da = vjp(program, {w: adjoint(w), v: adjoint(v)}, (a,))
    assert da.expr == mul(2, add(adjoint(v), mul(3, adjoint(w))))


def test_a_delta_as_a_tangent_gives_a_column_of_the_jacobian() -> None:
    (column,) = jvp((Definition(v, a - mean(a, n)),), {a: Delta(n, n1)})
    for i, k in product(range(3), repeat=2):
        value = evaluate(column.expr, PRIME_FIELD, {}, SIZES, {n: i, n1: k})
        assert value == PRIME_FIELD.number(Fraction(int(i == k)) - Fraction(1, 3))


def test_an_index_of_its_own_is_refused() -> None:
    program = (Definition(v, a - a.at(n1, c)),)
    with pytest.raises(ValueError, match=r"v uses a\[n',c\], declared as a\[n,c\]"):
        vjp(program, {v: adjoint(v)}, (a,))
    with pytest.raises(ValueError, match=r"v uses a\[n',c\], declared as a\[n,c\]"):
        jvp(program, {a: tangent(a)})


# --- Higher orders --------------------------------------------------------------------------------


def again(var: Var) -> Var:
    """The name of a second-order adjoint, apart from those of the first."""
    return Var("g_" + var.label, *var.axes, role="adjoint", of=var.label)


CENTRED_SQUARES = (
    Definition(mu, mean(a, n)),
    Definition(v, a - mu),
    Definition(var, mean(v**2, n)),
    Definition(w, gamma * v / (var + 1) + a**2),
)
PROGRAMS: dict[str, tuple[tuple[Definition, ...], tuple[Var, ...]]] = {
    "centred squares": (CENTRED_SQUARES, (a, gamma)),
    "softmax": (SOFTMAX.definitions, SOFTMAX.inputs),
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_vjp_of_the_vjp_is_the_second_derivative(name: str) -> None:
    """⟨q, dx⟩ differentiated by x, where dx is the gradient of ⟨dy, y⟩: by hyper-dual numbers,
    ∂/∂e₁ ∂/∂e₂ of ⟨dy, y(x + q e₁ + p e₂)⟩ = ⟨p, vjp of the vjp applied to q⟩."""
    program, wrt = PROGRAMS[name]
    output = program[-1].var
    first = vjp(program, {output: adjoint(output)}, wrt)
    q = {adjoint(var): Var("q_" + var.label, *var.axes) for var in wrt}
    second = vjp((*program, *first), q, (adjoint(output), *wrt), named=again)

    given_at = inputs(*wrt)
    sides = [inputs(*wrt, salt=k) for k in (1, 2)]
    cotangent = inputs(adjoint(output), salt=3)
    probes = {"q_" + label: entries for label, entries in sides[0].items()}
    table = run((*program, *first, *second), {**given_at, **cotangent, **probes})
    found = sum(inner(table["g_" + var.label], sides[1][var.label]) for var in wrt)

    low = Duals(PRIME_FIELD)
    high = Duals(low)
    lifted = moved(moved(given_at, sides[0], low), _constant(sides[1], low), high)
    outputs = run(program, lifted, high)[output.label]
    weights = cotangent[adjoint(output).label]
    expected = sum(
        weights[at] * low.derivative(high.derivative(outputs[at])) for at in indices(output)
    )
    assert found == expected
    assert expected != 0

    along = run(jvp(program, {var: q[adjoint(var)] for var in wrt}), {**table, **probes})
    assert table["g_" + adjoint(output).label] == along[output.label + "_dot"]


def _constant(directions: Table, duals: Duals) -> Table:
    return {
        label: {at: duals.variable(number, PRIME_FIELD.number(0)) for at, number in entries.items()}
        for label, entries in directions.items()
    }


@pytest.mark.parametrize("name", LAYERS)
def test_reverse_and_forward_mode_name_the_same_quantities(name: str) -> None:
    layer = LAYERS[name]
    back = vjp(layer.definitions, {layer.output: adjoint(layer.output)}, layer.inputs)
    forth = jvp(layer.definitions, {q: tangent(q) for q in layer.inputs})
    given_at = {q.label for q in layer.inputs}
    between = {d.var.of for d in back} - given_at
    assert {d.var.of for d in forth} == between | {layer.output.label}

"""The exact oracle: it confirms the hand-typed closed forms, and refuses damaged ones.

The damages are made by program: every coefficient, sign, term, factor, exponent, index and size
in every formula is changed in turn.
"""

from __future__ import annotations

import ast
import inspect
from dataclasses import replace
from fractions import Fraction
from random import Random

import pytest
from sympy import Pow, Rational

from derive.errors import InputError
from derive.expr import (
    HALF,
    Axis,
    Definition,
    SumOver,
    Var,
    add,
    adjoint,
    mean,
    mul,
    tangent,
)
from derive.layer import Layer
from derive.layers import LAYERS
from tests.verify.closed_forms import CLAIMS, negative, quantities
from verify import duals, fields, references, references_family
from verify.exact import Claim, Outcome, check, confirmed, run
from verify.fields import RATIONALS, Arithmetic, NotASquare, Values
from verify.formula_damages import damaged
from verify.references import REFERENCES, Node, Reference, any_point, extents, shared_epsilon


def _definitions(layer: Layer) -> list[Claim]:
    return [Claim(d.var.label, d.var, d.expr) for d in layer]


def _failed(outcomes: list[Outcome]) -> bool:
    """Caught means seen to differ; a claim that was not compared is not caught."""
    return any(outcome.failures for outcome in outcomes)


# --- What is true is confirmed -------------------------------------------------------------------


@pytest.mark.parametrize("name", CLAIMS)
def test_closed_forms_and_definitions_are_confirmed(name: str) -> None:
    claims = CLAIMS[name] + _definitions(LAYERS[name])
    outcomes = check(LAYERS[name], claims, REFERENCES[name])
    assert [outcome for outcome in outcomes if outcome.failures or outcome.skipped] == []
    assert len(outcomes) == 2 * len(claims)
    assert {outcome.field for outcome in outcomes} == {"rational", "field 2^61-1"}
    assert all(outcome.cases >= 22 for outcome in outcomes)
    assert confirmed(outcomes)


def test_outcomes_depend_on_the_seed_alone() -> None:
    claims = [replace(claim, expr=add(claim.expr, 1)) for claim in CLAIMS["layer_norm"]]

    def outcomes(seed: int) -> list[Outcome]:
        return check(LAYERS["layer_norm"], claims, REFERENCES["layer_norm"], sizes=[4], seed=seed)

    assert outcomes(3) == outcomes(3)
    assert outcomes(3) != outcomes(4)


def test_one_element_is_enough_for_a_point() -> None:
    outcomes = check(
        LAYERS["batch_norm"], CLAIMS["batch_norm"], REFERENCES["batch_norm"], sizes=[1]
    )
    assert [o.claim for o in outcomes if o.failures] == []


def test_the_references_owe_nothing_to_the_engine() -> None:
    for module in (references, references_family, duals, fields):
        imports = list(ast.walk(ast.parse(inspect.getsource(module))))
        names = {node.module for node in imports if isinstance(node, ast.ImportFrom)}
        names |= {a.name for node in imports if isinstance(node, ast.Import) for a in node.names}
        assert not [name for name in names if name and name.startswith(("derive", "sympy"))]


# --- What is false is caught ---------------------------------------------------------------------


def _damaged(claims: list[Claim]) -> list[Claim]:
    """Every damage to every claim, each once."""
    return [
        replace(claim, name=f"{claim.name} := {other}", expr=other)
        for claim in claims
        for other in damaged(claim.expr)
    ]


@pytest.mark.parametrize(
    ("name", "at_least"),
    [
        ("batch_norm", 380),
        ("layer_norm", 75),
        ("rms_norm", 50),
        ("softmax", 55),
        ("group_norm", 150),
        ("instance_norm", 90),
        ("l2_normalise", 65),
        ("weight_standardisation", 60),
        ("log_softmax", 35),
        ("softmax_cross_entropy", 50),
    ],
)
def test_every_damage_is_caught_over_each_field(name: str, at_least: int) -> None:
    damaged = _damaged(CLAIMS[name])
    outcomes = check(LAYERS[name], damaged, REFERENCES[name], sizes=(3, 4))
    assert len(damaged) >= at_least
    assert [(o.claim, o.field) for o in outcomes if not o.failures] == []


@pytest.mark.parametrize(
    "pulled_out",
    [
        "the row's own radical",
        "the mean of the radicals",
        "the radical of the mean",
    ],
)
def test_a_row_radical_that_leaves_the_sum_over_rows_is_caught(pulled_out: str) -> None:
    v = quantities(LAYERS["layer_norm"])
    x, var, eps = v["x"], v["var"], v["eps"]
    n, _ = x.axes
    rows = Pow(n.size, -1)
    radical = {
        "the row's own radical": Pow(add(var, eps), -HALF),
        "the mean of the radicals": mul(rows, SumOver(Pow(add(var, eps), -HALF), n)),
        "the radical of the mean": Pow(add(mul(rows, SumOver(var, n)), eps), -HALF),
    }[pulled_out]
    wrong = mul(radical, SumOver(mul(adjoint(v["y"]), add(x, negative(v["mu"]))), n))
    claim = Claim("dgamma", adjoint(v["gamma"]), wrong)
    outcomes = check(LAYERS["layer_norm"], [claim], REFERENCES["layer_norm"], sizes=[2, 3])
    assert all(outcome.failures == outcome.cases > 0 for outcome in outcomes)
    if pulled_out == "the row's own radical":
        assert outcomes[0].counterexample is not None
        assert outcomes[0].counterexample.got == "varies over n too"


def test_the_counterexample_says_where() -> None:
    claim = CLAIMS["batch_norm"][2]
    wrong = replace(claim, expr=add(claim.expr, Rational(1, 2)))
    rational, modular = check(LAYERS["batch_norm"], [wrong], REFERENCES["batch_norm"], sizes=[5, 6])
    assert (rational.claim, rational.cases, rational.failures) == ("dgamma", 4, 4)
    example = rational.counterexample
    assert example is not None
    assert example.sizes == (("C", 2), ("m", 5))
    assert example.index == (("c", 0),)
    assert Fraction(example.got) - Fraction(example.expected) == Fraction(1, 2)
    assert modular.failures == 4
    assert not confirmed([rational])


def test_a_formula_without_a_value_fails() -> None:
    v = quantities(LAYERS["batch_norm"])
    n, _ = v["x"].axes
    zero = SumOver(v["x_hat"], n)
    claims = [
        Claim("1/0", adjoint(v["beta"]), Pow(zero, -1)),
        Claim("sqrt(-1)", adjoint(v["beta"]), Pow(add(zero, -1), HALF)),
    ]
    outcomes = check(LAYERS["batch_norm"], claims, REFERENCES["batch_norm"], sizes=[3])
    assert all(outcome.failures == outcome.cases for outcome in outcomes)


def test_rows_have_different_variances() -> None:
    rng = Random(0)
    given: Values = {
        "x": {(n, c): RATIONALS.random(rng) for n in range(2) for c in range(3)},
        "gamma": {(c,): Fraction(1) for c in range(3)},
        "beta": {(c,): Fraction(1) for c in range(3)},
    }
    layer_norm = REFERENCES["layer_norm"].forward
    solved = shared_epsilon(layer_norm, given, rng)
    values = run(layer_norm, RATIONALS, solved)["var"]
    assert values[0,] != values[1,]
    same = {at: given["x"][0, at[1]] for at in given["x"]}
    with pytest.raises(NotASquare, match="no rational eps "):
        shared_epsilon(layer_norm, {**given, "x": same}, rng)


# --- What cannot be compared is said -------------------------------------------------------------

X = quantities(LAYERS["batch_norm"])["x"]


@pytest.mark.parametrize(
    ("claim", "missing"),
    [
        (Claim("a", X, Var("other", *X.axes)), "other"),
        (Claim("b", adjoint(Var("other", *X.axes)), X), r"other\[0, 0\]"),
        (Claim("c", X, tangent(Var("other", *X.axes))), "other_dot"),
        (Claim("d", X, X, wrt=Var("other", *X.axes)), r"other\[0, 0\]"),
        (Claim("e", Var("other"), X, wrt=X), r"other\[\]"),
        (Claim("f", X, Var("deps_dot", role="tangent", of="eps")), "deps_dot"),
    ],
)
def test_unknown_names_are_refused(claim: Claim, missing: str) -> None:
    with pytest.raises(InputError, match=f"^batch_norm has no {missing}; it has x, gamma"):
        check(LAYERS["batch_norm"], [claim], REFERENCES["batch_norm"], sizes=[2])


def test_nothing_compared_is_not_confirmed() -> None:
    claims = CLAIMS["softmax"][:1]
    assert not confirmed([])
    assert not confirmed(check(LAYERS["softmax"], claims, REFERENCES["softmax"], sizes=[]))
    assert not confirmed([Outcome("a", "rational", 0, 0, None, "no points")])


def test_a_reference_that_computes_in_floats_is_refused() -> None:
    def careless(numbers: Arithmetic, given: Values, node: Node) -> None:
        for at, value in given["x"].items():
            node("p", at, value * (1 / 3))

    with pytest.raises(TypeError, match="makes a float of p"):
        check(LAYERS["softmax"], [], Reference("careless", careless, any_point))


# --- Other definitions ---------------------------------------------------------------------------


def _eps_outside(numbers: Arithmetic, given: Values, node: Node) -> None:
    x, gamma, beta, eps = given["x"], given["gamma"], given["beta"], given["eps"][()]
    batch, channels = extents(x)
    for c in channels:
        mu = node("mu", (c,), sum(x[n, c] for n in batch) / len(batch))
        var = node("var", (c,), sum((x[n, c] - mu) ** 2 for n in batch) / len(batch))
        for n in batch:
            x_hat = node("x_hat", (n, c), (x[n, c] - mu) / (numbers.sqrt(var) + eps))
            node("y", (n, c), gamma[c,] * x_hat + beta[c,])


def test_an_altered_definition_is_checked_over_the_prime_field_alone() -> None:
    layer = LAYERS["batch_norm"]
    v = quantities(layer)
    n, _ = v["x"].axes
    std = Pow(v["var"], HALF)
    x_hat = mul(add(v["x"], negative(v["mu"])), Pow(add(std, v["eps"]), -1))
    definitions = tuple(replace(d, expr=x_hat) if d.var.label == "x_hat" else d for d in layer)
    altered = replace(layer, name="altered", definitions=definitions)
    centred = add(v["x"], negative(v["mu"]))
    dvar = mul(
        -HALF,
        Pow(std, -1),
        Pow(add(std, v["eps"]), -2),
        SumOver(mul(v["gamma"], adjoint(v["y"]), centred), n),
    )
    claims = [*_definitions(altered), Claim("dvar", adjoint(v["var"]), dvar)]
    outcomes = check(altered, claims, Reference("altered", _eps_outside))
    assert confirmed(outcomes)
    assert {(o.field, o.cases > 0, o.skipped) for o in outcomes} == {
        ("rational", False, "altered: no rational points are known for this definition"),
        ("field 2^61-1", True, ""),
    }
    assert _failed(check(layer, _definitions(layer), Reference("altered", _eps_outside)))
    assert _failed(check(layer, CLAIMS["batch_norm"], Reference("altered", _eps_outside)))


def _image_mean(numbers: Arithmetic, given: Values, node: Node) -> None:
    x = given["x"]
    batch, pixels, channels = extents(x)
    for c in channels:
        total = sum(x[n, s, c] for n in batch for s in pixels)
        mu = node("mu", (c,), total / (len(batch) * len(pixels)))
        for n in batch:
            for s in pixels:
                node("y", (n, s, c), x[n, s, c] - mu)


def test_two_reduced_axes_have_different_sizes() -> None:
    n, s, c = Axis("n", "N"), Axis("s", "S"), Axis("c", "C")
    x, mu, y = Var("x", n, s, c), Var("mu", c), Var("y", n, s, c)
    layer = Layer(
        name="centre",
        title="Centre",
        source="this test",
        data=x,
        learnt=(),
        parameters=(),
        definitions=(Definition(mu, mean(x, n, s)), Definition(y, add(x, negative(mu)))),
    )
    dy, per = adjoint(y), mul(Pow(n.size, -1), Pow(s.size, -1))
    right = add(dy, negative(per, SumOver(dy, n, s)))
    wrong = add(dy, negative(Pow(n.size, -2), SumOver(dy, n, s)))
    reference = Reference("centre", _image_mean, any_point)
    for expr, holds in ((right, True), (wrong, False)):
        outcomes = check(layer, [Claim("dx", adjoint(x), expr)], reference, sizes=[2, 3])
        assert confirmed(outcomes) == holds

"""Closed forms: equal to those typed in by hand, and content · primitive part multiplies back."""

from __future__ import annotations

import pytest
from hypothesis import given
from sympy import Add, Expr, Integer, Mul, Pow

from derive.closed_form import closed_form, factored
from derive.expr import HALF, Delta, SumOver, Var, add, canonical, mul
from derive.layers.batch_norm import beta, c, eps, gamma, mu, n, var, x, x_hat
from tests.derive.expressions import FEW, dy, m, n1, normal_form_of, normalised, values
from tests.derive.statements import derivation_of
from tests.verify.closed_forms import CLAIMS
from verify.exact import Claim

FORM = normal_form_of("batch_norm")
INV_STD = Pow(add(var, eps), -HALF)
BY_HAND = [
    pytest.param(name, claim, id=f"{name}: {claim.name}")
    for name, claims in CLAIMS.items()
    for claim in claims
    if claim.wrt is None and (claim.var.role != "value")
]


@pytest.mark.parametrize(("name", "claim"), BY_HAND)
def test_the_derived_form_is_the_one_in_the_books(name: str, claim: Claim) -> None:
    derivation = derivation_of(name)
    results = {result.var: result for result in (*derivation.adjoints, derivation.tangent)}
    derived = results[claim.var]
    normal_form = normal_form_of(name).knowing(derivation.known)
    assert normal_form.zero(derived.closed - claim.expr)
    assert not normal_form.zero(derived.closed - 2 * claim.expr)


def test_batch_norm_is_written_as_in_the_books() -> None:
    """In shape too: (γ/(m√(σ²+ε))) (m g − Σg − x̂ Σ g x̂)."""
    total, weighted = SumOver(dy, n), SumOver(mul(dy, x_hat), n)
    inside = add(mul(m, dy), mul(-1, total), mul(-1, x_hat, weighted))
    found = derivation_of("batch_norm")
    assert canonical(found["dx"].closed) == canonical(mul(gamma, Pow(m, -1), INV_STD, inside))
    assert canonical(found["dmu"].closed) == canonical(mul(-1, gamma, INV_STD, total))
    by_var = mul(-HALF, gamma, Pow(INV_STD, 2), weighted)
    assert canonical(found["dvar"].closed) == canonical(by_var)
    assert found["dgamma"].closed == weighted
    assert found["dbeta"].closed == total


@FEW
@given(normalised)
def test_content_times_primitive_part_multiplies_back(expr: Expr) -> None:
    poly = FORM.poly(expr)
    parts = factored(poly, FORM)
    assert FORM.poly(parts.expr) == poly
    assert FORM.poly(mul(parts.content, parts.primitive)) == poly
    assert values(closed_form(expr, FORM)) == values(expr)


@FEW
@given(normalised)
def test_nothing_is_left_to_factor_out(expr: Expr) -> None:
    """The primitive part's own content is 1, and a closed form is its own."""
    primitive = factored(FORM.poly(expr), FORM).primitive
    again = factored(FORM.poly(primitive), FORM)
    assert again.content == 1 or FORM.zero(again.content - 1)
    assert FORM.zero(again.primitive - primitive)
    closed = closed_form(expr, FORM)
    assert canonical(closed_form(closed, FORM)) == canonical(closed)


FACTORED: dict[str, tuple[Expr, Expr, Expr]] = {
    "nothing": (Integer(0), Integer(1), Integer(0)),
    "one term": (3 * gamma * dy, 3 * gamma * dy, Integer(1)),
    "a common factor": (gamma * dy + gamma * mu, gamma, add(mu, dy)),
    "a common number": (4 * mu + 6 * beta, Integer(2), add(mul(3, beta), mul(2, mu))),
    "fractions": (mu / 2 + beta / 3, Integer(6) ** -1, add(mul(2, beta), mul(3, mu))),
    "a size": (mu / m - beta, 1 / m, add(mu, mul(-1, m, beta))),
    "all negative": (-mu - beta, Integer(-1), add(beta, mu)),
    "a root": (INV_STD * mu + INV_STD * beta, INV_STD, add(beta, mu)),
    "a delta": (m * gamma * Delta(n, n1) - gamma, gamma, add(mul(m, Delta(n, n1)), -1)),
    "a sum": (m * dy - SumOver(dy, n), Integer(1), add(mul(m, dy), mul(-1, SumOver(dy, n)))),
    "different powers": (gamma**3 + gamma**2 * mu, gamma**2, add(gamma, mu)),
    "negative powers": (1 / gamma**2 + 1 / gamma, gamma**-2, add(1, gamma)),
}


@pytest.mark.parametrize("name", FACTORED)
def test_factored(name: str) -> None:
    expr, content, primitive = FACTORED[name]
    parts = factored(FORM.poly(expr), FORM)
    assert canonical(parts.content) == canonical(content)
    assert canonical(parts.primitive) == canonical(primitive)
    assert canonical(parts.expr) == canonical(mul(content, primitive))


def test_terms_are_in_reading_order() -> None:
    """Positive before negative, without sums before sums; scalars before what is indexed."""
    weighted = SumOver(mul(dy, x_hat), n)
    parts = factored(FORM.poly(-x_hat * weighted + m * dy - SumOver(dy, n)), FORM)
    assert [str(canonical(term)) for term in parts.primitive.args] == [
        "m*dy[n,c]",
        "-SumOver(dy[n,c], n)",
        "-x_hat[n,c]*SumOver(dy[n,c]*x_hat[n,c], n)",
    ]
    learnt = Var("learnt")
    (product,) = Add.make_args(closed_form(x_hat * weighted * learnt * 2, FORM))
    assert isinstance(product, Mul)
    assert product.args == (2, learnt, x_hat, weighted)


def test_a_root_is_multiplied_out_where_that_is_shorter() -> None:
    """m(1 − εr²) is mσ²/(σ²+ε); σ² + ε alone stays as it is."""
    fraction = mul(m, var, Pow(add(var, eps), -1))
    assert canonical(closed_form(SumOver(x_hat**2, n), FORM)) == canonical(fraction)
    assert canonical(closed_form(Pow(INV_STD, -2), FORM)) == canonical(add(var, eps))
    assert canonical(closed_form(var, FORM)) == var
    assert FORM.zero(closed_form(x, FORM) - x)
    assert closed_form(SumOver(x_hat, c), FORM) == SumOver(x_hat, c)

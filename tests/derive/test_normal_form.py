"""The trusted kernel: a ring homomorphism, blind to the way of writing, and sound.

"Sound" is judged by values in a prime field at points where the layer's definitions hold.
"""

from __future__ import annotations

from random import Random

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from sympy import (
    Abs,
    Add,
    Expr,
    Float,
    Function,
    Integer,
    Mul,
    Pow,
    Rational,
    Symbol,
    cos,
    exp,
    log,
    pi,
    sin,
    sqrt,
)

from derive.chart import NotNormalError
from derive.expr import (
    HALF,
    Axis,
    Definition,
    Delta,
    SumOver,
    Var,
    add,
    adjoint,
    mean,
    mul,
    rename,
    substitute,
)
from derive.layers.batch_norm import BATCH_NORM, beta, c, eps, gamma, mu, n, var, x, x_hat, y
from derive.layers.softmax import SOFTMAX
from derive.normal_form import NormalForm
from derive.polynomial import plus, times
from tests.derive.expressions import (
    FEW,
    MANY,
    c1,
    dy,
    m,
    made_of,
    n1,
    n2,
    normal_form_of,
    normalised,
    rewritten,
    std,
    subject,
    values,
)

FORM = normal_form_of("batch_norm")
CENTRED = add(x, mul(-1, mu))
e, Z, p = (SOFTMAX[label].var for label in ("e", "Z", "p"))
scores, dp = SOFTMAX.data, adjoint(p)

# Each layer's own leaves, with all roots, denominators and exponentials that its chart is about.
LEAVES: dict[str, tuple[Expr, ...]] = {
    "eps outside": (
        *(x, mu, x_hat, sqrt(var), 1 / (sqrt(var) + eps), 1 / (sqrt(var) + eps) ** 2),
        *(dy, x.at(n1, c), eps, 1 / sqrt(var), Integer(-1)),
    ),
    "named std": (x, mu, var, x_hat, Var("std", c, positive=True), std, 1 / std, dy, Integer(-2)),
    # (No exponentials of x_hat: in the field, exp is a homomorphism for small numbers alone.)
    "softmax": (
        *(
            e,
            Z,
            p,
            1 / Z,
            exp(scores),
            exp(-scores),
            dp,
            1 / e,
            p.at(*p.axes[:1], p.axes[1].prime()),
        ),
        *(Integer(-1), Delta(p.axes[1], p.axes[1].prime())),
    ),
}


# --- Algebra --------------------------------------------------------------------------------------


@FEW
@given(normalised, normalised)
def test_sums_and_products_go_through(a: Expr, b: Expr) -> None:
    f, g = FORM.poly(a), FORM.poly(b)
    assert FORM.poly(add(a, b)) == FORM.poly(Add(a, b)) == plus(f, g)
    product = FORM.poly(mul(a, b))
    assert product == FORM.poly(Mul(a, b)) == FORM.poly(FORM.expr(times(f, g)))
    if not any(isinstance(h, Delta) for powers in product for h, _ in powers):
        assert product == times(f, g)


@FEW
@given(normalised)
def test_a_normal_form_is_its_own(a: Expr) -> None:
    assert FORM.poly(FORM.expr(FORM.poly(a))) == FORM.poly(a)


@MANY
@given(normalised)
def test_a_normal_form_has_the_value_of_the_expression(a: Expr) -> None:
    assert values(FORM.expr(FORM.poly(a))) == values(a)


@MANY
@given(normalised, st.randoms(use_true_random=False))
def test_the_way_of_writing_makes_no_difference(a: Expr, random: Random) -> None:
    again = rewritten(a, random, BATCH_NORM, FORM.chart)
    assert values(again) == values(a)
    assert FORM.poly(again) == FORM.poly(a)


@MANY
@given(normalised, normalised)
def test_equal_normal_forms_mean_equal_values_and_different_ones_different(
    a: Expr, b: Expr
) -> None:
    assert FORM.zero(a - b) == (values(a) == values(b))


@FEW
@given(normalised, st.randoms(use_true_random=False), st.sampled_from((x, mu, gamma, dy, m, 1)))
def test_one_term_too_many_is_seen(a: Expr, random: Random, extra: Expr) -> None:
    again = rewritten(a, random, BATCH_NORM, FORM.chart)
    assert not FORM.zero(add(a, mul(-1, again), extra))


@pytest.mark.parametrize("name", LEAVES)
def test_other_charts_are_sound(name: str) -> None:
    form, (layer, _) = normal_form_of(name), subject(name)
    axes = layer.data.axes

    @FEW
    @given(made_of(LEAVES[name], axes=axes), st.randoms(use_true_random=False))
    def check(a: Expr, random: Random) -> None:
        again = rewritten(a, random, layer, form.chart)
        poly = form.poly(a)
        assert form.poly(again) == poly
        assert values(form.expr(poly), name) == values(a, name)
        assert form.poly(form.expr(poly)) == poly

    check()


# --- Sums -----------------------------------------------------------------------------------------

SAME = {
    "a constant": (SumOver(5, n), 5 * m),
    "a constant of two axes": (SumOver(1, n, c), m * c.size),
    "a factor": (SumOver(mul(gamma, dy), n), gamma * SumOver(dy, n)),
    "a sum": (SumOver(add(x, dy), n), SumOver(x, n) + SumOver(dy, n)),
    "two axes": (SumOver(mul(x, dy), n, c), SumOver(SumOver(mul(x, dy), n), c)),
    "the other order": (SumOver(SumOver(dy, c), n), SumOver(SumOver(dy, n), c)),
    "a square within": (
        SumOver(Pow(SumOver(dy, c), 2), n),
        SumOver(dy * dy.at(n, c1), n, c, c1),
    ),
    "independent": (SumOver(dy * gamma * x.at(n1, c), n, n1), gamma * m * mu * SumOver(dy, n)),
    "a name": (SumOver(mul(dy.at(n1, c), x_hat), n1), x_hat * SumOver(dy, n)),
    "a delta": (SumOver(mul(Delta(n, n1), x_hat), n), x_hat.at(n1, c)),
    "a delta squared": (Pow(Delta(n, n1), 2), Delta(n, n1)),
    "two deltas": (SumOver(mul(Delta(n, n2), Delta(n2, n1)), n2), Delta(n, n1)),
    "a delta beside": (mul(Delta(n, n1), x_hat), mul(Delta(n, n1), x_hat.at(n1, c))),
    "the mean": (mean(x, n), mu),
    "centred": (SumOver(CENTRED, n), Integer(0)),
    "the variance": (mean(Pow(CENTRED, 2), n), var),
    "normalised": (SumOver(x_hat, n), Integer(0)),
    "its square": (SumOver(Pow(x_hat, 2), n), m * var / (var + eps)),
    "at another index": (SumOver(x_hat.at(n1, c1), n1), Integer(0)),
    "in another sum": (SumOver(gamma * Pow(x_hat, 2), n, c), SumOver(gamma * m * var / std**2, c)),
    "the raw moment": (mean(Pow(x, 2), n), mu**2 + var),
    "a radical": (std * std, var + eps),
    "the output": (SumOver(y, n), m * beta),
}


@pytest.mark.parametrize("name", SAME)
def test_equal_for_every_size(name: str) -> None:
    left, right = SAME[name]
    assert values(left) == values(right)
    assert FORM.zero(left - right)
    assert not FORM.zero(left - right - gamma)


ROW = Var("row", n, n1)
ENTANGLED = st.lists(
    st.sampled_from([q.at(row, k) for q in (dy, x_hat) for row in (n, n1, n2) for k in (c, c1)])
    | st.sampled_from([gamma, gamma.at(c1)]),
    min_size=3,
    max_size=6,
)


FIXED = [dy.at(n1, c), dy.at(n, c1), dy, gamma.at(c1), gamma.at(c1), x_hat.at(n1, c1)]


@MANY
@given(ENTANGLED, st.permutations([n, n1, n2]), st.permutations([c, c1]))
@example(FIXED, [n, n1, n2], [c1, c])
@example([ROW, ROW.at(n1, n2)], [n, n2, n1], [c, c1])
def test_what_the_bound_indices_are_called_makes_no_difference(
    factors: list[Expr], rows: list[Axis], columns: list[Axis]
) -> None:
    """Chains and cycles such as Σ a(n,c) b(n,c') a(n',c) b(n',c') too."""
    names = dict(zip((n, n1, n2, c, c1), (*rows, *columns), strict=True))
    body = mul(*factors)
    for bound in ((n, n1, n2, c, c1), (n1, n2), (n, n1), (c, c1), (n1, n2, c)):
        moved = {axis: names[axis] for axis in bound if names[axis] != axis}
        if set(moved) == set(moved.values()):  # the others stay free
            again = rename(body, moved)
            assert FORM.poly(SumOver(body, *bound)) == FORM.poly(SumOver(again, *bound))


DIFFERENT = {
    "a row's factor outside its sum": (SumOver(x_hat * dy, n), x_hat * SumOver(dy, n)),
    "a product of sums": (SumOver(x * dy, n), SumOver(x, n) * SumOver(dy, n)),
    "two indices for one": (SumOver(dy**2, n), SumOver(dy * dy.at(n1, c), n, n1)),
    "m for m - 1": (SumOver(CENTRED**2, n) / (m - 1), var),
    "another channel": (mean(x, n), mu.at(c1)),
    "another axis": (SumOver(dy, n), SumOver(dy, c)),
    "a delta left out": (SumOver(Delta(n, n1) * x_hat, n), x_hat),
    "no epsilon": (SumOver(x_hat**2, n), m),
    "the third moment": (SumOver(x_hat**3, n), Integer(0)),
}


@pytest.mark.parametrize("name", DIFFERENT)
def test_not_equal(name: str) -> None:
    left, right = DIFFERENT[name]
    assert values(left) != values(right)
    assert not FORM.zero(left - right)


def test_a_capture_would_be_seen() -> None:
    """∂y/∂x needs two indices: with one, the δ is 1 and the mean of it m/m."""
    entry = substitute(mean(x, n), {"x": Definition(x, Delta(n, n1))})
    assert FORM.zero(entry - 1 / m)
    captured = mean(Delta(n, n1).xreplace({n1: n}), n)
    assert FORM.zero(captured - 1)


def test_what_a_proof_took_is_cited() -> None:
    poly, cited = FORM.citing(SumOver(CENTRED, n))
    assert poly == {}
    assert [identity.source for identity in cited] == [mu]
    _, cited = FORM.citing(add(SumOver(x_hat, n), SumOver(x_hat**2, n), SumOver(x_hat, n)))
    assert [identity.source for identity in cited] == [mu, var]
    assert FORM.citing(SumOver(CENTRED, n))[1]
    assert FORM.citing(SumOver(dy, n))[1] == ()


def test_known_results_are_unfolded() -> None:
    dx_hat = adjoint(x_hat)
    knowing = FORM.knowing({dx_hat.label: Definition(dx_hat, mul(dy, gamma))})
    assert knowing.zero(SumOver(dx_hat, n) - gamma * SumOver(dy, n))
    assert not FORM.zero(SumOver(dx_hat, n) - gamma * SumOver(dy, n))
    assert knowing.zero(dx_hat.at(n1, c) - dy.at(n1, c) * gamma)


# --- What is refused ------------------------------------------------------------------------------

REFUSED: dict[str, tuple[Expr, str]] = {
    "division by a sum of terms": (1 / add(x, dy), "division by "),
    "division by two indices": (1 / add(gamma, dy), "division by "),
    "division by zero": (1 / SumOver(CENTRED, n), "division by an expression that is identically"),
    "division by a delta": (1 / Delta(n, n1), "which may be 0"),
    "a root of a sum": (sqrt(add(gamma, dy)), "a root of "),
    "another radical": (sqrt(add(var, 1)), "a root of "),
    "a root of an even power": (Pow(add(var, eps), Rational(1, 4)), "the fractional power"),
    "a third root": (Pow(add(var, eps), Rational(1, 3)), "the fractional power"),
    "a root of what may be negative": (sqrt(gamma), "of gamma"),
    "a root of a square": (sqrt(gamma**2 + mu - mean(x, n)), "a root of gamma[c], which may be"),
    "a root of a size": (sqrt(m), "the root of m is not rational"),
    "a root of two": (sqrt(2), "the root of 2 is not rational"),
    "a symbolic exponent": (Pow(var, gamma), "the exponent gamma"),
    "a real exponent": (Pow(var, pi), "the exponent pi"),
    "an unknown function of two": (Function("f")(x, dy), "no normal form for f"),
    "a float": (mul(Float(0.5), x), "no normal form for Float"),
    "a number": (mul(pi, x), "no normal form for Pi"),
    "a foreign symbol": (Symbol("k"), "no normal form for Symbol"),
    "an index": (mul(n, x), "no normal form for Axis"),
    "another size": (SumOver(Var("w", n), Axis("q", "Q")), "the size Q of q is not among"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_has_no_normal_form_is_refused(name: str) -> None:
    expr, message = REFUSED[name]
    for within in (expr, add(expr, x), mul(gamma, expr), SumOver(mul(dy, expr), c1)):
        with pytest.raises(NotNormalError) as caught:
            FORM.poly(within)
        assert message in str(caught.value)


def test_a_function_is_a_generator_of_its_argument() -> None:
    assert FORM.zero(sin(x) - sin(mu + x_hat * std))
    assert FORM.zero(SumOver(log(gamma), n) - m * log(gamma))
    assert not FORM.zero(sin(x) - cos(x))
    assert not FORM.zero(Abs(x) - x)
    assert not FORM.zero(SumOver(sin(x), n))
    assert FORM.zero(exp(x + dy) - exp(x) * exp(dy))
    assert FORM.zero(exp(2 * x_hat) - exp(x_hat) ** 2)


def test_a_generator_that_should_be_gone_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a conversion left something behind, the last assertion would stop it."""
    damages: dict[str, Expr] = {
        "should have been eliminated": x,
        "is not a generator": add(dy, gamma),
    }
    for message, generator in damages.items():
        form = NormalForm(FORM.chart)
        monkeypatch.setattr(form, "_convert", lambda _, g=generator: {((g, 1),): FORM.field.one})
        with pytest.raises(NotNormalError, match=message):
            form.poly(gamma)
    form = NormalForm(FORM.chart)
    monkeypatch.setattr(form, "_convert", lambda _: {((gamma, HALF),): FORM.field.one})
    with pytest.raises(NotNormalError, match="the power 1/2 of gamma"):
        form.poly(gamma)


def test_renamed_throughout() -> None:
    for left, right in SAME.values():
        assert FORM.zero(rename(left - right, {n: n2, c: c1, n1: n}))


def test_an_extension_unfolds_what_it_knows_and_leaves_the_rest_to_the_form_it_extends() -> None:
    a, b = Var("known_before", n), Var("known_now", n)
    before = FORM.knowing({a.label: Definition(a, x)})
    now = before.knowing({b.label: Definition(b, 2 * a)})
    assert now.poly(b) == FORM.poly(2 * x)
    assert before.poly(b) != now.poly(b)
    assert FORM.knowing({a.label: Definition(a, x)}) is before
    # What an earlier definition speaks of is unfolded too once it is known.
    late = FORM.knowing({b.label: Definition(b, 2 * a)}).knowing({a.label: Definition(a, x)})
    assert late.poly(b) == FORM.poly(2 * x)


def test_an_extension_of_what_the_chart_speaks_of_starts_afresh() -> None:
    (label, definition), *_ = FORM.chart.eliminated.items()
    var = definition.var
    FORM.poly(var)
    assert FORM.knowing({label: Definition(var, x * 0)}).poly(var) == {}

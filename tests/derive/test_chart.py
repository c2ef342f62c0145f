"""Charts: roots and sums as people write them, and sums that match an identity."""

from __future__ import annotations

import pytest
from sympy import Expr, Pow, sqrt

from derive.chart import Chart, Identity, NotNormalError, axes_of, match
from derive.expr import HALF, Axis, Definition, SumOver, Var, add, mul
from derive.layers.batch_norm import c, eps, mu, n, var, x, x_hat
from tests.derive.expressions import c1, dy, m, n1, n2, normal_form_of, values

CHART = normal_form_of("batch_norm").chart
(ROOT,) = CHART.roots.values()
r = ROOT.var


def test_roots_are_written_out_again() -> None:
    assert (ROOT.base, ROOT.degree) == (add(var, eps), 2)
    assert CHART.display(r) == Pow(add(var, eps), -HALF)
    assert CHART.display(Pow(r, -2)) == add(var, eps)
    assert CHART.display(Pow(r, 3)) == Pow(add(var, eps), -3 * HALF)
    assert CHART.display(r.at(c1)) == Pow(add(var.at(c1), eps), -HALF)
    assert CHART.display(SumOver(mul(r, dy), c)) == SumOver(mul(Pow(add(var, eps), -HALF), dy), c)
    assert CHART.display(add(x, mu)) == add(x, mu)


SUMS: dict[str, tuple[Expr, Expr]] = {
    "of a sum": (SumOver(SumOver(dy, n), c), SumOver(dy, n, c)),
    "of a sum of a sum": (
        SumOver(SumOver(SumOver(dy * x.at(n1, c), n1), n), c),
        SumOver(dy * x.at(n1, c), n, n1, c),
    ),
    "of a product with a sum": (
        SumOver(x * SumOver(dy, n), c),
        SumOver(x * SumOver(dy, n), c),
    ),
    "over an index that is bound within": (
        SumOver(SumOver(dy, n), n),
        SumOver(SumOver(dy, n), n),
    ),
}


@pytest.mark.parametrize("name", SUMS)
def test_a_sum_of_sums_is_one_sum(name: str) -> None:
    expr, shown = SUMS[name]
    assert CHART.display(expr) == shown
    # The value too, evaluated with nothing displayed.
    assert normal_form_of("batch_norm").zero(expr - shown)
    assert values(expr) == values(shown)


def test_a_sum_matches_at_any_free_index() -> None:
    total = SumOver(x_hat, n)
    assert match(total, total) == {c: c}
    assert match(total, SumOver(x_hat.at(n, c1), n)) == {c: c1}
    assert match(SumOver(Pow(x_hat, 2), n), SumOver(x_hat, n)) is None
    assert match(total, SumOver(dy, n)) is None
    assert match(total, SumOver(x_hat, c)) is None
    row = Var("w", n, n1)
    assert match(SumOver(row.at(n1, n), n1), SumOver(row.at(n1, n2), n1)) == {n: n2}


def test_an_identity_knows_what_it_binds() -> None:
    q = Axis("q", "Q")
    image = Var("image", n, q, c)
    assert Identity(SumOver(SumOver(image, q), n), m, mu).bound == {"n", "q"}
    assert {axis for i in CHART.identities for axis in i.bound} == {"n"}


def test_free_axes_have_an_order() -> None:
    assert axes_of(mul(x, x.at(n1, c))) == (c, n, n1)
    assert axes_of(eps) == ()


def test_an_empty_chart_displays_everything_as_it_is() -> None:
    chart = Chart(constants=(m,))
    for expr in (r, sqrt(var), SumOver(x, n)):
        assert chart.display(expr) == expr


def test_what_has_no_normal_form_is_no_proof() -> None:
    assert issubclass(NotNormalError, ValueError)
    with pytest.raises(NotNormalError):
        normal_form_of("batch_norm").zero(sqrt(x))


def test_the_chart_is_an_equivalence() -> None:
    """Eliminated quantities, put back, are what they were."""
    assert CHART.solved is not None
    assert CHART.normalised == x_hat
    assert set(CHART.eliminated) == {"var", "x", "y"}
    for definition in CHART.eliminated.values():
        assert values(CHART.display(definition.expr)) == values(definition.var)
    assert isinstance(CHART.eliminated["x"], Definition)

"""The order of elimination is the summand's own, whatever its indices are called."""

from __future__ import annotations

from derive.chart import Chart
from derive.elimination import elimination_order
from derive.expr import Axis, Var
from derive.layers.batch_norm import c, n
from derive.polynomial import Monomial
from tests.derive.expressions import n1, normal_form_of

PLAIN = Chart(())
g, gamma, a = Var("g", n, c), Var("gamma", c), Var("a", n)


def test_one_axis() -> None:
    assert elimination_order((n,), ((g, 1),), PLAIN) == (n,)


def test_what_entangles_fewest_others_goes_first() -> None:
    k = Axis("k", "K")
    powers: Monomial = ((g, 1), (Var("h", c, k), 1))
    assert [axis.base for axis in elimination_order((c, n, k), powers, PLAIN)] == ["k", "n", "c"]


def test_then_what_identities_speak_of() -> None:
    chart = normal_form_of("batch_norm").chart
    assert list(elimination_order((c, n), ((g, 1),), chart)) == [n, c]
    assert list(elimination_order((c, n), ((g, 1),), PLAIN)) == [c, n]


def test_two_indices_over_one_range_are_told_apart_by_where_they_occur() -> None:
    b = Var("b", n)
    one: Monomial = ((a, 1), (b.at(n1), 1))
    other: Monomial = ((a.at(n1), 1), (b, 1))
    assert list(elimination_order((n, n1), one, PLAIN)) == [n, n1]
    assert list(elimination_order((n, n1), other, PLAIN)) == [n1, n]

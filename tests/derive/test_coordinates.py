"""Charts are found, not assumed: each identity follows from a definition, and none is claimed that
a definition does not give."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sympy import Expr, Integer, Pow, exp, sqrt

from derive.chart import NotNormalError
from derive.coordinates import chart_of
from derive.expr import Definition, SumOver, Var, add, canonical
from derive.layer import Layer
from derive.layers.batch_norm import BATCH_NORM, beta, c, eps, gamma, mu, n, var, x, x_hat, y
from derive.layers.softmax import SOFTMAX
from tests.altered import ALTERED, changed, scale
from tests.derive.expressions import m, normal_form_of, values

NAMES = ("batch_norm", "layer_norm", "rms_norm", "softmax", *ALTERED)
CENTRED = (SumOver(x_hat, n), Integer(0), mu)
r2 = 1 / (var + eps)

# Each layer's sums that its definitions fix, with their values and the definitions.
IDENTITIES: dict[str, tuple[tuple[Expr, Expr, Var], ...]] = {
    "batch_norm": (CENTRED, (SumOver(x_hat**2, n), m * var * r2, var)),
    "no mean": ((SumOver(x_hat**2, n), m * var * r2, var),),
    "unbiased": (CENTRED, (SumOver(x_hat**2, n), (m - 1) * var * r2, var)),
    "eps outside": (CENTRED, (SumOver(x_hat**2, n), m * var / (sqrt(var) + eps) ** 2, var)),
    "named std": (CENTRED, (SumOver(x_hat**2, n), m * var * r2, var)),
    "not centred": (
        (SumOver(x_hat, n), m * mu / sqrt(var + eps), mu),
        (SumOver(x_hat**2, n), m * (var + mu**2) * r2, var),
    ),
    "part of the mean": (
        (SumOver(x_hat, n), m * (1 - scale) * mu / sqrt(var + eps), mu),
        (SumOver(x_hat**2, n), m * (var + (1 - scale) ** 2 * mu**2) * r2, var),
    ),
    "softmax": ((SumOver(SOFTMAX["p"].var, SOFTMAX.data.axes[1]), Integer(1), SOFTMAX["Z"].var),),
}


@pytest.mark.parametrize("name", IDENTITIES)
def test_the_identities_of_a_layer(name: str) -> None:
    normal_form = normal_form_of(name)
    found = normal_form.chart.identities
    expected = IDENTITIES[name]
    assert [(i.total, i.source) for i in found] == [
        (total, source) for total, _, source in expected
    ]
    for identity, (_, value, _) in zip(found, expected, strict=True):
        assert normal_form.zero(identity.value - value)
        assert values(identity.value, name) == values(value, name)


@pytest.mark.parametrize("name", NAMES)
def test_an_identity_holds_where_the_definitions_do(name: str) -> None:
    chart = normal_form_of(name).chart
    assert chart.identities
    for identity in chart.identities:
        assert values(identity.total, name) == values(identity.value, name)
        assert values(add(identity.total, 1), name) != values(identity.value, name)


@pytest.mark.parametrize("name", ["not centred", "part of the mean", "no mean"])
def test_what_is_not_centred_is_not_said_to_be(name: str) -> None:
    normal_form = normal_form_of(name)
    total = SumOver(x_hat, n)
    assert all(identity.value != 0 for identity in normal_form.chart.identities)
    assert not normal_form.zero(total)
    assert any(values(total, name))
    assert normal_form_of("batch_norm").zero(total)


@pytest.mark.parametrize("name", NAMES)
def test_coordinates_are_an_equivalence(name: str) -> None:
    """What replaces a quantity has its values, and no eliminated quantity is left in it."""
    chart = normal_form_of(name).chart
    for definition in chart.eliminated.values():
        assert values(definition.expr, name) == values(definition.var, name)
    for identity in chart.identities:
        labels = {v.label for v in identity.value.atoms(Var)}
        assert not labels & set(chart.eliminated)


def test_the_data_is_replaced_by_the_normalised_variable() -> None:
    chart = normal_form_of("batch_norm").chart
    assert chart.normalised == x_hat
    assert chart.solved is not None
    assert chart.solved.var == x
    assert canonical(chart.display(chart.solved.expr)) == mu + x_hat * sqrt(var + eps)
    assert normal_form_of("softmax").chart.normalised == SOFTMAX["p"].var
    assert normal_form_of("softmax without e").chart.normalised is None


def test_scale_and_shift_reveal_nothing() -> None:
    """y = γx̂ + β could be solved for x̂, but holds no statistic: it is unfolded."""
    assert normal_form_of("batch_norm").chart.eliminated["y"].expr == gamma * x_hat + beta


def test_an_exponential_is_known_by_its_name() -> None:
    chart = normal_form_of("softmax").chart
    ((function, label),) = chart.aliases
    assert (function, label) == (exp, "x")
    assert not normal_form_of("exponential").chart.aliases


def layer_of(*definitions: Definition, learnt: tuple[Var, ...] = (gamma, beta)) -> Layer:
    return replace(BATCH_NORM, name="other", definitions=definitions, learnt=learnt)


def test_a_root_is_solved_for_a_statistic_however_it_is_written() -> None:
    for under, solved in (
        (2 * var + eps, (Pow(Var("inv_root_var", c, positive=True), -2) - eps) / 2),
        (var + mu**2 + eps, Pow(Var("inv_root_var", c, positive=True), -2) - mu**2 - eps),
        (m * var + eps, (Pow(Var("inv_root_var", c, positive=True), -2) - eps) / m),
    ):
        chart = chart_of(changed("other root", x_hat=(x - mu) / sqrt(under)))
        (root,) = chart.roots.values()
        assert canonical(root.base) == under
        difference = chart.eliminated["var"].expr - solved
        assert difference.expand() == 0


def test_a_third_root_has_its_degree() -> None:
    chart = chart_of(changed("third root", x_hat=(x - mu) * (var + eps) ** Pow(-3, -1)))
    (root,) = chart.roots.values()
    assert root.degree == 3
    assert chart.display(Pow(root.var, -3)) == var + eps


@pytest.mark.parametrize("under", [gamma * beta, var**2 + eps, eps + 1], ids=str)
def test_a_root_that_cannot_be_solved_is_refused(under: Expr) -> None:
    first = list(BATCH_NORM)[:2]
    layer = layer_of(*first, Definition(x_hat, (x - mu) * sqrt(under)), *list(BATCH_NORM)[3:])
    with pytest.raises(NotNormalError, match=r"no quantity under the root of .* can be solved for"):
        chart_of(layer)


@pytest.mark.parametrize(
    "expr",
    [
        Pow(SumOver(x, n), 2) + SumOver(x, n),  # not linear in the sum
        SumOver(x, n) * SumOver(x**2, n),  # two sums
        SumOver(exp(x), n) ** 2,
    ],
    ids=str,
)
def test_no_identity_is_read_off_what_cannot_be_solved(expr: Expr) -> None:
    total = Var("total", c)
    layer = layer_of(Definition(total, expr), Definition(y, gamma * exp(x) * total))
    assert chart_of(layer).identities == ()


def test_nothing_is_found_by_its_name() -> None:
    """The same definitions with other names give the same chart with other names."""
    swap = {v: Var(v.label + "_q", *v.axes, nonnegative=v.is_nonnegative) for v in (mu, var, x_hat)}

    def renamed(expr: Expr) -> Expr:
        return expr.xreplace(swap)

    layer = replace(
        BATCH_NORM,
        definitions=tuple(Definition(swap.get(d.var, d.var), renamed(d.expr)) for d in BATCH_NORM),
    )
    chart = chart_of(layer)
    assert set(chart.roots) == {"inv_root_var_q"}
    assert [str(i.source) for i in chart.identities] == ["mu_q[c]", "var_q[c]"]


def test_constants_of_the_chart() -> None:
    assert chart_of(BATCH_NORM).constants == (c.size, m, eps)
    frozen = replace(BATCH_NORM, parameters=(eps, Var("frozen", c)))
    assert chart_of(frozen).constants == (c.size, m, eps)

"""Each pass on programs written by hand; every pass on every layer, by proof and by exact numbers.

What a broken pass makes of a program is for test_pipeline.
"""

from __future__ import annotations

from dataclasses import replace

import pytest
from sympy import Expr, Mul, Pow, Rational, sqrt

from codegen import second_order
from codegen.ir import Assign, Program, is_sum
from codegen.names import CENTRE
from codegen.passes import (
    PASSES,
    ProgramPass,
    centre_data,
    collect_arrays,
    collect_sums,
    hoist,
    mean_of_data,
    name_roots,
)
from codegen.pipeline import TEXTBOOK
from derive.derivation import Derivation
from derive.expr import HALF, SumOver, Var, add, free_axes, mean, mul, variables
from derive.layers.batch_norm import c, eps, gamma, mu, n, var, x, x_hat, y
from derive.trace import CertificationError
from tests.codegen.machine import SQUARE, computed, kernels_of, lines, stages
from tests.derive.statements import derivation_of

m = n.size
dy, dx = Var("dy", n, c), Var("dx", n, c)
inv_std = Var("inv_root_var", c, positive=True)
a, b = Var("a", c), Var("b", c)
x_minus_mu = add(x, mul(-1, mu))


def _after(rewrite: ProgramPass, program: Program) -> Program:
    return rewrite(program, derivation_of("batch_norm"))


def _program(results: tuple[Var, ...], *assigns: tuple[Var, Expr], given: str = "") -> Program:
    every = {v.label: v for v in (x, gamma, eps, mu, var, dy, inv_std, a, b)}
    made = tuple(Assign(target, expr) for target, expr in assigns)
    return Program(tuple(every[label] for label in given.split()), made, results)


def _labels(group: tuple[Var, ...]) -> list[str]:
    return [v.label for v in group]


# --- By hand: centre_data ------------------------------------------------------------------------


def test_statistics_are_taken_of_shifted_data() -> None:
    program = _program(
        (mu, var, x_hat),
        (mu, mean(x, n)),
        (var, mean(Pow(x_minus_mu, 2), n)),
        (x_hat, mul(2, x_minus_mu)),
        given="x",
    )
    after = _after(centre_data, program)
    assert _labels(after.given) == ["x"]
    assert _labels(after.results) == ["centre", "centre_rest", "var", "x_hat"]
    assert lines(after.assigns) == [
        "centre[c] = SumOver(x[n,c], n)/m",
        "x_shifted[n,c] = -centre[c] + x[n,c]",
        "centre_rest[c] = SumOver(x_shifted[n,c], n)/m",
        "var[c] = SumOver(x_shifted[n,c]**2, n)/m - SumOver(x_shifted[n,c], n)**2/m**2",
        "x_centred[n,c] = -centre[c] - centre_rest[c] + x[n,c]",
        "x_hat[n,c] = 2*x_centred[n,c]",
    ]


def test_a_given_mean_is_given_in_two_parts() -> None:
    after = _after(centre_data, _program((dx,), (dx, mul(dy, x_minus_mu)), given="x mu dy"))
    assert _labels(after.given) == ["x", "centre", "centre_rest", "dy"]
    assert lines(after.assigns) == [
        "x_centred[n,c] = -centre[c] - centre_rest[c] + x[n,c]",
        "dx[n,c] = dy[n,c]*x_centred[n,c]",
    ]


def test_data_that_are_not_centred_stay() -> None:
    program = _program((dx, a), (dx, mul(2, x)), (a, mul(3, mu)), given="x mu")
    after = _after(centre_data, program)
    assert lines(after.assigns) == ["dx[n,c] = 2*x[n,c]", "a[c] = 3*(centre[c] + centre_rest[c])"]


@pytest.mark.parametrize("name", ["batch_norm", "no mean"])
def test_without_data_or_mean_nothing_is_centred(name: str) -> None:
    program = _program((dx,), (dx, x_minus_mu if name == "no mean" else dy), given="x mu dy")
    assert centre_data(program, derivation_of(name)) is program


# --- By hand: name_roots -------------------------------------------------------------------------

under_root = add(var, eps)


def test_powers_of_a_root_share_its_name() -> None:
    program = _program(
        (a, b, dx),
        (a, mul(gamma, Pow(under_root, -HALF))),
        (b, mul(gamma, Pow(under_root, Rational(-3, 2)))),
        (dx, add(mul(x, Pow(under_root, -1)), mul(x, Pow(under_root, HALF)))),
        given="x gamma eps var",
    )
    after = _after(name_roots, program)
    assert _labels(after.given) == ["x", "gamma", "inv_root_var"]
    assert lines(after.assigns) == [
        "a[c] = gamma[c]*inv_root_var[c]",
        "b[c] = gamma[c]*inv_root_var[c]**3",
        "dx[n,c] = inv_root_var[c]**2*x[n,c] + x[n,c]/inv_root_var[c]",
    ]


def test_where_the_statistic_is_computed_so_is_its_root_and_kept() -> None:
    program = _program((var, y), (var, mean(x**2, n)), (y, x / sqrt(under_root)), given="x eps")
    after = _after(name_roots, program)
    assert _labels(after.given) == ["x", "eps"]
    assert _labels(after.results) == ["var", "inv_root_var", "y"]
    assert lines(after.assigns) == [
        "var[c] = SumOver(x[n,c]**2, n)/m",
        "inv_root_var[c] = 1/sqrt(eps + var[c])",
        "y[n,c] = inv_root_var[c]*x[n,c]",
    ]


def test_other_powers_are_left_alone() -> None:
    program = _program((dx,), (dx, mul(x, Pow(add(var, 1), -HALF))), given="x var")
    assert _after(name_roots, program) == program


# --- By hand: collect_sums -----------------------------------------------------------------------


def test_equal_sums_share_a_name_and_different_ones_do_not() -> None:
    program = _program(
        (a, dx),
        (a, SumOver(dy, n)),
        (dx, add(mul(x, SumOver(dy, n)), SumOver(mul(dy, x), n), SumOver(mul(dy, x**2), n))),
        given="x dy",
    )
    after = _after(collect_sums, program)
    assert lines(after.assigns) == [
        "sum_dy[c] = SumOver(dy[n,c], n)",
        "a[c] = sum_dy[c]",
        "sum_dy_x[c] = SumOver(dy[n,c]*x[n,c], n)",
        "sum_dy_x2[c] = SumOver(dy[n,c]*x[n,c]**2, n)",
        "dx[n,c] = sum_dy[c]*x[n,c] + sum_dy_x2[c] + sum_dy_x[c]",
    ]


def test_an_inner_sum_comes_first() -> None:
    program = _program((a,), (a, SumOver(mul(dy, SumOver(x, n)), n)), given="x dy")
    assert lines(_after(collect_sums, program).assigns) == [
        "sum_x[c] = SumOver(x[n,c], n)",
        "sum_dy_sumx[c] = SumOver(dy[n,c]*sum_x[c], n)",
        "a[c] = sum_dy_sumx[c]",
    ]


def test_a_name_that_is_taken_is_not_taken_again() -> None:
    sum_dy = Var("sum_dy", c)
    program = Program((dy, sum_dy), (Assign(a, sum_dy + SumOver(dy, n)),), (a,))
    assert lines(_after(collect_sums, program).assigns) == [
        "sum_dy_2[c] = SumOver(dy[n,c], n)",
        "a[c] = sum_dy[c] + sum_dy_2[c]",
    ]


def test_sums_without_a_name_are_kept_apart() -> None:
    squares = [SumOver(Pow(add(x, k), 2), n) for k in (1, 2)]
    program = _program((a,), (a, add(*squares)), given="x")
    assert lines(_after(collect_sums, program).assigns) == [
        "sum_expr[c] = SumOver((x[n,c] + 1)**2, n)",
        "sum_expr_2[c] = SumOver((x[n,c] + 2)**2, n)",
        "a[c] = sum_expr[c] + sum_expr_2[c]",
    ]


# --- By hand: hoist ------------------------------------------------------------------------------


def test_what_is_constant_leaves_the_map_and_u_is_known_by_its_name() -> None:
    u = mul(gamma, inv_std, Pow(m, -1))
    bracket = add(mul(m, dy), mul(-1, a))
    program = _program(
        (dx,), (dx, add(mul(u, bracket), mul(2, a, b, dy), mul(u, dy))), given="gamma dy a b"
    )
    assert lines(_after(hoist, program).assigns) == [
        "u[c] = gamma[c]*inv_root_var[c]/m",
        "scale[c] = 2*a[c]*b[c]",
        "dx[n,c] = dy[n,c]*scale[c] + dy[n,c]*u[c] + u[c]*(m*dy[n,c] - a[c])",
    ]


def test_one_factor_numbers_and_group_values_stay() -> None:
    program = _program(
        (b, dx), (b, mul(gamma, a, Pow(m, -1))), (dx, mul(2, gamma, dy)), given="gamma dy a"
    )
    assert _after(hoist, program) == program


# --- By hand: collect_arrays ---------------------------------------------------------------------


def test_each_array_has_one_factor_and_what_is_alone_is_added() -> None:
    bracket = add(mul(b, dy), mul(-3, x))
    program = _program((dx,), (dx, add(mul(a, bracket), mul(2, b, dy), gamma)), given="x gamma dy")
    assert lines(_after(collect_arrays, program).assigns) == [
        "dx_per_dy[c] = a[c]*b[c] + 2*b[c]",
        "dx_per_x[c] = -3*a[c]",
        "dx[n,c] = dx_per_dy[c]*dy[n,c] + dx_per_x[c]*x[n,c] + gamma[c]",
    ]


def test_a_bracket_that_an_array_multiplies_stays_with_the_factors_inside() -> None:
    whole = mul(a, x, add(mul(m, dy), mul(-1, b)))
    program = _program((dx,), (dx, add(whole, mul(a, b))), given="x dy a b")
    assert lines(_after(collect_arrays, program).assigns) == [
        "dx_per_dy[c] = m*a[c]",
        "dx_offset[c] = -a[c]*b[c]",
        "dx_offset_2[c] = a[c]*b[c]",
        "dx[n,c] = dx_offset_2[c] + x[n,c]*(dx_offset[c] + dx_per_dy[c]*dy[n,c])",
    ]


def test_what_is_no_result_is_not_collected() -> None:
    program = _program((dx,), (dy, mul(a, add(x, b))), (dx, dy), given="x a b")
    assert _after(collect_arrays, program) == program


def test_the_double_backward_is_collected_and_a_wrong_factor_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def wrong(program: Program, derivation: Derivation) -> Program:
        *others, g_x, g_gamma = collect_arrays(program, derivation).assigns
        return replace(program, assigns=(*others, replace(g_x, expr=mul(2, g_x.expr)), g_gamma))

    monkeypatch.setattr(second_order, "collect_arrays", wrong)
    with pytest.raises(CertificationError, match="wrong changed g_x"):
        second_order.build_second_order.__wrapped__(derivation_of("batch_norm"))


# --- Every layer ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SQUARE)
def test_every_pass_keeps_every_value(name: str) -> None:
    """Proved by the pipeline, and the same in exact numbers, where a centre of the data is drawn:
    the programs are right for any."""
    mean_of_layer = mean_of_data(derivation_of(name).layer)
    for kernel, lowered in kernels_of(name).items():
        expected = computed(lowered, name)
        for rewrite, program, proofs in stages(name, kernel):
            results = computed(program, name)
            assert proofs == len(results) - (CENTRE in results) > 0
            split = {mean_of_layer.var.label} if mean_of_layer and CENTRE in results else set()
            assert expected.keys() - results.keys() == split & expected.keys()
            for label in expected.keys() & results.keys():
                assert results[label] == expected[label], (rewrite.__name__, kernel, label)


@pytest.mark.parametrize("name", SQUARE)
def test_what_the_passes_are_for_holds_after_them(name: str) -> None:
    derivation = derivation_of(name)
    roots = derivation.chart.roots
    mean_of_layer = mean_of_data(derivation.layer)
    for kernel in kernels_of(name):
        *_, (last, program, _) = stages(name, kernel)
        targets = [assign.target.label for assign in program.assigns]
        assert len(set(targets)) == len(targets)
        read = {v for assign in program.assigns for v in variables(assign.expr)}
        assert mean_of_layer is None or mean_of_layer.var not in read
        under = {root.base for root in roots.values()}
        for assign in program.assigns:
            powers = {power.base for power in assign.expr.atoms(Pow)}
            assert assign.target.label in roots or not powers & under
            assert last is name_roots or is_sum(assign) or not assign.expr.has(SumOver)
        sums = [assign.expr for assign in program.assigns if is_sum(assign)]
        assert len(set(sums)) == len(sums)


@pytest.mark.parametrize("name", ["batch_norm", "no gamma", "x_hat twice", "unbiased"])
def test_constants_are_multiplied_once_per_channel(name: str) -> None:
    for kernel in ("backward", "jvp"):
        *_, (_, program, _) = stages(name, kernel)
        maps = [a for a in program.assigns if n in free_axes(a.target) and not is_sum(a)]
        for product in [p for a in maps for p in a.expr.atoms(Mul) if n in free_axes(p)]:
            constant = [f for f in product.args if n not in free_axes(f) and f.atoms(Var)]
            assert len(constant) < 2, product


def test_the_passes_are_one_visible_tuple() -> None:
    assert (centre_data, name_roots, collect_sums, hoist) == PASSES
    assert set(TEXTBOOK) < set(PASSES)

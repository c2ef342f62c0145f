"""Kernels in separate terms: what is proved of them, what is checked, and what has none."""

from __future__ import annotations

from functools import cache

import pytest
from sympy import Integer, Rational

from codegen.combinations import NotLinearError, combination
from codegen.ir import Assign, MapPass, Program, ReducePass
from codegen.linear import LinearKernel, linear_kernels, separate
from codegen.passes import PASSES
from codegen.pipeline import Kernels, build, transform
from derive.expr import SumOver, Var, add, mul
from derive.functions import Absolute
from derive.trace import CertificationError
from tests.derive.statements import derivation_of

LINEAR = ("batch_norm", "eps outside", "unbiased", "named std", "no gamma")
NOT = ("no mean", "x_hat twice", "exponential")
KERNELS = ("forward", "backward", "jvp")


@cache
def kernels(name: str) -> Kernels:
    return linear_kernels(build(derivation_of(name)))


def linear(name: str, kernel: str = "backward") -> LinearKernel:
    found = getattr(kernels(name), kernel)
    assert isinstance(found, LinearKernel)
    return found


@pytest.mark.parametrize("name", LINEAR)
def test_a_part_is_read_once_for_its_sums_and_once_for_the_result(name: str) -> None:
    for kernel in KERNELS:
        found = linear(name, kernel)
        last = found.passes
        first = found.statistics.passes if found.finds and found.statistics else last
        assert sum(isinstance(step, ReducePass) for step in first) == 1
        assert [isinstance(step, MapPass) for step in last].count(True) == 1


@pytest.mark.parametrize("name", NOT)
def test_what_is_not_linear_or_has_no_mean_is_left_as_it_is(name: str) -> None:
    given = build(derivation_of(name))
    assert linear_kernels(given) == given


def test_only_where_the_checks_are_known_is_float32_tried() -> None:
    assert all(linear("batch_norm", kernel).checks for kernel in KERNELS)
    assert not any(linear(name, kernel).checks for name in LINEAR[1:] for kernel in KERNELS)
    wide = linear_kernels(build(derivation_of("batch_norm")), narrow=False)
    assert not any(getattr(wide, kernel).checks for kernel in KERNELS)


def test_the_checks_of_batch_norm() -> None:
    names = {var.label: var for var in linear("batch_norm").finite}
    assert {"inv_root_var", "dx_per_dy", "dx_per_x", "dx_offset", "dy_centre"} <= set(names)
    size, *sums = linear("batch_norm").checks
    assert (str(size.left), size.of_all) == ("sum_dx2[c]", False)
    assert str(size.terms) == "4*dx_per_dy[c]**2*sum_dy2[c]"
    assert [(str(check.left), str(check.terms)) for check in sums] == [
        ("dgamma[c]**2", "9*sum_dyshifted2[c]"),
        ("dgamma[c]**2", "sum_dyshifted[c]**2/4"),
        ("dbeta[c]**2", "9*sum_dyshifted2[c]"),
    ]
    assert all(check.of_all for check in sums)
    (spread,) = linear("batch_norm", "forward").checks
    assert (str(spread.left), str(spread.terms)) == ("eps + var[c]", "16*centre_rest[c]**2")


def test_a_result_that_separation_changes_is_refused() -> None:
    derivation = derivation_of("batch_norm")
    program = build(derivation).backward.program

    def wrong(given: Program, _: object) -> Program:
        found = separate(given, derivation)
        half = [
            Assign(a.target, mul(a.expr, Rational(1, 2))) if a.target.label == "dx_per_x" else a
            for a in found.assigns
        ]
        return Program(found.given, tuple(half), found.results)

    assert transform(program, (separate,), derivation)[1] == 3
    with pytest.raises(CertificationError, match="wrong changed dx of batch_norm"):
        transform(program, (wrong,), derivation)
    assert wrong.__name__ not in {rewrite.__name__ for rewrite in PASSES}


def test_combinations() -> None:
    layer = derivation_of("batch_norm").layer
    (n,), x, gamma = layer.reduced_axes, layer.data, layer.learnt[0]
    g = Var("g", *x.axes)
    axes = frozenset({n})
    terms = combination(mul(gamma, add(x, mul(-1, gamma)), add(x, g)), axes, {})
    assert terms == {
        (x, x): gamma,
        (g, x): gamma,
        (x,): mul(-1, gamma**2),
        (g,): mul(-1, gamma**2),
    }
    assert combination(add(x, mul(-1, x), gamma), axes, {}) == {(): gamma}
    assert combination(x, axes, {x: {(g,): Integer(2)}}) == {(g,): 2}
    assert combination(SumOver(x, n), axes, {}) == {(): SumOver(x, n)}
    for other in (Absolute(x), 1 / x):
        with pytest.raises(NotLinearError, match="is no polynomial in arrays"):
            combination(other, axes, {})

"""Terms, indices and substitution: values survive, and no index is captured."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from sympy import Add, Expr, Integer, Mul, Pow, diff, exp, preorder_traversal, sqrt

from derive.expr import (
    HALF,
    Axis,
    Definition,
    Delta,
    SumOver,
    Var,
    add,
    adjoint,
    avoid,
    canonical,
    free_axes,
    mean,
    mul,
    rename,
    sorted_axes,
    substitute,
    tangent,
    variables,
)
from derive.layers.batch_norm import c, gamma, n, x
from tests.derive.expressions import (
    FEW,
    INDICES,
    MANY,
    PLAIN,
    c1,
    m,
    made_of,
    n1,
    n2,
    plain,
    replacement,
    table,
    value,
)

FREE = frozenset(INDICES[0])
v = Var("v", n, c)
with_v = made_of((*PLAIN, v, v.at(n1, c), v.at(n, c1)))


# --- Names and indices ----------------------------------------------------------------------------


def test_an_axis_is_its_name_its_size_and_its_level() -> None:
    assert n == Axis("n", "m")
    assert n != Axis("n", "N")
    assert n.prime().prime() == n.prime(2) == Axis("n", "m", 2)
    assert (n1.name, n1.base, n1.size) == ("n'", "n", n.size)
    assert n.size.is_positive
    assert n.size.is_integer


def test_a_quantity_is_its_name_its_axes_and_its_role() -> None:
    assert x.at(n1, c) == Var("x", n1, c) != x
    assert Var("x", Axis("n", "m")) != Var("x", Axis("n", "N"))
    assert adjoint(x) != Var("dx", n, c)
    assert (adjoint(x).label, adjoint(x).of, adjoint(x).axes) == ("dx", "x", x.axes)
    assert (tangent(x).label, tangent(x).role) == ("x_dot", "tangent")
    positive = Var("s", n, positive=True)
    assert positive.at(n1).is_positive
    assert Var("s", n, nonnegative=True).at(n1).is_nonnegative


@pytest.mark.parametrize("sign", [{}, {"positive": True}, {"nonnegative": True}], ids=str)
def test_equal_quantities_are_one_object(sign: dict[str, Any]) -> None:
    var = Var("s", n, **sign)
    assert var.at(n1).at(n) is var is Var("s", Axis("n", "m"), of="s", **sign)
    assert Var("s", n, positive=True, nonnegative=True) is Var("s", n, positive=True)


@pytest.mark.parametrize("node", [n, n1, x, adjoint(x), Var("s", c, positive=True)], ids=str)
def test_symbols_survive_copying(node: Expr) -> None:
    for again in (copy.deepcopy(node), pickle.loads(pickle.dumps(node))):
        assert again is node


def test_free_axes_and_variables() -> None:
    total = SumOver(mul(x, gamma, SumOver(x.at(n1, c), n1)), n)
    assert free_axes(total) == {c}
    assert free_axes(mul(x, SumOver(x, n))) == {n, c}
    assert free_axes(Delta(n, n1)) == {n, n1}
    assert free_axes(Integer(2)) == frozenset()
    assert variables(add(x, gamma, x.at(n1, c), total)) == (gamma, x.at(n1, c), x)
    assert sorted_axes({n1, c, n}) == (c, n, n1)


# --- Nodes ----------------------------------------------------------------------------------------


def test_sums() -> None:
    assert SumOver(0, n) == 0
    assert SumOver(x) == x
    assert SumOver(x, n, c) == SumOver(x, c, n)
    assert SumOver(x, c, n).axes == (c, n)
    assert SumOver(gamma, n) != gamma
    assert value(SumOver(7, n, c), {}) == 7 * 3 * 2
    with pytest.raises(ValueError, match="a sum binds each index once, not n, n"):
        SumOver(x, n, n)
    with pytest.raises(TypeError, match=r"differentiated by derive\.differentiate"):
        diff(SumOver(x, c), x)


def test_deltas() -> None:
    assert Delta(n, n) == 1
    assert Delta(n1, n) == Delta(n, n1)
    assert Delta(n1, n).indices == (n, n1)
    for other in (c, Axis("n", "N")):
        with pytest.raises(ValueError, match="δ needs two indices over one range, not n and "):
            Delta(n, other)


@FEW
@given(plain, st.sampled_from(INDICES))
def test_a_delta_selects_one_term(body: Expr, index: dict[Axis, int]) -> None:
    total = SumOver(mul(Delta(n, n2), body), n)
    assert value(total, index) == value(body, {**index, n: index[n2]})


@FEW
@given(plain, st.sampled_from(INDICES))
def test_the_mean(body: Expr, index: dict[Axis, int]) -> None:
    assert value(mean(body, n), index) * 3 == value(SumOver(body, n), index)
    assert value(mean(body, n, c), index) * 6 == value(SumOver(body, n, c), index)


# --- Building terms -------------------------------------------------------------------------------


def test_terms_keep_their_order_and_shape() -> None:
    a, b = Var("a"), Var("b")
    assert add(b, a).args == (b, a)
    assert add(a, b).args == (a, b)
    assert add(a, mul(-1, b), mul(2, a)).args == (mul(3, a), mul(-1, b))
    assert mul(b, a).args == (b, a)
    assert mul(a, 2, b, HALF).args == (a, b)
    assert mul(-2, add(a, mul(-1, b))).args == (-2, add(a, mul(-1, b)))
    assert mul(a, b, Pow(a, -2)).args == (Pow(a, -1), b)


def test_terms_that_vanish() -> None:
    a = Var("a", positive=True)
    assert (add(), mul()) == (0, 1)
    assert add(a, mul(-1, a)) == 0
    assert add(a, 1, -1) == a
    assert mul(0, a) == 0
    assert mul(a, Pow(a, -1)) == 1
    assert mul(sqrt(a), sqrt(a)) == a
    assert mul(sqrt(2), sqrt(2)) == 2
    assert mul(exp(a), exp(-a)) == 1


@MANY
@given(st.lists(plain, max_size=4), st.sampled_from(INDICES))
def test_terms_have_the_values_that_sympy_gives_them(
    terms: list[Expr], index: dict[Axis, int]
) -> None:
    total, product = add(*terms), mul(*terms)
    assert value(total, index) == value(Add(*terms), index) == sum(value(t, index) for t in terms)
    assert value(product, index) == value(Mul(*terms), index)
    assert _flat(total)
    assert _flat(product)


def _flat(expr: Expr) -> bool:
    """Neither a sum among the terms of a sum nor a product among the factors of a product."""
    return not any(
        isinstance(node, kind) and any(isinstance(arg, kind) for arg in node.args)
        for node in preorder_traversal(expr)
        for kind in (Add, Mul)
    )


def test_what_merges_into_a_sum_or_a_product_is_merged_with_it() -> None:
    a, b = Var("a"), Var("b")
    assert add(mul(2, add(a, b)), mul(-1, add(a, b)), m).args == (a, b, m)
    assert add(mul(2, add(a, b)), mul(-1, add(a, b)), a) == add(mul(2, a), b)
    root = Pow(mul(a, b), HALF)
    assert mul(root, root, m).args == (a, b, m)
    assert mul(root, root, a) == mul(Pow(a, 2), b)


@FEW
@given(plain, st.sampled_from(INDICES))
def test_the_canonical_order_changes_no_value(expr: Expr, index: dict[Axis, int]) -> None:
    assert value(canonical(expr), index) == value(expr, index)
    assert canonical(canonical(expr)) == canonical(expr)


def test_the_canonical_order_tells_a_change_from_a_rearrangement() -> None:
    forth = SumOver(add(x, mul(-1, gamma)), n)
    back = SumOver(add(mul(-1, gamma), x), n)
    assert forth != back
    assert canonical(forth) == canonical(back)
    assert canonical(forth) != canonical(SumOver(add(x, gamma), n))


# --- Indices and substitution ---------------------------------------------------------------------


@MANY
@given(
    plain,
    st.dictionaries(st.sampled_from((n, n1, n2)), st.sampled_from((n, n1, n2))),
    st.sampled_from(INDICES),
)
def test_renaming_reads_the_other_index(
    expr: Expr, indices: dict[Axis, Axis], index: dict[Axis, int]
) -> None:
    read = {axis: index[indices.get(axis, axis)] for axis in index}
    assert value(rename(expr, indices), index) == value(expr, read)


def test_renaming_captures_nothing() -> None:
    row_times_sum = mul(x, SumOver(x.at(n1, c), n1))
    assert rename(row_times_sum, {n: n1}) == mul(x.at(n1, c), SumOver(x.at(n1, c), n1))
    outer = SumOver(mul(x, x.at(n1, c)), n1)
    assert rename(outer, {n: n1}) == SumOver(mul(x.at(n1, c), x.at(n2, c)), n2)
    assert rename(outer, {n1: n2}) == outer
    R = Var("R", n, n1)  # noqa: N806 - R is its name
    assert rename(R, {n: n1, n1: n}) == R.at(n1, n)
    assert rename(Delta(n, n1), {n1: n}) == 1


@MANY
@given(plain, st.sets(st.sampled_from((n, n1, c))), st.sampled_from(INDICES))
def test_avoiding_changes_bound_names_only(
    expr: Expr, taken: set[Axis], index: dict[Axis, int]
) -> None:
    total = SumOver(expr, n, c)
    assume(isinstance(total, SumOver))
    fresh = avoid(total, frozenset(taken))
    assert not set(fresh.axes) & taken
    assert free_axes(fresh) == free_axes(total)
    assert value(fresh, index) == value(total, index)


@MANY
@given(with_v, plain, st.sampled_from(INDICES))
def test_substitution_inserts_the_value(expr: Expr, formula: Expr, index: dict[Axis, int]) -> None:
    """The formula may have free indices besides v's own, and e may bind the same names."""
    expected = value(expr, index, v=table(v, formula, index))
    assert value(substitute(expr, replacement(v, formula)), index) == expected


def test_substitution_captures_nothing() -> None:
    jacobian = replacement(x, Delta(n, n1))
    assert substitute(SumOver(x, n), jacobian) == SumOver(Delta(n, n1), n)
    assert substitute(SumOver(x.at(n1, c), n1), jacobian) == SumOver(Delta(n2, n1), n2)
    centred = replacement(v, add(x, mul(-1, SumOver(x, n))))
    at_bound = substitute(SumOver(mul(v, v.at(n1, c)), n), centred)
    inner = add(x, mul(-1, SumOver(x, n)))
    assert at_bound == SumOver(mul(inner, rename(inner, {n: n1})), n)
    assert substitute(x, {}) == x


def test_substitution_is_parallel() -> None:
    a, b = Var("a"), Var("b")
    swap = {**replacement(a, b), **replacement(b, a)}
    assert substitute(add(a, mul(2, b)), swap) == add(b, mul(2, a))


def test_a_definition_has_as_many_indices_as_its_quantity() -> None:
    square = Definition(v, Pow(x, 2))
    assert square.at(n1, c) == Pow(x.at(n1, c), 2)
    assert square.at(c, n) == Pow(x.at(c, n), 2)
    with pytest.raises(ValueError, match="argument 2 is shorter"):
        square.at(n)


def test_the_values_would_show_a_capture() -> None:
    """xreplace, which knows of no bound indices, gives expressions of another value."""
    index = INDICES[0]
    outer = SumOver(mul(x, x.at(n1, c)), n1)
    captured = outer.xreplace({x: x.at(n1, c)})
    assert value(captured, index) != value(rename(outer, {n: n1}), index)
    total = SumOver(x.at(n1, c), n1)
    captured = total.xreplace({x.at(n1, c): Delta(n, n1).xreplace({n: n1})})
    assert value(captured, index) == 3
    assert value(substitute(total, replacement(x, Delta(n, n1))), index) == 1

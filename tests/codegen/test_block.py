"""The block's programs, its lowering to matrix products, and the module generated from them."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import Expr

from codegen.backends.numpy_block import _names, block_text
from codegen.backends.python_code import code
from codegen.block import (
    ACTIVATIONS,
    BLOCK_PASSES,
    Placement,
    build_block,
    matrix_product,
    return_sums,
)
from codegen.block import _meaning as meaning
from codegen.ir import Assign, Program
from codegen.passes import collect_sums
from codegen.pipeline import certify_program
from derive.expr import Axis, SumOver, Var, add, mul
from derive.trace import CertificationError
from generated.numpy_kernels import block

SOURCE = Path(block.__file__).read_text("utf-8")
n, c, k = Axis("n", "m"), Axis("c", "C"), Axis("k", "K")
a, w, z = Var("A", k, n), Var("W", c, k), Var("Z", c, n)
mu, rows = Var("mu", c), Var("rows", k)


@cache
def placements() -> tuple[Placement, ...]:
    return build_block()


# --- Programs ------------------------------------------------------------------------------------


def test_every_pass_is_proved() -> None:
    results = 5 + 5  # of forward and of backward
    assert [p.proofs for p in placements()] == [len(BLOCK_PASSES) * results] * 2
    assert [p.name for p in placements()] == ["before", "behind"]


def _damaged(program: Program) -> Iterator[Program]:
    for position, assign in enumerate(program.assigns):
        for expr in (mul(2, assign.expr), add(assign.expr, 1)):
            if expr != assign.expr:
                wrong = list(program.assigns)
                wrong[position] = replace(assign, expr=expr)
                yield replace(program, assigns=tuple(wrong))


@pytest.mark.parametrize("index", [0, 1], ids=["before", "behind"])
def test_a_pass_that_changes_a_value_is_refused(index: int) -> None:
    placement = placements()[index]
    derivation = placement.derivation
    due, count = meaning(derivation), 0
    for program in (placement.forward, placement.backward):
        for wrong in _damaged(program):
            with pytest.raises(CertificationError, match="damage changed"):
                certify_program(wrong, derivation, due, "damage")
            count += 1
    assert count >= 35


def test_the_bias_has_no_gradient_before_the_activation_alone() -> None:
    before, behind = (
        {a.target.label: a.expr for a in placement.backward.assigns} for placement in placements()
    )
    assert before["db"] == 0
    assert isinstance(behind["db"], SumOver)


def test_a_sum_that_two_formulas_read_is_shared_and_one_that_one_reads_is_not() -> None:
    x, total, scaled = Var("x", c, n), Var("total", c), Var("scaled", c)
    y = Var("y", c, n)
    # The factors stand in different orders: it is the same sum all the same.
    assigns = (
        Assign(total, SumOver(mul(x, z), n)),
        Assign(scaled, mul(3, SumOver(mul(z, x), n))),
        Assign(y, add(x, SumOver(z, n))),
    )
    program = Program((x, z), assigns, (total, scaled, y))
    derivation = placements()[0].derivation
    collected = collect_sums(program, derivation)
    assert [a.target.label for a in collected.assigns] == [
        *("sum_Z_x", "total", "scaled", "sum_Z", "y")
    ]
    returned = return_sums(collected, derivation)
    assert [a.target.label for a in returned.assigns] == ["sum_Z_x", "total", "scaled", "y"]
    assert returned.assigns[-1].expr == assigns[-1].expr


# --- Matrix products -----------------------------------------------------------------------------

PRODUCTS = [
    (SumOver(mul(w, a), k), c, "W @ A"),
    (SumOver(mul(a, w), k), c, "W @ A"),
    (SumOver(mul(w, a), k), n, "A.T @ W.T"),
    (SumOver(mul(w, z), c), k, "W.T @ Z"),
    (SumOver(mul(z, a), n), c, "Z @ A.T"),
    (SumOver(mul(z, a), n), k, "A @ Z.T"),
    (add(SumOver(mul(w, a), k), mu), c, "W @ A + mu"),
    (mul(2, SumOver(mul(w, a), k)), c, "2 * (W @ A)"),
]
NO_PRODUCTS = [
    (SumOver(z, n), c, "_total(Z)"),
    (SumOver(mul(z, mu), n), c, "_total(Z * mu)"),
    (SumOver(mul(z, Var("G", c, n)), n), c, "_total(Z * G)"),
    (SumOver(mul(2, w, a), k), c, "_total(2 * W * A)"),
]


@pytest.mark.parametrize(("expr", "axis", "text"), PRODUCTS, ids=[p[2] for p in PRODUCTS])
def test_a_sum_of_products_over_one_axis_is_a_matrix_product(
    expr: Expr, axis: Axis, text: str
) -> None:
    assert code(expr, _names(axis)) == text


@pytest.mark.parametrize(("expr", "axis", "text"), NO_PRODUCTS[:3], ids=lambda value: str(value))
def test_other_sums_are_totals(expr: Expr, axis: Axis, text: str) -> None:
    assert matrix_product(expr, axis) is None
    assert code(expr, _names(axis)) == text


def test_what_does_not_broadcast_is_refused() -> None:
    for expr in (add(z, rows), SumOver(mul(2, w, a), k)):
        with pytest.raises(TypeError, match="does not broadcast against rows of c"):
            code(expr, _names(c))


# --- The module ----------------------------------------------------------------------------------


def _core(name: str) -> list[str]:
    tree = ast.parse(SOURCE)
    (found,) = (f for f in tree.body if isinstance(f, ast.FunctionDef) and f.name == name)
    return [ast.unparse(step) for step in found.body[1:]]


def test_the_committed_module_is_what_is_generated() -> None:
    assert SOURCE.endswith(f"\n{block_text(placements())}")


def test_the_cores_are_the_derived_formulas() -> None:
    assert _core("_backward_before")[1:] == [
        "Z_hat = inv_std * (Z - mu)",
        "Z_tilde = gamma * Z_hat + beta",
        "dZ_tilde = dA_out * slope(Z_tilde)",
        "sum_dZtilde = _total(dZ_tilde)",
        "sum_dZtilde_Zhat = _total(Z_hat * dZ_tilde)",
        "scale = gamma * inv_std / m",
        "dZ = scale * (m * dZ_tilde - sum_dZtilde - Z_hat * sum_dZtilde_Zhat)",
        "dA = W.T @ dZ",
        "dW = dZ @ A.T",
        "db = np.zeros_like(gamma)",
        "dgamma = sum_dZtilde_Zhat",
        "dbeta = sum_dZtilde",
        "return (dA, dW, db, dgamma, dbeta)",
    ]
    assert {"Z = W @ A + b", "G = g(Z)"} <= set(_core("_forward_behind"))
    assert {"dZ = dG * slope(Z)", "db = _total(dZ)"} <= set(_core("_backward_behind"))


def test_it_stands_alone_without_loops_over_elements() -> None:
    tree = ast.parse(SOURCE)
    imports = {
        name.name.split(".")[0]
        for node in ast.walk(tree)
        if isinstance(node, ast.Import)
        for name in node.names
    }
    assert imports == {"numbers", "numpy"}
    assert not [node for node in ast.walk(tree) if isinstance(node, ast.For | ast.While)]


def test_it_says_to_leave_the_bias_out_and_why() -> None:
    why = "sum_i dl/dZ_pi = 0, by the definition of mu_p"
    assert "Leave the bias out" in str(block.__doc__)
    assert why in str(block.__doc__)
    assert why in str(block.backward.__doc__)


# --- Against the textbook, for any shape ---------------------------------------------------------

Array = Any


def _activated(name: str, values: Array) -> tuple[Array, Array]:
    """The activation and its slope, by hand."""
    sigmoid = 1 / (1 + np.exp(-values))
    known = {
        "identity": (values, np.ones_like(values)),
        "relu": (np.where(values > 0, values, 0), np.where(values > 0, 1, 0)),
        "sigmoid": (sigmoid, sigmoid - sigmoid**2),
        "tanh": (np.tanh(values), 1 / np.cosh(values) ** 2),
    }
    return known[name]


def _normalised(x: Array, eps: float) -> tuple[Array, Array]:
    centred = x - x.mean(axis=1, keepdims=True)
    inv_std = 1 / np.sqrt((centred**2).mean(axis=1, keepdims=True) + eps)
    return centred * inv_std, inv_std


def _through_batch_norm(dy: Array, x_hat: Array, inv_std: Array) -> Array:
    """By the dense Jacobian of each channel, (m I - 1 - x_hat x_hat')/m inv_std."""
    m = dy.shape[1]
    rows = [
        one @ (m * np.eye(m) - 1 - np.outer(hat, hat)) * (r / m)
        for one, hat, r in zip(dy, x_hat, inv_std, strict=True)
    ]
    return np.array(rows).reshape(dy.shape)


def _textbook(
    inputs: dict[str, Array], cotangent: Array, name: str, placement: str, eps: float
) -> tuple[Array, ...]:
    """Everything in extended precision, where there is one."""
    wide = {label: value.astype(np.longdouble) for label, value in inputs.items()}
    gamma, beta, b = (wide[label][:, None] for label in ("gamma", "beta", "b"))
    d = cotangent.astype(np.longdouble)
    z = wide["W"] @ wide["A"] + b
    if placement == "before":
        x_hat, inv_std = _normalised(z, eps)
        out, slope = _activated(name, gamma * x_hat + beta)
        d = d * slope
        dz = _through_batch_norm(d * gamma, x_hat, inv_std)
    else:
        g, slope = _activated(name, z)
        x_hat, inv_std = _normalised(g, eps)
        out = gamma * x_hat + beta
        dz = _through_batch_norm(d * gamma, x_hat, inv_std) * slope
    db = dz.sum(axis=1)
    return out, wide["W"].T @ dz, dz @ wide["A"].T, db, (d * x_hat).sum(axis=1), d.sum(axis=1)


@given(
    sizes=st.tuples(st.integers(1, 6), st.integers(1, 6), st.integers(1, 9)),
    name=st.sampled_from([*ACTIVATIONS]),
    placement=st.sampled_from(["before", "behind"]),
    dtype=st.sampled_from([np.float16, np.float32, np.float64]),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=60, deadline=None)
def test_any_shape_against_the_textbook(
    sizes: tuple[int, int, int], name: str, placement: str, dtype: Any, seed: int
) -> None:
    channels, features, samples = sizes
    rng = np.random.default_rng(seed)
    shapes: dict[str, tuple[int, ...]] = {"A": (features, samples), "W": (channels, features)}
    shapes |= dict.fromkeys(("b", "gamma", "beta"), (channels,))
    inputs = {label: rng.normal(size=shape).astype(dtype) for label, shape in shapes.items()}
    cotangent = rng.normal(size=(channels, samples)).astype(dtype)
    out, kept = block.forward(**inputs, activation=name, placement=placement, eps=0.1)
    got = (out, *block.backward(cotangent, kept))
    due = _textbook(inputs, cotangent, name, placement, 0.1)
    tolerance = 4 * np.finfo(dtype).eps if dtype != np.float64 else 1e-12
    for result, exact in zip(got, due, strict=True):
        assert result.dtype == dtype
        assert result.shape == exact.shape
        scale = max(1.0, float(abs(exact).max()))
        assert float(abs(result - exact).max()) <= tolerance * scale

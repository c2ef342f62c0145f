"""The block's formulas and kernel are verified, and each check is seen to fail."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from sympy import Expr

from derive.expr import SumOver, Var, add, mul
from derive.functions import Activation, ActivationSlope, Relu, Sigmoid, Step
from derive.layers import LAYERS
from derive.layers.block import BLOCK, BLOCKS
from tests.derive.statements import derivation_of
from verify import accuracy_block, contract, exact_block
from verify.contract_block import BLOCK_CLAUSES
from verify.damages import BLOCK_CORES, mutants
from verify.duals import Duals
from verify.evaluate import FUNCTIONS
from verify.exact import Claim, Outcome, check, confirmed
from verify.fields import FIELDS, PRIME_FIELD, RATIONALS, Mod, NotOrdered
from verify.kernel_numbers import Number
from verify.loading import load
from verify.mutation import score
from verify.references import REFERENCES, identity, relu, sigmoid, some_function, tanh
from verify.report import failures
from verify.verification import claims, from_outcomes, no_kernel

SOURCE = (Path(__file__).parents[2] / "generated/numpy_kernels/block.py").read_text("utf-8")
NAMES = [layer.name for layer in BLOCKS]


# --- Formulas ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_every_formula_is_confirmed(name: str) -> None:
    stated = claims(derivation_of(name))
    outcomes = check(LAYERS[name], stated, REFERENCES[name], sizes=(2, 3, 5))
    assert [o for o in outcomes if o.failures] == []
    assert confirmed(outcomes)
    without = {o.field for o in outcomes if o.skipped}
    assert without == ({PRIME_FIELD.name} if name == "block_relu" else set())


def test_a_field_without_an_order_is_skipped_and_says_so() -> None:
    stated = claims(derivation_of("block_relu"))[:1]
    outcomes = check(LAYERS["block_relu"], stated, REFERENCES["block_relu"], sizes=(2,))
    (row,) = from_outcomes(outcomes)
    why = "the integers modulo 2^61-1 have no order"
    assert row.ok
    assert row.detail == f"over rational; not {PRIME_FIELD.name}: {why}"


def _wrong(claim: Claim) -> list[Expr]:
    """The formula with a sign, a factor, g′ or a term wrong."""
    expr = claim.expr
    damaged = [mul(2, expr), mul(-1, expr)] if expr != 0 else [LAYERS["block"].inputs[2]]
    damaged += [
        add(*expr.args[:k], *expr.args[k + 1 :]) for k in range(len(expr.args)) if expr.is_Add
    ]
    slopes = {ActivationSlope: Activation, Step: Relu}
    for slope, function in slopes.items():
        if expr.has(slope):
            damaged.append(expr.replace(slope, function))
            damaged.append(expr.replace(slope, lambda _: 1))
    return damaged


@pytest.mark.parametrize("name", NAMES)
def test_every_damaged_formula_is_caught(name: str) -> None:
    damaged = [
        Claim(f"{claim.name} := {expr}", claim.var, expr, claim.wrt)
        for claim in claims(derivation_of(name))
        for expr in _wrong(claim)
    ]
    outcomes = check(LAYERS[name], damaged, REFERENCES[name], sizes=(3, 4))
    assert len(damaged) >= 46
    assert [(o.claim, o.field) for o in outcomes if not o.failures and not o.skipped] == []


def test_the_sum_that_vanishes_vanishes_before_the_activation_alone() -> None:
    for name, holds in (("block", True), ("block_behind", False)):
        layer = LAYERS[name]
        db, dz = (derivation_of(name)[label].var for label in ("db", "dZ"))
        n = dz.axes[1]
        stated = [Claim("db", db, mul(0, SumOver(dz, n))), Claim("sum", db, SumOver(dz, n))]
        outcomes = check(layer, stated, REFERENCES[name], sizes=(3,))
        assert [o.failures == 0 for o in outcomes if o.claim == "db"] == [holds, holds]
        assert all(o.failures == 0 for o in outcomes if o.claim == "sum")


def test_m_is_the_number_of_samples_and_not_of_features() -> None:
    seen: list[dict[str, int]] = []

    def forward(numbers: Any, given: Any, node: Any) -> None:
        rows, columns = (1 + max(positions) for positions in zip(*given["A"], strict=True))
        seen.append({"K": rows, "m": columns})
        REFERENCES["block"].forward(numbers, given, node)

    reference = type(REFERENCES["block"])("block", forward, REFERENCES["block"].rational)
    check(BLOCK, claims(derivation_of("block"))[:1], reference, sizes=(5, 6))
    assert [s for k, s in enumerate(seen) if s not in seen[:k]] == [
        {"K": 2, "m": 5},
        {"K": 3, "m": 6},
    ]


# --- Functions -----------------------------------------------------------------------------------

PAIRS = [
    (Activation, some_function),
    (Relu, relu),
    (Sigmoid, sigmoid),
    (type(LAYERS["block_tanh"].definitions[-1].expr), tanh),
]


@pytest.mark.parametrize(("node", "function"), PAIRS, ids=lambda value: value.__name__)
def test_both_sides_mean_the_same_function(node: Any, function: Callable[..., Any]) -> None:
    for over in FIELDS if node is not Relu else (RATIONALS,):
        for value in (-3, 0, 2):
            a = over.number(value)
            assert FUNCTIONS[node](over, a) == function(over, a)


@pytest.mark.parametrize(
    ("function", "node"), [(some_function, ActivationSlope), (relu, Step)], ids=["g", "relu"]
)
def test_slopes_are_those_of_dual_numbers(function: Callable[..., Any], node: Any) -> None:
    duals = Duals(RATIONALS)
    for value in (Fraction(-3, 2), Fraction(0), Fraction(7)):
        moved = function(duals, duals.variable(value))
        assert duals.derivative(moved) == FUNCTIONS[node](RATIONALS, value)


def test_order() -> None:
    duals = Duals(RATIONALS)
    assert duals.variable(Fraction(1, 2)) > 0
    assert duals.number(2) > duals.variable(Fraction(1))
    assert not duals.variable(Fraction(0)) > 0
    one, two = Number(Fraction(1), RATIONALS), Number(Fraction(2), RATIONALS)
    assert (two > one, one >= one, one > 1, one >= 1) == (True, True, False, True)
    with pytest.raises(NotOrdered, match="have no order"):
        relu(PRIME_FIELD, Mod(3))
    assert identity(PRIME_FIELD, Mod(3)) == 3


# --- The kernel ----------------------------------------------------------------------------------


def _exact(source: str, sizes: tuple[int, ...] = (3, 4)) -> list[Outcome]:
    return exact_block.check(source, sizes=sizes)


def test_the_committed_kernel_is_exact() -> None:
    outcomes = _exact(SOURCE, (2, 3, 7))
    assert [o for o in outcomes if o.failures] == []
    assert confirmed(outcomes)
    assert [o.claim for o in outcomes[::2]] == [variant.name for variant in exact_block.VARIANTS]
    assert {(o.claim, o.field) for o in outcomes if o.skipped} == {
        *((f"{place} relu", PRIME_FIELD.name) for place in ("before", "behind")),
        *((f"behind {name}", RATIONALS.name) for name in ("sigmoid", "tanh")),
    }
    assert sum(o.cases for o in outcomes) >= 1900


def test_the_committed_kernel_is_accurate_and_keeps_the_contract() -> None:
    module = load(SOURCE, "block")
    results = accuracy_block.run_checks(module, seed=1)
    held = contract.run(module, clauses=BLOCK_CLAUSES, optional=())
    assert [r for r in (*results, *held) if not r.ok] == []
    assert sum(r.cases for r in results) >= 4 * 96
    assert {r.unit: r.limit for r in results} | {"u": 8.0} == {"ulp": 2.0, "u": 8.0, "1e-9": 100.0}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("Z = W @ A + b", "Z = W @ A"),
        ("dZ_tilde = dA_out * slope(Z_tilde)", "dZ_tilde = dA_out"),
        ("1 - np.tanh(a)**2", "1 - np.tanh(a)"),
        ("value = _sigmoid(a)", "value = a"),
        ("np.zeros_like(gamma)", "_total(dA_out)"),
    ],
)
def test_each_group_of_checks_sees_a_wrong_formula(old: str, new: str) -> None:
    assert old in SOURCE
    wrong = SOURCE.replace(old, new)
    assert not confirmed(_exact(wrong, (3,)))
    assert failures(accuracy_block.run_checks(load(wrong, "wrong")))


def test_central_differences_alone_see_a_wrong_slope() -> None:
    wrong = load(SOURCE.replace("(1 - value) * value", "(1 - value)"), "wrong")
    broken = failures(accuracy_block.run_checks(wrong))
    assert "central differences, sigmoid" in {result.name for result in broken}
    assert "central differences, tanh" not in {result.name for result in broken}


@pytest.mark.parametrize(
    ("old", "new", "clause"),
    [
        ('np.errstate(all="ignore")', "np.errstate()", "no warnings"),
        ("array.astype(_WIDE).reshape", "array.astype(_WIDE, copy=False).reshape", "cache"),
        ("given.flags.writeable = False", "pass", "functions in place of a name"),
        ("eps: float = 1e-5", "eps: float = 1e-3", "defaults"),
        ("return float(value)", "return max(float(value), 1e-6)", "eps as given"),
        ("A_out = A_out.astype(A.dtype)", "pass", "dtypes"),
        ("W.shape[1] != A.shape[0]", "False", "shapes"),
        ("_FLOATS = (", '_FLOATS = ("int64", ', "other dtypes"),
        ("np.zeros_like(gamma)", "_total(dZ_tilde)", "bias gradient"),
    ],
)
def test_each_clause_sees_what_it_is_about(old: str, new: str, clause: str) -> None:
    assert old in SOURCE
    module = load(SOURCE.replace(old, new), "broken")
    broken = failures(contract.run(module, clauses=BLOCK_CLAUSES, optional=()))
    assert clause in {result.name for result in broken}


def test_every_damage_is_noticed() -> None:
    found = mutants(SOURCE)
    in_cores = [m for m in found if any(f" in {core}: " in m.name for core in BLOCK_CORES)]
    assert (len(found) >= 365, len(in_cores) >= 330) == (True, True)
    # Only the accuracy table, which takes longer, sees that half precision is not widened.
    quick = [mutant for mutant in found if mutant.name != "not widened"]
    scored = score(SOURCE, BLOCK, REFERENCES["block"], only=quick, checks=("exact", "contract"))
    assert scored.survivors == ()
    assert scored.by_check["exact"] >= 335
    (narrow,) = (mutant for mutant in found if mutant.name == "not widened")
    assert failures(accuracy_block.run_checks(load(narrow.source, "narrow")))


def test_the_other_layers_say_where_their_kernels_are() -> None:
    said = "the kernels of block_relu are in the module of block, and verified there"
    assert no_kernel(LAYERS["block_relu"]) == said
    assert no_kernel(LAYERS["softmax"]) == "no kernel is generated for softmax yet"
    assert Var("b", LAYERS["block"].inputs[2].axes[0]) == LAYERS["block"].inputs[2]

"""Softmax: every check of its kernel holds, and fails where it has to."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from derive.layers.softmax import SOFTMAX
from verify import accuracy_softmax, contract_softmax
from verify.accuracy_cases import Case
from verify.arrangements import line_arrangements
from verify.contract_softmax import CLAUSES
from verify.damages import mutants
from verify.damages_text import ORIGIN_REWRITES
from verify.exact import confirmed
from verify.exact_softmax import check
from verify.loading import load
from verify.mutation import score
from verify.mutation_softmax import WITHOUT_PARAMETERS
from verify.precise import high_precision_gradients
from verify.precise_softmax import LONG, PreciseRow
from verify.references import REFERENCES
from verify.report import failures

SOURCE = Path(__file__).parents[2] / "generated" / "numpy_kernels" / "softmax.py"
QUICK = tuple(case for case in accuracy_softmax.CASES if case.quick)


@cache
def source() -> str:
    return SOURCE.read_text(encoding="utf-8")


def damaged(old: str, new: str) -> str:
    assert old in source()
    return source().replace(old, new)


def module() -> ModuleType:
    return load(source(), "softmax")


# --- Exact ---------------------------------------------------------------------------------------


def test_the_cores_are_exact() -> None:
    outcomes = check(source(), sizes=[2, 3, 5])
    assert confirmed(outcomes)
    assert {o.field for o in outcomes} == {"rational", "field 2^61-1"}
    assert len(outcomes) == 2 * 8


@pytest.mark.parametrize(
    ("old", "new", "claim"),
    [
        ("(x_block, x_max_of, out", "(x_block, 0, out", "forward: Z"),
        ("inv_Z_shifted = 1 / Z_shifted_of", "inv_Z_shifted = Z_shifted_of", "forward: y"),
        ("Z_shifted[block] = Z_shifted_of", "Z_shifted[block] = 1", "forward: Z"),
        ("dy_shifted, sum_dyshifted_y, out", "dy_shifted, 0, out", "backward: dx"),
        ("np.subtract(dy_shifted, sum_dy", "np.add(dy_shifted, sum_dy", "backward: dx"),
        ("np.subtract(dy_block, dy_origin", "np.multiply(dy_block, dy_origin", "backward: dx"),
        ("de = dy / Z_shifted + dZ", "de = dy / Z_shifted - dZ", "backward_staged: dx"),
        ("np.subtract(x_dot_block, x_dot_o", "np.multiply(x_dot_block, x_dot_o", "jvp: y_dot"),
        ("np.eye(m, dtype=_WIDE) - y", "y", "jacobian: uR"),
        ("2 * sum_dyshifted_y * sum_v", "sum_dyshifted_y * sum_v", "double_backward: g_x"),
        ("np.exp(x_shifted", "np.expm1(x_shifted", "forward: y"),
    ],
)
def test_a_damage_is_not_exact(old: str, new: str, claim: str) -> None:
    outcomes = check(damaged(old, new), sizes=[3])
    assert claim in {outcome.claim for outcome in outcomes if outcome.failures}


def test_rows_lie_along_every_axis() -> None:
    table = np.arange(6).reshape(2, 3)
    for where, shape in zip(line_arrangements(2), ((2, 3), (3, 2), (2, 3, 1)), strict=True):
        laid = where.lay(table)
        assert laid.shape == shape
        assert [where.group(laid, shape, k).tolist() for k in (0, 1)] == table.tolist()


# --- Precise -------------------------------------------------------------------------------------


def test_what_judges_agrees_with_the_definition_run_on_dual_numbers() -> None:
    rng = np.random.default_rng(0)
    for gap in (0.0, 40.0, 700.0):
        x, dy = rng.normal(size=(2, 2, 4))
        x[:, 1] += gap
        due = high_precision_gradients(REFERENCES["softmax"], {"x": x}, 0.0, dy, 400)["x"]
        rows = [PreciseRow.of(*row, row[0]) for row in zip(x, dy, strict=True)]
        for row, exact in zip(rows, due, strict=True):
            np.testing.assert_allclose(row.results["dx"].astype(float), exact, rtol=1e-15)


def test_long_rows_are_judged_as_short_ones_are() -> None:
    x, dy, v = np.random.default_rng(1).normal(size=(3, LONG + 1))
    x[7] += 30
    x[-1] = -np.inf  # which leaves what a short row has
    long, short = (PreciseRow.of(x[:end], dy[:end], v[:end]) for end in (LONG + 1, LONG))
    assert long.results["y"].dtype != short.results["y"].dtype
    for name, due in short.results.items():
        exact = due.astype(float)
        assert max(abs(long.results[name][:-1] - exact)) < 1e-13 * max(abs(exact)), name


# --- Accuracy ------------------------------------------------------------------------------------


@pytest.mark.parametrize("case", QUICK, ids=lambda case: f"{case.dtype} {case.name}")
def test_every_hard_row(case: Case) -> None:
    results = accuracy_softmax.run(module(), cases=(case,))
    assert not failures(results), [(r.name, r.detail, r.worst) for r in failures(results)]
    assert len(results) == 5 + case.staged


@pytest.mark.parametrize(
    ("old", "new", "case"),
    [
        ("(x_block, x_max_of, out", "(x_block, 0, out", "mean 1e4 std 1e-2"),
        ("(dy_block, dy_origin, out", "(dy_block, 0, out", "one 60 above the others"),
        ("(x_dot_block, x_dot_origin, out", "(x_dot_block, 0, out", "one 60 above the others"),
        (
            "_WIDE: Any = np.dtype(np.float64)",
            "_WIDE: Any = np.dtype(np.float32)",
            "one 12 above the others",
        ),
        ("np.argmax", "np.argmin", "1e30 among others"),
    ],
)
def test_a_kernel_that_loses_digits_is_seen(old: str, new: str, case: str) -> None:
    kernel = load(damaged(old, new), "softmax")
    chosen = tuple(c for c in QUICK if c.name == case)
    assert failures(accuracy_softmax.run(kernel, cases=chosen))


def test_the_staged_form_loses_what_it_is_excused_for() -> None:
    """Without the origin of dy nothing is left of exp(-60)."""
    kernel = module()
    kernel.__dict__["backward"] = kernel.backward_staged
    (case,) = (c for c in QUICK if c.name == "one 60 above the others")
    (dx,) = (r for r in accuracy_softmax.run(kernel, cases=(case,)) if r.detail == "dx")
    assert dx.worst is not None
    assert dx.worst > 1e6


# --- Contract ------------------------------------------------------------------------------------


@pytest.mark.parametrize("clause", CLAUSES, ids=lambda clause: clause.__name__)
def test_every_clause_holds(clause: contract_softmax.Clause) -> None:
    for result in contract_softmax.run(module(), clauses=(clause,)):
        assert result.ok or result.skipped == "ml_dtypes is not installed", result


@pytest.mark.parametrize(
    ("old", "new", "clause"),
    [
        ("    return dx\n", "    return (dx,)\n", "results_alone"),
        ("axis: int = -1", "axis: int = 0", "signatures"),
        ("layout.reduced[0])\n", "-1)\n", "values"),
        ("        x = x.copy()", "        pass", "cache_outlives_y"),
        ("return y, Cache(x,", "return y, Cache(x.copy(),", "cache_holds_no_copy"),
        ('np.errstate(all="ignore")', "np.errstate()", "no_warning"),
        ("np.argmax", "np.argmin", "rows_alone"),
        ("here + start * _BLOCK", "here", "huge_rows"),
        ("_BLOCK = 2**16", "_BLOCK = 2**22", "little_memory"),
        ("np.exp(x_shifted", "np.expm1(x_shifted", "one_element"),
        ("index % x.ndim)", "index)", "values"),
        ("    if not layout.m:\n", "    if False:\n", "empty"),
        ("if 0 < layout.m <=", "if layout.m <=", "empty"),
    ],
)
def test_a_kernel_that_breaks_a_promise_is_seen(old: str, new: str, clause: str) -> None:
    kernel = load(damaged(old, new), "softmax")
    (chosen,) = (c for c in CLAUSES if c.__name__ == clause)
    assert failures(contract_softmax.run(kernel, clauses=(chosen,)))


def test_functions_that_are_missing_are_skipped() -> None:
    kernel = module()
    for name in ("jvp", "jacobian", "double_backward", "backward_staged"):
        del kernel.__dict__[name]
    results = contract_softmax.run(kernel)
    assert not failures(results)
    assert sum(result.status == "skipped" for result in results) >= 4


# --- Compiled ------------------------------------------------------------------------------------


def compiled() -> str:
    return (SOURCE.parents[1] / "numba_kernels" / "softmax.py").read_text(encoding="utf-8")


def test_the_text_that_is_compiled_is_exact() -> None:
    pytest.importorskip("numba", reason="numba is not installed: NOT TESTED")
    assert confirmed(check(compiled(), sizes=[2, 3, 5]))


@pytest.mark.parametrize(
    ("old", "new", "claim"),
    [
        ("return inv_Z_shifted * e", "return e", "forward: y"),
        ("Z_shifted_of[i] = Z_shifted", "Z_shifted_of[0] = Z_shifted", "forward: Z"),
        ("y * (dy_shifted - sum_dyshifted_y)", "y * dy_shifted", "backward: dx"),
        ("x_dot_shifted * y", "x_dot_shifted", "jvp: y_dot"),
        ("slice(k * count // threads,", "slice((k + 1) * count // threads,", "forward: y"),
        ("[v[share] for v in vectors]", "[v[share] * 1 for v in vectors]", "forward: Z"),
        ("np.moveaxis(a[block], axis, -1)", "a[block]", "forward: y"),
    ],
)
def test_a_damage_to_it_is_not_exact(old: str, new: str, claim: str) -> None:
    pytest.importorskip("numba", reason="numba is not installed: NOT TESTED")
    assert old in compiled()
    outcomes = check(compiled().replace(old, new), sizes=[3])
    assert claim in {outcome.claim for outcome in outcomes if outcome.failures}


# Each of these has something of its own to lay out; most of the time goes into compiling.
OF_COMPILED = ("signatures", "values", "rows_alone", "infinities", "huge_rows", "little_memory")


def test_what_is_compiled_keeps_the_contract() -> None:
    pytest.importorskip("numba", reason="numba is not installed: NOT TESTED")
    from generated.numba_kernels import softmax

    chosen = tuple(clause for clause in CLAUSES if clause.__name__ in OF_COMPILED)
    assert len(chosen) == len(OF_COMPILED)
    assert not failures(contract_softmax.run(softmax, clauses=chosen))
    assert not failures(accuracy_softmax.run(softmax, cases=QUICK))


def test_threads_change_nothing() -> None:
    numba = pytest.importorskip("numba", reason="numba is not installed: NOT TESTED")
    from generated.numba_kernels import softmax

    x, dy = np.random.default_rng(0).normal(size=(2, 3000, 100)).astype(np.float32)
    before, found = numba.get_num_threads(), []
    try:
        for threads in (1, min(2, numba.config.NUMBA_NUM_THREADS)):
            numba.set_num_threads(threads)
            y, cache = softmax.forward(x)
            found.append(y.tobytes() + softmax.backward(dy, cache).tobytes())
    finally:
        numba.set_num_threads(before)
    assert found[0] == found[1]


# --- Damages -------------------------------------------------------------------------------------


def test_damages_of_what_is_softmax_s_own_are_caught() -> None:
    """Those that concern the pieces of a row are seen by the last clauses only."""
    names = {name for name, _, _ in ORIGIN_REWRITES}
    found = {mutant.name: mutant for mutant in mutants(source()) if mutant.name in names}
    assert set(found) == names
    pieces = ("the last piece decides", "a place in its piece", "the largest forgotten")
    chosen = [found[name] for name in pieces]
    checks = ("contract",)
    result = score(source(), SOFTMAX, REFERENCES["softmax"], only=chosen, checks=checks)
    assert result.killed == len(pieces)


def test_what_is_equivalent_is_of_what_softmax_has_not() -> None:
    names = {mutant.name for mutant in mutants(source())}
    assert set(WITHOUT_PARAMETERS) <= names

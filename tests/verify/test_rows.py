"""Layer Norm and RMS Norm: every check of their kernels holds, and fails where it has to."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from derive.layers import LAYERS
from verify import accuracy_rows, contract_by_row
from verify.accuracy_cases import LISTED
from verify.arrangements import row_arrangements
from verify.damages import mutants
from verify.damages_text import ROW_REWRITES
from verify.exact import confirmed
from verify.exact_rows import Normalised, Row
from verify.kernel_exact import BLOCK, check, prepare
from verify.loading import load
from verify.mutation import score
from verify.references import REFERENCES
from verify.report import failures

NAMES = ("layer_norm", "rms_norm")
BY_NAME = pytest.mark.parametrize("name", NAMES)
KERNELS = Path(__file__).parents[2] / "generated" / "numpy_kernels"
TABLE = tuple(case for case in LISTED if case.quick)
HARD = tuple(case for case in TABLE if case.name in ("mean 1e4 std 1e-2", "scaled 1e30"))


@cache
def source(name: str) -> str:
    return (KERNELS / f"{name}.py").read_text(encoding="utf-8")


def damaged(name: str, old: str, new: str) -> ModuleType:
    assert old in source(name)
    return load(source(name).replace(old, new), name)


# --- Exact ---------------------------------------------------------------------------------------


@BY_NAME
def test_the_cores_are_exact(name: str) -> None:
    outcomes = check(source(name), LAYERS[name], REFERENCES[name], sizes=[2, 3, 4, 6])
    assert confirmed(outcomes)
    assert {o.field for o in outcomes} == {"rational", "field 2^61-1"}
    assert all(o.cases >= 4 * 4 * 2 for o in outcomes)


@pytest.mark.parametrize(
    ("old", "new", "claim"),
    [
        ("x_block - mean_block - mean_rest_block", "x_block - mean_block", "forward: y"),
        (" - sum_xshifted**2 / m**2", "", "forward: var"),
        ("sum_dy += layout.over_rows", "sum_dy = layout.over_rows", "backward: dbeta"),
        ("total(dy_block * gamma_part)", "total(dy_block) * gamma_part", "backward: dx"),
        ("_wide(gamma[part])", "_wide(gamma[next(layout.parts())])", "forward: y"),
        ("dbeta[part] = sum_dy", "dbeta[next(layout.parts())] = sum_dy", "backward: dbeta"),
        ("            _add(sums, own)\n", "            sums = own\n", "backward: dgamma"),
        ("gamma_part * x_hat + beta_part", "gamma_part * x_hat", "forward: y"),
        ("u[:, None] * R", "u[None, :] * R", "jacobian: uR"),
    ],
)
def test_a_wrong_core_is_seen(old: str, new: str, claim: str) -> None:
    name = "layer_norm"
    assert old in source(name)
    wrong = source(name).replace(old, new)
    outcomes = check(wrong, LAYERS[name], REFERENCES[name], sizes=[3])
    assert claim in {o.claim for o in outcomes if o.failures}


@pytest.mark.parametrize("m", [3, 6])
def test_every_arrangement_has_several_blocks(m: int) -> None:
    module = load(source("layer_norm"), "blocks")
    vars(module)["_BLOCK"] = BLOCK
    (_, sample) = prepare(LAYERS["layer_norm"], REFERENCES["layer_norm"], sizes=[m])
    assert [case.given["x"].ndim for case in sample.cases] == [2, 3, 3, 4]
    for case in sample.cases:
        layout = case.where.layout(module, case.given["x"])
        assert layout.m == m
        assert len(list(layout.blocks())) == 2
    assert row_arrangements(2, 6)[2].features == (3, 2)


# --- Accuracy ------------------------------------------------------------------------------------


@BY_NAME
def test_the_table_holds(name: str) -> None:
    results = accuracy_rows.run(load(source(name), name), LAYERS[name], cases=TABLE)
    assert not failures(results)
    assert len(results) == len(TABLE) * (8 if name == "layer_norm" else 6)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("_WIDE: Any = np.dtype(np.float64)", "_WIDE: Any = np.dtype(np.float32)"),
        (
            "sum_xshifted2 / m - sum_xshifted**2 / m**2",
            "layout.total(x_block**2) / m - (sum_x / m)**2",
        ),
    ],
)
def test_lost_digits_are_seen(old: str, new: str) -> None:
    module = damaged("layer_norm", old, new)
    assert failures(accuracy_rows.run(module, LAYERS["layer_norm"], cases=HARD))


def test_a_kernel_that_raises_fails_by_name() -> None:
    module = damaged("rms_norm", "layout = _checked(cache)\n    x_dot", "raise KeyError\n    x_dot")
    broken = failures(accuracy_rows.run(module, LAYERS["rms_norm"], cases=HARD[:1]))
    assert [result.detail for result in broken] == ["y_dot: raised KeyError: "]


@pytest.mark.parametrize("centres", [True, False])
def test_the_exact_reference_is_the_definition(centres: bool) -> None:
    """In float64, on data for which that is good enough."""
    rng = np.random.default_rng(0)
    x, gamma, beta, dy = rng.normal(size=(4, 7))
    row = Normalised.of(x, Row.of(gamma), Row.of(beta), 1e-5, centres=centres)
    d = x - x.mean() * centres
    r = 1 / np.sqrt((d**2).mean() + 1e-5)
    np.testing.assert_allclose(row.y().approximate(), gamma * d * r + beta, rtol=1e-12)
    g = gamma * dy
    dx = r * (g - g.mean() * centres - d * r**2 * (g * d).mean())
    np.testing.assert_allclose(row.dx(dy).approximate(), dx, rtol=1e-11)


# --- Contract ------------------------------------------------------------------------------------


@BY_NAME
@pytest.mark.parametrize("seed", [0, 1])
def test_every_clause_holds(name: str, seed: int) -> None:
    results = contract_by_row.run(load(source(name), name), LAYERS[name], seed=seed)
    broken = [f"{result.name}: {result.detail}" for result in failures(results)]
    assert broken == []
    assert len(results) == len(contract_by_row.clauses_of(LAYERS["layer_norm"]))


CLAUSES = {
    "signatures": ("row: int = 0", "channel: int = 0"),
    "values": ("np.ndindex(*lengths[:cut])", "[(0,) * cut]"),
    "axes unfit": ("if outside := ", "if False and "),
    "parameters over several axes": ("array.shape != layout.features", "array.size != layout.m"),
    "jacobian form": ("np.unravel_index(row % rows,", "np.unravel_index(0,"),
    "layouts": ("block.astype(_WIDE, copy=False)", "block.view(block.dtype.newbyteorder('='))"),
    "empty": ("self.m + 2", "self.m"),
    "one element": (
        "scale * (m * dy_block * gamma_part -",
        "1 + scale * (m * dy_block * gamma_part -",
    ),
    "rows alone": ("mean_block = sum_x / m", "mean_block = sum_x.mean() / m"),
    "nan in parameter gradients": ("[part] = sum_dy_xhat", "[part] = np.nan_to_num(sum_dy_xhat)"),
    "dtypes": ("np.empty(shape, dtype)", "np.empty(shape, np.float64)"),
    "double backward values": ("m * v_dx_c - x_hat * sum_vdxc_xhat", "m * v_dx_c"),
    "double backward hard batches": ("- mean_block - mean_rest_block", "- np.float32(mean_block)"),
    "double backward absent": ("v_dgamma, layout, 0", "v_dgamma, layout, 1"),
    "double backward refuses": ('_like("v_dx", v_dx, cache.x)', "np.asarray(v_dx, np.float64)"),
    "double backward layouts": ("astype(_WIDE, copy=False)", "view(block.dtype.newbyteorder('='))"),
    "double backward small": ("    + v_dbeta_part\n", "    + v_dbeta_part + 0 * x_hat + 1\n"),
    "double backward rows alone": ("mean_v_dx = sum_vdx / m", "mean_v_dx = sum_vdx.mean() / m"),
    "double backward no warning": ('np.errstate(all="ignore")', "np.errstate()"),
    "no warning": ('np.errstate(all="ignore")', "np.errstate()"),
    "large rows": ("sum_dy_gamma_row += layout", "sum_dy_gamma_row = layout"),
    "little memory": ("layout.m > _ROW", "layout.m > 100 * _ROW"),
}


@pytest.mark.parametrize("clause", CLAUSES)
def test_a_broken_promise_is_seen(clause: str) -> None:
    module = damaged("layer_norm", *CLAUSES[clause])
    chosen = tuple(
        c
        for c in contract_by_row.clauses_of(LAYERS["layer_norm"])
        if c.__name__.replace("_", " ") == clause
    )
    results = contract_by_row.run(module, LAYERS["layer_norm"], clauses=chosen)
    assert [result.name for result in failures(results)] == [clause]


def test_a_result_that_replaces_its_input_is_written_last() -> None:
    """dx stored before the totals are taken would spoil dy where out=dy, in float64 alone."""
    text = source("layer_norm")
    start = text.index("            # closed form of dl/dx\n")
    end = text.index("        dgamma[part] = sum_dy_xhat", start)
    totals = "            sum_dy_xhat += layout.over_rows(dy_block * x_hat)\n"
    stored = text[start:end]
    assert totals not in stored
    early = text.replace(stored, "").replace(totals, stored + totals)
    results = contract_by_row.run(load(early, "layer_norm"), LAYERS["layer_norm"])
    assert [result.name for result in failures(results)] == ["out replaces input"]


# --- Damages -------------------------------------------------------------------------------------


@BY_NAME
def test_damages_are_caught(name: str) -> None:
    """Some of them; the rest take minutes: verify --mutants."""
    every = mutants(source(name))
    assert {rewrite for rewrite, _, _ in ROW_REWRITES} <= {mutant.name for mutant in every}
    only = every[::29]
    result = score(source(name), LAYERS[name], REFERENCES[name], only=only)
    assert len(result.verdicts) >= 10
    assert not result.survivors, [mutant.name for mutant in result.survivors]

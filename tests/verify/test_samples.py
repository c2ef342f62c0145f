"""Instance Norm and Group Norm: every check of their kernels holds, and fails where it has to."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from derive.layers import LAYERS
from verify import accuracy_rows, contract_by_row
from verify.accuracy_cases import LISTED
from verify.arrangements import SampleArrangement, sample_arrangements
from verify.damages import mutants
from verify.damages_text import SAMPLE_REWRITES
from verify.exact import confirmed
from verify.exact_rows import Row
from verify.kernel_exact import BLOCK, check, prepare
from verify.loading import load
from verify.mutation import EQUIVALENT, score
from verify.references import REFERENCES
from verify.report import failures
from verify.row_shapes import as_channels, as_features, as_groups

NAMES = ("group_norm", "instance_norm")
BY_NAME = pytest.mark.parametrize("name", NAMES)
KERNELS = Path(__file__).parents[2] / "generated" / "numpy_kernels"
TABLE = tuple(case for case in LISTED if case.quick)


@cache
def source(name: str) -> str:
    return (KERNELS / f"{name}.py").read_text(encoding="utf-8")


def damaged(name: str, old: str, new: str) -> ModuleType:
    assert old in source(name)
    return load(source(name).replace(old, new), name)


# --- Exact ---------------------------------------------------------------------------------------


@BY_NAME
def test_the_cores_are_exact(name: str) -> None:
    outcomes = check(source(name), LAYERS[name], REFERENCES[name], sizes=[2, 3, 4])
    assert confirmed(outcomes)
    assert {o.field for o in outcomes} == {"rational", "field 2^61-1"}
    few = ("backward: dgamma", "backward: dbeta", "backward: checks")
    assert all(o.cases >= 4 * 4 * 2 or o.claim.replace("_staged", "") in few for o in outcomes)


@pytest.mark.parametrize(
    ("name", "old", "new", "claim"),
    [
        ("group_norm", "dy_block * gamma_part", "dy_block", "backward: dx"),
        ("group_norm", "m = layout.m", "m = layout.m // 2", "forward: var"),
        ("group_norm", "dbeta[part] = sum_dy", "dbeta[...] = sum_dy", "backward: dbeta"),
        ("group_norm", "u[:, None] * R", "u[None, :] * R", "jacobian: uR"),
        ("instance_norm", "gamma[part]", "gamma[:, :1]", "forward: y"),
        ("instance_norm", "over_rows(dy * x_hat)", "over_rows(dy)", "backward_staged: dgamma"),
    ],
)  # fmt: skip
def test_a_wrong_core_is_seen(name: str, old: str, new: str, claim: str) -> None:
    assert old in source(name)
    wrong = source(name).replace(old, new)
    outcomes = check(wrong, LAYERS[name], REFERENCES[name], sizes=[3])
    assert claim in {o.claim for o in outcomes if o.failures}


@BY_NAME
def test_every_arrangement_has_several_blocks(name: str) -> None:
    module = load(source(name), "blocks")
    vars(module)["_BLOCK"] = BLOCK
    (_, sample) = prepare(LAYERS[name], REFERENCES[name], sizes=[4])
    grouped = name == "group_norm"
    assert [case.given["x"].ndim for case in sample.cases] == [3 + grouped] * 2 + [4 + grouped] * 2
    for case in sample.cases:
        layout = case.where.layout(module, case.given["x"])
        assert layout.m == case.given["m"]
        assert layout.view == case.given["x"].shape
        assert len(list(layout.blocks())) == 4


def test_arrangements_lay_channels_first_and_last() -> None:
    table = np.arange(2 * 2 * 3 * 4).reshape(2, 2, 3, 4)
    first, last = SampleArrangement((4,), False), SampleArrangement((4,), True)
    assert first.lay(table).tolist() == table.tolist()
    assert last.lay(table).tolist() == table.transpose(0, 3, 1, 2).tolist()
    for where in (first, last):
        laid = where.lay(table)
        assert [where.group(laid, laid.shape, k).tolist() for k in range(4)] == [
            row.ravel().tolist() for row in table.reshape(4, 3, 4)
        ]
        one = where.lay(table[:, :, :1, :1])
        assert where.group(one, laid.shape, 3).tolist() == [table[1, 1, 0, 0]]
    assert len(sample_arrangements(4)) == 4


# --- Accuracy ------------------------------------------------------------------------------------


@BY_NAME
def test_the_table_holds(name: str) -> None:
    results = accuracy_rows.run(load(source(name), name), LAYERS[name], cases=TABLE)
    assert not failures(results)
    assert len(results) == len(TABLE) * 8


@BY_NAME
def test_lost_digits_are_seen(name: str) -> None:
    module = damaged(name, "_WIDE: Any = np.dtype(np.float64)", "_WIDE: Any = np.dtype(np.float32)")
    hard = [case for case in TABLE if case.name == "scaled 1e30"]
    assert failures(accuracy_rows.run(module, LAYERS[name], cases=tuple(hard)))


def test_tables_of_hard_rows_are_laid_out() -> None:
    assert as_features((3, 4, 5)).vector == (4, 5)
    channels, groups = as_channels((4, 6, 5)), as_groups((4, 6, 5))
    assert (channels.x, channels.sets, channels.shared) == ((2, 2, 6, 5), 2, 30)
    assert (groups.x, groups.sets, groups.shared) == ((2, 4, 15), 2, 15)
    assert as_groups((3, 9)).x == (1, 9, 3)
    assert groups.spread(np.arange(4.0))[1].tolist() == [2.0] * 15 + [3.0] * 15


def test_neighbours_are_folded_exactly() -> None:
    row = Row.of(np.array([1e16, 1.0, -1e16, 0.5, 0.25, 2.0])).folded(3)
    assert [float(n * row.unit) for n in row.numbers] == [1.0, 2.75]


# --- Contract ------------------------------------------------------------------------------------


@BY_NAME
def test_every_clause_holds(name: str) -> None:
    results = contract_by_row.run(load(source(name), name), LAYERS[name])
    broken = [f"{result.name}: {result.detail}" for result in failures(results)]
    assert broken == []
    assert len(results) == len(contract_by_row.clauses_of(LAYERS[name]))


CLAUSES = {
    "signatures": ("    groups: int,\n    *,", "    *,\n    groups: int = 1,"),
    "values": ("np.ndindex(*lengths[:cut])", "[(0,) * cut]"),
    "axis unfit": ("if not index % x.ndim:", "if False:"),
    "groups unfit": ("if count < 1 or channels % count:", "if count < 1:"),
    "jacobian form": ("np.unravel_index(row % rows,", "np.unravel_index(0,"),
    "layouts": ("block.astype(_WIDE, copy=False)", "block.view(block.dtype.newbyteorder('='))"),
    "empty": ("self.m + 2", "self.m"),
    "one element": (
        "scale * (m * dy_block * gamma_part -",
        "1 + scale * (m * dy_block * gamma_part -",
    ),
    "rows alone": ("mean_block = sum_x / m", "mean_block = sum_x.mean() / m"),
    "nan in parameter gradients": ("[part] = sum_dy_xhat", "[part] = np.nan_to_num(sum_dy_xhat)"),
    "eps as given with positions": ("return float(value)", "return max(float(value), 1e-12)"),
    "absent parameters with positions": ('"gamma", gamma, layout, 1', '"gamma", gamma, layout, 0'),
    "no warning": ('np.errstate(all="ignore")', "np.errstate()"),
    "large rows": ("sum_dy_gamma_row += layout", "sum_dy_gamma_row = layout"),
    "little memory": ("layout.m > _ROW", "layout.m > 100 * _ROW"),
}


@pytest.mark.parametrize("clause", CLAUSES)
def test_a_broken_promise_is_seen(clause: str) -> None:
    module = damaged("group_norm", *CLAUSES[clause])
    every = contract_by_row.clauses_of(LAYERS["group_norm"])
    chosen = tuple(c for c in every if c.__name__.replace("_", " ") == clause)
    results = contract_by_row.run(module, LAYERS["group_norm"], clauses=chosen)
    assert [result.name for result in failures(results)] == [clause]


def test_positions_are_needed_to_see_what_no_v_dx_means() -> None:
    text = source("instance_norm")
    before, after = text.rsplit("_zero(cache.x)", 1)
    wrong = f"{before}np.square(cache.x){after}"
    results = contract_by_row.run(load(wrong, "instance_norm"), LAYERS["instance_norm"])
    assert [r.name for r in failures(results)] == ["double backward absent with positions"]


# --- Damages -------------------------------------------------------------------------------------


@BY_NAME
def test_damages_are_caught(name: str) -> None:
    """Some of those in cores; the rest take minutes: verify --mutants."""
    every = mutants(source(name))
    own = {rewrite for rewrite, _, _ in SAMPLE_REWRITES if "group" not in rewrite}
    assert own <= {mutant.name for mutant in every}
    operators = ("sign", "term", "factor", "sum", "exponent", "root")
    only = [mutant for mutant in every if mutant.name.startswith(operators)][::29]
    result = score(source(name), LAYERS[name], REFERENCES[name], only=only)
    assert len(result.verdicts) >= 5
    assert not result.survivors, [mutant.name for mutant in result.survivors]


def test_a_check_that_another_makes_as_well() -> None:
    (name,) = (name for name in EQUIVALENT if "_channel_axis" in name)
    (mutant,) = (mutant for mutant in mutants(source("group_norm")) if mutant.name == name)
    module = load(mutant.source, "equivalent")
    for axis in (0, 1, -1):
        with pytest.raises(ValueError, match=r"\(3,\)"):
            module.forward(np.ones(3), None, None, 1, axis=axis)

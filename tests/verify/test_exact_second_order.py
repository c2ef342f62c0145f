"""The double backward's core on exact numbers: it is right, and every damage to it is seen."""

from __future__ import annotations

from pathlib import Path

import pytest

from derive.layers import LAYERS
from generated.numpy_kernels import batch_norm
from verify.exact import confirmed
from verify.exact_second_order import check, compare, prepare
from verify.loading import load

SOURCE = Path(batch_norm.__file__).read_text(encoding="utf-8")
START = SOURCE.index("def _double_backward(")
CORE = SOURCE[START : SOURCE.index("\ndef ", START + 1)]
CASES = prepare(sizes=[2, 3])


def test_the_kernel_is_exact() -> None:
    outcomes = check(SOURCE)
    assert confirmed(outcomes)
    assert len(outcomes) == 6
    assert sum(outcome.cases for outcome in outcomes) == 2 * 4 * (2 * 2 * sum(range(2, 7)) + 2 * 5)


@pytest.mark.parametrize(
    ("before", "after", "seen"),
    [
        ("        3 * gamma", "        2 * gamma", {"g_x"}),
        ("        - gamma * inv_std**2 * sum_dyc_vdxc / m\n", "", {"g_x"}),
        ("        - inv_std * v_dgamma * sum_dyc_xhat / m\n", "", {"g_x"}),
        (" + g_x_per_vdxc * v_dx_c", "", {"g_x"}),
        (" + g_x_per_dyc * dy_c", "", {"g_x"}),
        (" / m**2", " / m", {"g_x"}),
        (" + inv_std * v_dgamma", "", {"g_x"}),
        (" + v_dbeta\n", "\n", {"g_dy"}),
        (" / m + v_dgamma", " / m", {"g_dy"}),
        (" + g_dy_per_xhat * x_hat", "", {"g_dy"}),
        (" - sum_dyc_xhat * sum_vdxc_xhat", "", {"g_gamma"}),
        ("x_block - mean - mean_rest", "x_block - mean", {"g_dy", "g_x"}),
        ("mean_dy = sum_dy / m", "mean_dy = sum_dy / (m + 1)", {"g_x"}),
        ("return (g_gamma,)", "return (1.0 * g_gamma,)", {"g_dy", "g_x", "g_gamma"}),
    ],
)  # the sums of centred factors do not see a shift of the other
def test_a_damage_is_seen(before: str, after: str, seen: set[str]) -> None:
    assert before in CORE
    module = load(SOURCE.replace(CORE, CORE.replace(before, after)), "damaged")
    failed = {o.claim for o in compare(module, CASES) if o.failures}
    assert failed == {f"double_backward: {label}" for label in seen}


# --- Layers that reduce rows ---------------------------------------------------------------------

ROWS = ("layer_norm", "rms_norm", "group_norm", "instance_norm")


def source(name: str) -> str:
    return Path(batch_norm.__file__).with_name(f"{name}.py").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ROWS)
def test_the_other_kernels_are_exact(name: str) -> None:
    outcomes = check(source(name), LAYERS[name], sizes=[2, 3, 4])
    assert confirmed(outcomes)
    assert len(outcomes) == 6


@pytest.mark.parametrize(
    ("name", "before", "after", "seen"),
    [
        ("layer_norm", "dx_hat = dy_block * gamma_part", "dx_hat = dy_block", {"g_x"}),
        ("layer_norm", "dx_hat = dy_block * gamma_block", "dx_hat = dy_block", {"g_x"}),
        ("layer_norm", " 3 * inv_std_block", " 2 * inv_std_block", {"g_x"}),
        ("layer_norm", " + g_x_per_dxhatc * dx_hat_c", "", {"g_x"}),
        ("rms_norm", " - inv_rms_block * sum_vdgammady_xhat / m", "", {"g_x"}),
        ("group_norm", "v_dgamma_part * x_hat", "v_dgamma_part", {"g_dy"}),
        ("group_norm", "v_dx_block - mean_v_dx", "v_dx_block", {"g_dy", "g_x", "g_gamma"}),
        ("layer_norm", "            _add(sums, own)", "            sums = own", {"g_gamma"}),
        ("instance_norm", "_vdxc - sum_dyc_xhat * sum_vdxc_xhat)", "_vdxc)", {"g_gamma"}),
    ],
)  # fmt: skip
def test_damages_of_the_others_are_seen(name: str, before: str, after: str, seen: set[str]) -> None:
    text = source(name)
    start = text.index("def _double_backward(")
    assert before in text[start:]
    wrong = text[:start] + text[start:].replace(before, after)
    failed = {o.claim for o in check(wrong, LAYERS[name], sizes=[3]) if o.failures}
    assert failed == {f"double_backward: {label}" for label in seen}

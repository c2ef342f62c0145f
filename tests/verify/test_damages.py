"""The damages are many and different, and what becomes of each is told truly.

That every one of them is caught is for test_mutation.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from codegen.backends import BACKENDS
from codegen.pipeline import build
from derive.derivation import derive
from derive.errors import InputError
from derive.layers import LAYERS
from tests.altered import BATCH_NORMS
from verify.damages import CORES, OPERATORS, PART_CORES, REWRITES, Mutant, mutants
from verify.damages_text import PART_REWRITES
from verify.fields import Arithmetic, NotASquare, Values
from verify.loading import load
from verify.mutation import CENTRED_TWICE, EQUIVALENT, HARMLESS, ONE_CHANNEL, Score, score
from verify.references import REFERENCES, Node, Reference

SOURCE = (Path(__file__).parents[2] / "generated/numpy_kernels/batch_norm.py").read_text("utf-8")
ALL = (*CORES, *PART_CORES)
LAYER, REFERENCE = LAYERS["batch_norm"], REFERENCES["batch_norm"]
MUTANTS = mutants(SOURCE)


def _kind(mutant: Mutant) -> str:
    return mutant.name.split(" in _")[0]


def _score(only: list[Mutant], **options: Any) -> Score:
    return score(SOURCE, LAYER, REFERENCE, only=only, **options)


# --- The damages ---------------------------------------------------------------------------------


def test_there_are_hundreds_and_no_two_are_alike() -> None:
    assert len(MUTANTS) >= 500
    assert len({mutant.source for mutant in (*MUTANTS, Mutant("", 0, SOURCE))}) == len(MUTANTS) + 1
    kinds = Counter(_kind(mutant) for mutant in MUTANTS)
    assert {operator.name for operator in OPERATORS} <= set(kinds)
    assert {name for name, _, _ in (*REWRITES, *PART_REWRITES)} <= set(kinds)
    assert {"name confused", "check left out"} <= set(kinds)
    own = [core for core in CORES if f"\ndef {core}(" in SOURCE]  # others are of layers by rows
    assert len(own) >= 6
    for core in own:  # with the function that computes a part of it
        assert sum(f" in {core}" in mutant.name for mutant in MUTANTS) >= 40
    for core in PART_CORES:
        assert sum(f" in {core}: " in mutant.name for mutant in MUTANTS) >= 5


def test_each_differs_in_one_place() -> None:
    before = SOURCE.splitlines()
    for mutant in MUTANTS:
        after = mutant.source.splitlines()
        pairs = enumerate(zip(before, after, strict=False))
        first = next(k for k, (old, new) in pairs if old != new)
        rest = before[first + 11 :]  # the damaged statement takes eleven lines at most
        assert after[len(after) - len(rest) :] == rest, mutant.name
        assert mutant.line - 1 <= first < mutant.line + 11, mutant.name


def test_each_is_python() -> None:
    for mutant in MUTANTS[::40]:
        ast.parse(mutant.source)


@pytest.mark.parametrize(
    ("operator", "line", "becomes"),
    [
        ("sign flipped", "var = sum_xshifted2 / m -", "(sum_xshifted2 / m) + (sum_x"),
        ("sign flipped", "dmu = layout.total(-dx_hat * inv_std)", "total((dx_hat) * inv_std"),
        ("term dropped", "dx_offset = u * (-sum_dy", "dx_offset = u * (((-sum_dy)))"),
        ("factor dropped", "g_dy[block] = g_dy_per_vdxc * v_dx_c", "g_dy[block] = (v_dx_c)"),
        ("division", "mean_rest = sum_xshifted / m", "mean_rest = (sum_xshifted * m)"),
        ("exponent", "inv_std**3", "(inv_std**2)"),
        ("exponent", "sum_xshifted**2", "(sum_xshifted**1)"),
        ("operation", "block.less(x_block", "block.times(x_block"),
        ("operation", "block.times(x_shifted", "block.less(x_shifted"),
        ("size", "u = gamma * inv_std / m", "u = gamma * inv_std / (m - 1)"),
        ("size", "u = gamma * inv_std / m", "u = gamma * inv_std / (m + 1)"),
        ("root", "1 / np.sqrt(var + eps)", "1 / (var + eps)"),
        ("root", "1 / np.sqrt(var + eps)", "1 / (np.sqrt(var) + eps)"),
        ("term dropped", "1 / np.sqrt(var + eps)", "1 / np.sqrt((var))"),
        ("sum", "sum_dy += layout.total(dy_block)", "sum_dy = layout.total(dy_block)"),
        ("sum", "sum_dy += layout.total(dy_block)", "layout.total(dy_block) / layout.m"),
        ("sum", "sum_dy += layout.total(dy_block)", "axis=layout.axis, keepdims=True"),
        ("sum", "block.plus(sum_dyshifted, dy_shifted)", "sum_dyshifted = sum_dyshifted"),
        (
            "sum",
            "block.plus(sum_dyshifted_xshifted, dy_shifted, x_shifted)",
            "block.plus(sum_dyshifted_xshifted, x_shifted)",
        ),
        ("blocks", "for block in layout.blocks()", "for block in [next(iter(layout.blocks()))]"),
        ("blocks", "for block in work.blocks()", "for block in [next(iter(work.blocks()))]"),
        ("blocks", "g_dy[block] = g_dy_per", "g_dy[next(layout.blocks())] = g_dy_per"),
        ("results swapped", "return dgamma, dbeta", "return dbeta, dgamma"),
        ("term dropped", "x - mean - mean_rest", "((x - mean))"),
        ("precision", "sum_xshifted = work.zeros()", "np.float32"),
    ],
)
def test_an_operator_does_what_its_name_says(operator: str, line: str, becomes: str) -> None:
    lines = SOURCE.splitlines()
    assert any(
        _kind(mutant) == operator
        and line in lines[mutant.line - 1]
        and becomes in mutant.source.splitlines()[mutant.line - 1]
        for mutant in MUTANTS
    )


def test_mutants_are_the_same_each_time() -> None:
    assert mutants(SOURCE) == MUTANTS
    assert [mutant.line for mutant in MUTANTS] == sorted(mutant.line for mutant in MUTANTS)


# --- What becomes of them ------------------------------------------------------------------------


def test_each_check_alone_leaves_damages_to_the_others() -> None:
    """So none of them is there for nothing."""
    by_name = {_kind(mutant): mutant for mutant in MUTANTS}
    chosen = {
        "exact": next(m for m in MUTANTS if "g_dy[block] → g_dy[next(" in m.name),
        "contract": by_name["errstate removed"],
        "accuracy": by_name["never again in float64"],
    }
    for name, mutant in chosen.items():
        found = _score(list(chosen.values()), checks=[name])
        assert set(found.survivors) == set(chosen.values()) - {mutant}
        assert (found.killed, found.by_check[name]) == (1, 1)


def test_what_survives_is_told() -> None:
    harmless = Mutant("a comment", 1, SOURCE + "# the end\n")
    broken = Mutant("no Python", 1, "def")
    told: list[tuple[int, int]] = []
    found = _score([harmless, broken], progress=lambda done, total: told.append((done, total)))
    assert found.survivors == (harmless,)
    assert (found.killed, found.equivalent) == (1, ())
    assert found.by_check == {"exact": 1, "contract": 0, "accuracy": 0}
    assert found.verdicts[1].detail.startswith("raised SyntaxError")
    assert told == [(1, 2), (2, 2)]


@pytest.mark.parametrize(
    ("old", "new", "check"),
    [
        ("sum_dy += ", "sum_dy -= ", "exact"),
        ("eps: float = 1e-5", "eps: float = 1e-4", "contract"),
        ("            fits.all()\n", "            True\n", "accuracy"),
    ],
)
def test_a_damaged_source_cannot_be_scored(old: str, new: str, check: str) -> None:
    with pytest.raises(InputError, match=f"^the undamaged source fails the {check} check: "):
        score(SOURCE.replace(old, new), LAYER, REFERENCE, only=[])


def test_without_exact_points_nothing_is_scored() -> None:
    def rootless(numbers: Arithmetic, given: Values, node: Node) -> None:
        raise NotASquare("never")

    with pytest.raises(InputError, match=r"^rootless has no exact points to compare batch_norm at"):
        score(SOURCE, LAYER, Reference("rootless", rootless))


EQUIVALENT_CALLS: dict[str, tuple[type[Exception], Callable[[Any, Any, Any], object]]] = {
    "not out.flags.writeable": (
        ValueError,
        lambda kernel, x, _: kernel.forward(x, out=np.broadcast_to(x[0], x.shape)),
    ),
    "len(outs) != len(shapes)": (
        ValueError,
        lambda kernel, x, cache: kernel.backward(x, cache, out=(x.copy(), None)),
    ),
    "not isinstance(cache, Cache)": (
        AttributeError,
        lambda kernel, x, _: kernel.backward(x, None),
    ),
    "channel < layout.channels": (
        IndexError,
        lambda kernel, _, cache: kernel.jacobian(cache, channel=3),
    ),
}


def test_equivalent_mutants_raise_and_are_not_counted() -> None:
    chosen = []
    for condition, (error, call) in EQUIVALENT_CALLS.items():
        (name,) = (name for name in EQUIVALENT if condition in name)
        (mutant,) = (mutant for mutant in MUTANTS if mutant.name == name)
        kernel: Any = load(mutant.source, "equivalent")
        x = np.random.default_rng(0).normal(size=(4, 3))
        _, cache = kernel.forward(x)
        with pytest.raises(error):
            call(kernel, x, cache)
        chosen.append(mutant)
    found = _score(chosen)
    assert (found.killed, found.survivors, found.equivalent) == (0, (), tuple(chosen))


def test_nothing_else_is_listed_without_a_test() -> None:
    others = "_channel_axis", "_statistics", "_backward_rows"  # of rows and of samples: their own
    of_samples = [name for name in EQUIVALENT if any(other in name for other in others)]
    assert len(EQUIVALENT) == len((*EQUIVALENT_CALLS, *of_samples, *CENTRED_TWICE, *ONE_CHANNEL))


def test_what_is_listed_as_harmless_is_a_damage_that_is_done() -> None:
    """So that no name outlives the text that it is of."""
    kernels = Path(__file__).parents[2] / "generated" / "numpy_kernels"
    done = {
        path.stem: {mutant.name for mutant in mutants(path.read_text(encoding="utf-8"))}
        for path in kernels.glob("[!_]*.py")
    }
    assert set(EQUIVALENT) <= set().union(*done.values())
    for layer, names in HARMLESS.items():
        assert set(names) <= done[layer.name]


@pytest.mark.parametrize("name", ["eps outside", "no gamma"])
def test_damages_follow_an_altered_definition(name: str) -> None:
    """Its contract is another, so the exact check alone has to notice."""
    layer, reference = BATCH_NORMS[name]
    source = BACKENDS["numpy"].render(build(derive(layer)))
    cores = [m for m in mutants(source) if any(f" in {core}: " in m.name for core in ALL)]
    assert len(cores) >= 300
    # Which part of the mean is which makes no difference to exact numbers.
    cores = [m for m in cores if "→ return mean_rest, mean," not in m.name]
    found = score(source, layer, reference, only=cores[5::12], checks=["exact"])
    assert found.survivors == ()

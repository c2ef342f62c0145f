"""The kernel's own arithmetic: equal to the reference on exact numbers, and seen to differ."""

from __future__ import annotations

import operator
from fractions import Fraction
from functools import cache
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
from verify.arrangements import arrangements
from verify.exact import Outcome, confirmed
from verify.fields import FIELDS, PRIME_FIELD, RATIONALS, Field, NotASquare
from verify.kernel_exact import BLOCK, check, prepare
from verify.kernel_numbers import Number
from verify.kernel_paths import PATHS, Guide
from verify.loading import load
from verify.references import REFERENCES, Reference, batch_norm

SOURCE = (Path(__file__).parents[2] / "generated/numpy_kernels/batch_norm.py").read_text("utf-8")
LAYER, REFERENCE = LAYERS["batch_norm"], REFERENCES["batch_norm"]
CLAIMS = [
    *("forward: y", "forward: mu", "forward: var"),
    *("backward: dx", "backward: dgamma", "backward: dbeta"),
    *("backward_staged: dx", "backward_staged: dgamma", "backward_staged: dbeta"),
    *("jvp: y_dot", "forward: checks", "backward: checks", "jvp: checks", "jacobian: uR"),
]


def _check(source: str, **options: Any) -> list[Outcome]:
    return check(source, LAYER, REFERENCE, **{"sizes": (3, 4), **options})


def _failed(old: str, new: str) -> dict[str, str]:
    """What the damage makes of each claim that fails, at its first place over the prime field."""
    assert old in SOURCE
    outcomes = _check(SOURCE.replace(old, new))
    failed = [{o.claim for o in outcomes if o.failures and o.field == f.name} for f in FIELDS]
    assert failed[0] == failed[1]
    return {
        o.claim: o.counterexample.got
        for o in outcomes
        if o.counterexample and o.field == PRIME_FIELD.name
    }


# --- What is right is confirmed ------------------------------------------------------------------


def test_the_committed_kernel_is_confirmed() -> None:
    outcomes = check(SOURCE, LAYER, REFERENCE)
    assert [o for o in outcomes if o.failures or o.skipped or o.counterexample] == []
    assert [o.claim for o in outcomes] == [*CLAIMS, *CLAIMS]
    assert {o.field for o in outcomes} == {"rational", "field 2^61-1"}
    assert all(o.cases >= 11 * 4 * 2 for o in outcomes)  # sizes, arrangements, channels
    assert sum(o.cases for o in outcomes) >= 17_000
    assert confirmed(outcomes)


def test_outcomes_depend_on_the_seed_alone() -> None:
    wrong = SOURCE.replace("= block.plus(sum_dyshifted,", "= -block.plus(sum_dyshifted,")
    assert _check(wrong, seed=3) == _check(wrong, seed=3)
    assert _check(wrong, seed=3) != _check(wrong, seed=4)


@pytest.mark.parametrize("m", [2, 5, 7, 12])
def test_every_arrangement_is_read_in_blocks(m: int) -> None:
    (_, sample) = prepare(LAYER, REFERENCE, sizes=[m])
    module = load(SOURCE, "blocks")
    vars(module).update(_BLOCK=BLOCK, _WIDE=object)
    guide = Guide(module)
    assert [case.given["x"].ndim for case in sample.cases] == [2, 3, 3, 2]
    assert [where.axis for where in arrangements(m)] == [1, 1, -1, 0]
    for case in sample.cases:
        layout = case.where.layout(module, case.given["x"])
        assert layout.m == m
        assert len(list(layout.blocks())) > 1 or m == 2
        guide.lead(PATHS[0])
        for part in module._parts(layout):
            narrow, wide = part.works(case.given["x"])
            assert (narrow.again, wide.again) == (False, True)
            assert len(list(narrow.blocks())) > 1 or m == 2
    assert arrangements(12)[1].rows == (6, 2)


def test_one_source_does_not_change_another() -> None:
    first, second = load(SOURCE, "one"), load(SOURCE, "one")
    vars(first)["_WIDE"] = object
    assert second._WIDE is not object


# --- What is wrong is seen -----------------------------------------------------------------------


def test_a_wrong_core_fails_its_own_claims_alone() -> None:
    assert set(_failed("dx_offset = u * (-sum_dy +", "dx_offset = u * (")) == {
        *("backward: dx", "backward: checks")
    }
    assert set(_failed("+ dmu / m", "")) == {"backward_staged: dx"}
    assert set(_failed("+ beta_dot", "")) == {"jvp: y_dot", "jvp: checks"}
    assert set(_failed("dtype=_WIDE) - 1 -", "dtype=_WIDE) -")) == {"jacobian: uR"}
    returned = "    return dgamma, dbeta\n\n\ndef _backward_part"
    assert set(_failed(returned, returned.replace("dgamma, dbeta", "dbeta, dgamma"))) == {
        *("backward: dgamma", "backward: dbeta", "backward: checks")
    }


@pytest.mark.parametrize(
    ("old", "new", "claims"),
    [
        ("mean_rest = sum_xshifted / m", "mean_rest = 0 * sum_xshifted", {"forward: mu"}),
        ("y_offset = -gamma * inv_std * mean_rest + beta", "y_offset = beta", {"forward: y"}),
        (" - sum_xshifted**2 / m**2", "", {"forward: var", "forward: y"}),
        ("x_centred = x - mean - mean_rest", "x_centred = x - mean", {"jacobian: uR"}),
    ],
)
def test_a_rest_of_the_mean_that_is_forgotten_is_seen(old: str, new: str, claims: set[str]) -> None:
    """In exact arithmetic the rest is zero only if the centre is the mean."""
    assert claims <= set(_failed(old, new))


def test_a_float_is_refused() -> None:
    failed = _failed("+ 2 * dvar * x_centred / m", "+ dvar * x_centred / (0.5 * m)")
    assert failed == {
        f"backward_staged: d{name}": "raised TypeError: unsupported operand type(s) for /: "
        "'Number' and 'float'"
        for name in ("x", "gamma", "beta")
    }
    assert "forward: y" in _failed(
        "np.zeros(self.group_shape, _WIDE)", "np.zeros(self.group_shape)"
    )


def test_what_raises_has_failed() -> None:
    missing = _failed("def _jvp(", "def _pushforward(")
    assert set(missing) == {"jvp: y_dot", "jvp: checks"}
    assert "AttributeError" in missing["jvp: y_dot"]
    unknown = _failed("def _jacobian(x: Any,", "def _jacobian(speed: Any, x: Any,")
    assert unknown == {"jacobian: uR": "raised KeyError: 'speed'"}
    assert set(_failed("return dgamma, dbeta", "return (dgamma,)")) == {
        *("backward: dx", "backward: dgamma", "backward: dbeta", "backward: checks")
    }
    assert "backward: dx" in _failed("block.place(dx)", "block.place(x)")  # inputs are read-only


def test_what_is_not_written_is_seen() -> None:
    place = "block.place(y)"
    assert place in SOURCE
    damaged = SOURCE.replace(place, "block.room()")
    failed = {o.claim: o.counterexample for o in _check(damaged) if o.counterexample}
    assert [(claim, example.got) for claim, example in failed.items()] == [("forward: y", "None")]
    returned = "    return dgamma, dbeta\n\n\ndef _backward_part"
    assert _failed(returned, returned.replace("dgamma,", "dgamma.reshape(-1),")) == {
        "backward: dgamma": "shape (2,)"
    }


def test_the_counterexample_says_where() -> None:
    outcomes = _check(SOURCE.replace("dbeta = sum_dy  #", "dbeta = sum_dy + 1  #"), sizes=[3])
    (rational,) = (o for o in outcomes if o.failures and o.field == RATIONALS.name)
    assert (rational.claim, rational.cases, rational.failures) == ("backward: dbeta", 40, 40)
    example = rational.counterexample
    assert example is not None
    assert example.sizes == (("axis 0", 1), ("axis 1", 2))
    assert example.index == (("axis 0", 0), ("axis 1", 0))
    assert Fraction(example.got) - Fraction(example.expected) == 1


def test_nothing_compared_is_not_confirmed() -> None:
    outcomes = _check(SOURCE, sizes=[])
    assert [o.cases for o in outcomes] == [0] * len(outcomes) != []
    assert not confirmed(outcomes)

    def rootless(*_: Any) -> Any:
        raise NotASquare("never")

    outcomes = check(SOURCE, LAYER, Reference("rootless", batch_norm, rootless), sizes=[3])
    skipped = {o.field: o.skipped for o in outcomes if o.skipped}
    assert skipped == {"rational": "rootless: no point with all its roots in 1000 draws"}
    assert confirmed(outcomes)  # by the other field


def test_a_reference_that_lacks_a_statistic_is_refused() -> None:
    _, without_mean = BATCH_NORMS["no mean"]
    with pytest.raises(InputError, match=r"^no mean has no mu"):
        check(SOURCE, LAYER, without_mean, sizes=[3])


# --- Altered definitions -------------------------------------------------------------------------


@cache
def _generated(name: str) -> str:
    return BACKENDS["numpy"].render(build(derive(BATCH_NORMS[name][0])))


PER_CHANNEL = [
    name for name, (layer, _) in BATCH_NORMS.items() if all(var.axes for var in layer.learnt)
]


@pytest.mark.parametrize("name", PER_CHANNEL)
def test_a_kernel_follows_its_definition(name: str) -> None:
    outcomes = check(_generated(name), *BATCH_NORMS[name])
    assert confirmed(outcomes)
    assert {(o.field, o.cases > 0, bool(o.skipped)) for o in outcomes} == {
        ("rational", False, True),
        ("field 2^61-1", True, False),
    }


@pytest.mark.parametrize("name", ["eps outside", "unbiased"])
def test_a_kernel_of_another_definition_is_seen(name: str) -> None:
    outcomes = check(_generated(name), BATCH_NORMS[name][0], REFERENCE, sizes=[3])
    assert not confirmed(outcomes)
    assert {o.claim.split(":")[0] for o in outcomes if o.failures} == {
        "forward",
        "backward",
        "backward_staged",
        "jvp",
        "jacobian",
    }


# --- Numbers -------------------------------------------------------------------------------------


@pytest.mark.parametrize("over", FIELDS, ids=lambda over: over.name)
def test_numbers_compute_like_what_they_hold(over: Field) -> None:
    a, b = over.number(Fraction(4)), over.number(Fraction(9))
    p: Any = Number(a, over)
    q: Any = Number(b, over)
    for got, due in (
        (p + q, a + b),
        (p - q, a - b),
        (p * q, a * b),
        (p / q, a / b),
        (2 + p, a + 2),
        (2 - p, -a + 2),
        (2 * p, a * 2),
        (2 / p, over.number(2) / a),
        (-p, -a),
        (p**3, a * a * a),
        (np.sqrt(np.array([p], object))[0], over.sqrt(a)),
        (np.exp(np.array([p], object))[0], over.exp(a)),
        ((p * np.array([q], object))[0], a * b),
        ((1 / np.array([q], object))[0], over.number(1) / b),
    ):
        assert isinstance(got, Number)
        assert got.value == due


@pytest.mark.parametrize("other", [0.5, np.float64(0.5), np.array([0.5]), "1"])
def test_numbers_refuse_floats(other: Any) -> None:
    number: Any = Number(Fraction(1), RATIONALS)
    for left, right in ((number, other), (other, number)):
        for compute in (operator.add, operator.sub, operator.mul, operator.truediv):
            with pytest.raises(TypeError):
                compute(left, right)
    with pytest.raises(TypeError):
        np.array([number], object).astype(np.float64)

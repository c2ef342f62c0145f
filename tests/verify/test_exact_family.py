"""The oracle of higher orders for any layer: ours are right, and a wrong formula is seen."""

from __future__ import annotations

from dataclasses import replace

import pytest

from derive.expr import mul
from derive.layers import LAYERS
from derive.orders import orders_of
from derive.trace import Result, Step
from tests.derive.statements import derivation_of
from verify.exact import confirmed
from verify.exact_family import check, orders_to_verify
from verify.verification import Subject, verify

NAMES = (
    *("batch_norm", "layer_norm", "rms_norm", "instance_norm", "l2_normalise"),
    *("weight_standardisation", "softmax", "log_softmax", "softmax_cross_entropy"),
)


@pytest.mark.parametrize("name", NAMES)
def test_every_order_is_exact(name: str) -> None:
    orders = orders_of(derivation_of(name))
    outcomes = check(orders, sizes=[2, 3])
    assert confirmed(outcomes)
    learnt = len(LAYERS[name].learnt[:1])
    assert len({outcome.claim for outcome in outcomes}) == 2 + learnt + 3


def test_group_norm_is_exact() -> None:
    assert confirmed(check(orders_of(derivation_of("group_norm")), sizes=[2]))


def _doubled(result: Result) -> Result:
    wrong = Step("damage", result.closed, mul(2, result.closed), result.reason)
    return replace(result, closing=(*result.closing, wrong))


@pytest.mark.parametrize("place", range(3))
def test_a_wrong_double_backward_is_seen(place: int) -> None:
    orders = orders_of(derivation_of("layer_norm"))
    results = list(orders.second.results)
    results[place] = _doubled(results[place])
    wrong = replace(orders, second=replace(orders.second, results=tuple(results)))
    failed = {o.claim for o in check(wrong, sizes=[3]) if o.failures}
    assert failed == {results[place].var.label}


def test_a_wrong_third_derivative_is_seen() -> None:
    orders = orders_of(derivation_of("softmax"))
    *first, last = orders.along
    wrong = replace(orders, along=(*first, replace(last, result=_doubled(last.result))))
    assert {o.claim for o in check(wrong, sizes=[3]) if o.failures} == {"D3p"}


def test_which_layers_have_orders_to_verify() -> None:
    assert orders_to_verify(derivation_of("softmax")) is not None
    for name in ("batch_norm_3d", "batch_norm_inference", "block"):
        assert orders_to_verify(derivation_of(name)) is None


def test_verification_of_a_layer_includes_them() -> None:
    rows = verify(Subject(derivation_of("log_softmax"), None))
    named = {row.name: row for row in rows}
    assert (named["higher orders"].group, named["higher orders"].ok) == ("proved", True)
    assert (named["D3y"].group, named["D3y"].ok) == ("exact", True)

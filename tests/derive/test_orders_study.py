"""The higher orders of each layer as a study: proved, laid out in every notation, or refused."""

from __future__ import annotations

import pytest

from derive.errors import InputError
from derive.expr import add
from derive.layers import LAYERS
from derive.orders import study_of
from derive.render.blocks import Equation
from derive.render.notation_file import NAMES, notation
from derive.render.publication import publication

NAMED = (
    *("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm", "l2_normalise"),
    *("weight_standardisation", "softmax", "log_softmax", "softmax_cross_entropy"),
)


@pytest.mark.parametrize("name", NAMED)
def test_every_equality_is_proved(name: str) -> None:
    study = study_of(LAYERS[name])
    assert study.name == f"{name}_orders"
    sections = study.develop()
    pairs = [(section, pair) for section in sections for pair in section.equalities()]
    assert len(pairs) >= 10
    for section, (left, right) in pairs:
        assert section.proves(left, right)
        assert not section.proves(left, add(right, 1))
    assert len(sections[1].conclusions) == 3


@pytest.mark.parametrize("name", ["group_norm", "softmax"])
def test_it_is_laid_out_in_every_notation(name: str) -> None:
    layer = LAYERS[name]
    for symbols in NAMES:
        shown = publication(layer, form="orders", notation=notation(symbols, layer))
        assert sum(isinstance(block, Equation) for block in shown.blocks) >= 25


@pytest.mark.parametrize("name", ["batch_norm_inference", "block"])
def test_a_layer_without_is_refused(name: str) -> None:
    said = (
        f"^the higher orders of {name} are not derived; those of a single layer that reduces over"
    )
    with pytest.raises(InputError, match=said):
        publication(LAYERS[name], form="orders")


def test_one_input_is_not_asked_for() -> None:
    with pytest.raises(InputError, match="--wrt goes with the first order"):
        publication(LAYERS["layer_norm"], form="orders", wrt="x")

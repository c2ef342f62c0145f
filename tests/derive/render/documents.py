"""Documents of every kind, made once for the tests of all formats."""

from __future__ import annotations

from functools import cache
from typing import get_args

from derive.layers import LAYERS
from derive.render import notation
from derive.render.document import Block, Equation, Form, document
from derive.render.notation_file import NAMES
from derive.render.study_document import study_document
from derive.studies import STUDIES
from tests.derive.statements import derivation_of

FORMS: tuple[Form, ...] = get_args(Form)
FIRST = ("batch_norm", "layer_norm", "softmax")  # in every notation, at every width
KINDS = [(layer, name) for layer in LAYERS for name in NAMES if layer in FIRST or name == "code"]


@cache
def document_of(
    layer: str, name: str = "paper", *, wrt: str = "", form: Form = "all", steps: bool = True
) -> tuple[Block, ...]:
    """``wrt``: one input, or all."""
    wanted = [wrt] if wrt else []
    derivation = derivation_of(layer)
    return document(derivation, wrt=wanted, form=form, steps=steps, notation=notation(name))


@cache
def study_of(name: str, symbols: str = "paper") -> tuple[Block, ...]:
    return study_document(STUDIES[name], notation=notation(symbols))


def equations(blocks: tuple[Block, ...]) -> list[Equation]:
    return [block for block in blocks if isinstance(block, Equation)]

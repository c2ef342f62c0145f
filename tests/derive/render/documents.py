"""Documents of every kind, made once for the tests of all formats."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from itertools import product
from typing import Any, get_args

from derive.layers import LAYERS
from derive.render import notation
from derive.render.blocks import Block, Equation
from derive.render.document import Form, document
from derive.render.notation_file import NAMES
from derive.render.publication import Publication
from derive.render.study_document import study_document
from derive.studies import STUDIES
from tests.derive.statements import derivation_of

FORMS: tuple[Form, ...] = tuple(form for form in get_args(Form) if form != "orders")  # a study
FIRST = ("batch_norm", "layer_norm", "softmax")  # in every notation, at every width
KINDS = [(layer, name) for layer in LAYERS for name in NAMES if layer in FIRST or name == "code"]


@cache
def document_of(
    layer: str,
    name: str = "paper",
    *,
    wrt: str = "",
    form: Form = "all",
    steps: bool = True,
    symbols: bool = False,
) -> tuple[Block, ...]:
    """``wrt``: one input, or all."""
    wanted = [wrt] if wrt else []
    derivation = derivation_of(layer)
    names = notation(name)
    return document(derivation, wrt=wanted, form=form, steps=steps, notation=names, symbols=symbols)


@cache
def study_of(name: str, symbols: str = "paper") -> tuple[Block, ...]:
    return study_document(STUDIES[name], notation=notation(symbols))


def published(layer: str, name: str = "paper", **options: Any) -> Publication:
    """A layer's document for export; the options are those of :func:`document_of`."""
    certified = sum(1 for _ in derivation_of(layer).steps())
    return Publication(
        LAYERS[layer], notation(name), document_of(layer, name, symbols=True, **options), certified
    )


def published_study(name: str, symbols: str = "paper") -> Publication:
    return Publication(STUDIES[name], notation(symbols), study_of(name, symbols), 0)


def publications() -> Iterator[Publication]:
    """Every study, layer, notation and form that is worth its time."""
    for study, name in product(STUDIES, NAMES):
        yield published_study(study, name)
    for layer, name in KINDS:
        yield published(layer, name)
        if layer in FIRST:
            yield published(layer, name, form="summary")
            yield published(layer, name, form="jacobian", steps=False)


def equations(blocks: tuple[Block, ...]) -> list[Equation]:
    return [block for block in blocks if isinstance(block, Equation)]

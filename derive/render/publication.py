"""A derivation or a study as it is published: its blocks, and what they are about."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from derive.derivation import Derivation, derive_or_stage
from derive.errors import InputError
from derive.layer import Layer
from derive.orders import study_of
from derive.render.blocks import Block, Heading
from derive.render.document import Form, document
from derive.render.labels import labels
from derive.render.notation import Notation
from derive.render.notation_file import PAPER
from derive.render.study_document import study_document
from derive.study import Study


@dataclass(frozen=True)
class Publication:
    """What every format renders.  ``certified`` counts the steps that are proved."""

    subject: Layer | Study
    notation: Notation
    blocks: tuple[Block, ...]
    certified: int

    @property
    def kind(self) -> Literal["layer", "study"]:
        return "layer" if isinstance(self.subject, Layer) else "study"

    @property
    def name(self) -> str:
        return self.subject.name

    @property
    def title(self) -> str:
        return self.subject.title

    @property
    def source(self) -> str:
        return self.subject.source

    @property
    def body(self) -> tuple[tuple[Block, str], ...]:
        """The blocks below the title, each with its label."""
        marked = zip(self.blocks, labels(self.blocks, self.name), strict=True)
        return tuple(marked)[1:]

    def headings(self) -> Iterator[tuple[Heading, str]]:
        """The sections, each with its label."""
        for block, label in self.body:
            if isinstance(block, Heading):
                yield block, label


def publication(
    subject: Layer | Study,
    *,
    wrt: str = "all",
    form: Form = "all",
    steps: bool = True,
    notation: Notation = PAPER,
    symbols: bool = True,
) -> Publication:
    """Derive a layer, or develop a study, and lay it out.

    ``wrt`` is an input's label, or all; ``symbols`` asks for a table of a layer's symbols.  Raises
    InputError where there is no such input, where a study is asked for with respect to one, and
    where the notation does not fit.
    """
    if form == "orders" and not isinstance(subject, Study):
        if wrt != "all":
            raise InputError("--wrt goes with the first order; --form orders has all inputs")
        return publication(study_of(subject), steps=steps, notation=notation)
    if isinstance(subject, Study):
        if (wrt, form) != ("all", "all"):
            raise InputError(f"--wrt and --form go with a layer; {subject.name} is a study")
        blocks = study_document(subject, steps=steps, notation=notation)
        certified = sum(1 for section in subject.develop() for _ in section.equalities())
        return Publication(subject, notation, blocks, certified)
    inputs = [var.label for var in subject.inputs]
    if wrt not in ("all", *inputs):
        known = ", ".join(inputs)
        raise InputError(f"{subject.name} has no input {wrt!r} (inputs: {known}, or all)")
    wanted = () if wrt == "all" else (wrt,)
    return publication_of(
        derive_or_stage(subject),
        wrt=wanted,
        form=form,
        steps=steps,
        notation=notation,
        symbols=symbols,
    )


def publication_of(
    derivation: Derivation,
    *,
    wrt: tuple[str, ...] = (),
    form: Form = "all",
    steps: bool = True,
    notation: Notation = PAPER,
    symbols: bool = True,
) -> Publication:
    """What has been derived, laid out; ``wrt`` are labels of inputs, of all if it is empty."""
    blocks = document(
        derivation, wrt=wrt, form=form, steps=steps, notation=notation, symbols=symbols
    )
    certified = sum(1 for _ in derivation.steps())
    return Publication(derivation.layer, notation, blocks, certified)

"""``backnorm derive``: the derivation of a layer's gradients, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from commands.help import Command
from commands.options import layer_or_study_argument, layer_or_study_named, notation_option

if TYPE_CHECKING:
    from derive.layer import Layer
    from derive.render.document import Block
    from derive.render.notation import Notation
    from derive.study import Study


@click.command(cls=Command)
@layer_or_study_argument
@click.option(
    "--wrt",
    default="all",
    show_default=True,
    metavar="INPUT",
    help="x, gamma, beta (what the layer has), or all.",
)
@click.option(
    "--form",
    default="all",
    show_default=True,
    type=click.Choice(["staged", "closed", "jacobian", "all"]),
)
@notation_option
@click.option("--steps/--no-steps", default=True, help="Every step, or only what it leads to.")
@click.option(
    "--format",
    "output",
    default="text",
    show_default=True,
    type=click.Choice(["text", "latex", "json"]),
)
def command(subject: str, wrt: str, form: str, notation: str, steps: bool, output: str) -> None:
    """Print the derivation of a layer's gradients, or a study.

    Each step stands with its reason and is proved, for every size, before it is printed.  FILE
    defines a layer of your own, as those in examples/ do.
    """
    import json

    from commands.console import is_ascii, show
    from derive.render import exports
    from derive.render.notation_file import notation as notation_named
    from derive.study import Study

    chosen = layer_or_study_named(subject)
    if isinstance(chosen, Study):
        if wrt != "all" or form != "all":
            raise click.UsageError("--wrt and --form go with a layer, not with a study")
        symbols = notation_named(notation, chosen.layer)
        blocks, about = _studied(chosen, steps, symbols)
    else:
        symbols = notation_named(notation, chosen)
        blocks, about = _derived(chosen, wrt, form, steps, symbols)
    if output == "text":
        show(blocks)
    elif output == "latex":
        print(exports.latex(blocks), end="")
    else:
        data = exports.json_object(about, blocks, symbols)
        print(json.dumps(data, indent=1, ensure_ascii=is_ascii()))


Shown = tuple[tuple["Block", ...], dict[str, Any]]  # a document, and what it is about


def _derived(layer: Layer, wrt: str, form: Any, steps: bool, notation: Notation) -> Shown:
    from derive.derivation import derive_or_stage
    from derive.render.document import document

    wanted = _wanted(layer, wrt)
    derivation = derive_or_stage(layer)
    blocks = document(derivation, wrt=wanted, form=form, steps=steps, notation=notation)
    about = {"layer": layer.name, "title": layer.title, "source": layer.source}
    return blocks, {**about, "certified_steps": sum(1 for _ in derivation.steps())}


def _studied(study: Study, steps: bool, notation: Notation) -> Shown:
    from derive.render.study_document import study_document

    blocks = study_document(study, steps=steps, notation=notation)
    about = {"study": study.name, "title": study.title, "source": study.source}
    certified = sum(1 for section in study.develop() for _ in section.equalities())
    return blocks, {**about, "certified_steps": certified}


def _wanted(layer: Layer, wrt: str) -> list[str]:
    from derive.errors import InputError

    labels = [var.label for var in layer.inputs]
    if wrt == "all":
        return labels
    if wrt not in labels:
        raise InputError(f"{layer.name} has no input {wrt!r} (inputs: {', '.join(labels)}, or all)")
    return [wrt]

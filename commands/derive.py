"""``backnorm derive``: the derivation of a layer's gradients, step by step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from commands.help import Command
from commands.options import (
    form_option,
    layer_or_study_argument,
    notation_option,
    published,
    steps_option,
    wrt_option,
)

if TYPE_CHECKING:
    from derive.render.document import Form


@click.command(cls=Command)
@layer_or_study_argument
@wrt_option
@form_option
@notation_option
@steps_option
@click.option(
    "--format",
    "output",
    default="text",
    show_default=True,
    type=click.Choice(["text", "latex", "json"]),
)
def command(subject: str, wrt: str, form: Form, notation: str, steps: bool, output: str) -> None:
    """Print the derivation of a layer's gradients, or a study.

    Each step stands with its reason and is proved, for every size, before it is printed.  FILE
    defines a layer of your own, as those in examples/ do.  `backnorm export` has more formats.
    """
    from commands.console import show
    from derive.render.exports import FORMATS, exported

    whole = output != "text"
    shown = published(subject, wrt=wrt, form=form, notation=notation, steps=steps, symbols=whole)
    if output == "text":
        show(shown.blocks)
    else:
        print(exported(shown, FORMATS[output]).decode(), end="")

"""``backnorm plot``: what Batch Norm does to the input of a sigmoid, as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from commands.help import Command
from commands.options import seed_option


@click.command(cls=Command)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    default="sigmoid_input.svg",
    show_default=True,
    metavar="FILE",
    help="A .svg, .png or .pdf file.",
)
@click.option("--gamma", default=2.0, show_default=True, help="Scale in the last panel.")
@click.option("--beta", default=0.5, show_default=True, help="Shift in the last panel.")
@seed_option
def command(out: Path, gamma: float, beta: float, seed: int) -> None:
    """Draw a sigmoid's inputs before, normalised, scaled and shifted.

    Needs matplotlib: pip install 'backnorm[plot]'.
    """
    import math

    from commands.console import say
    from commands.picture import Picture
    from derive.errors import InputError

    picture = Picture(out, "plot")
    for name, value in (("gamma", gamma), ("beta", beta)):
        if not math.isfinite(value):
            raise InputError(f"--{name} is {value}; a finite number is needed")
    from plots.activation_input import figure

    picture.write(lambda: figure(seed, gamma, beta))
    say(f"{out}: written")

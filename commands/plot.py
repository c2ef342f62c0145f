"""``backnorm plot``: pictures for teaching and for documents."""

from __future__ import annotations

from pathlib import Path

import click

from commands.help import Command
from commands.options import complete_layer, layer_named, seed_option

PICTURES = ("inputs", "graph", "jacobian")


@click.command(cls=Command)
@click.argument("what", type=click.Choice(PICTURES), default="inputs", metavar="[WHAT]")
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="A .svg, .png or .pdf file.  [default: WHAT.svg]",
)
@click.option(
    "--layer",
    default="batch_norm",
    show_default=True,
    metavar="LAYER|FILE",
    shell_complete=complete_layer,
    help="Whose graph.",
)
@click.option("--gamma", default=2.0, show_default=True, help="Scale in the last panel of inputs.")
@click.option("--beta", default=0.5, show_default=True, help="Shift in the last panel of inputs.")
@seed_option
def command(what: str, out: Path | None, layer: str, gamma: float, beta: float, seed: int) -> None:
    """Draw WHAT: inputs, graph or jacobian.

    inputs: a sigmoid's inputs before, normalised, scaled and shifted.  graph: the definitions of
    a layer, with values forward and adjoints backward.  jacobian: R of Batch Norm for a batch of 8.

    Needs matplotlib: pip install 'backnorm[plot]'.
    """
    import math

    from commands.console import say
    from commands.picture import Picture
    from derive.errors import InputError

    out = out or Path(f"{what}.svg")
    picture = Picture(out, "plot")
    for name, value in (("gamma", gamma), ("beta", beta)):
        if not math.isfinite(value):
            raise InputError(f"--{name} is {value}; a finite number is needed")
    if what == "graph":
        from plots import computational_graph

        subject = layer_named(layer)
        picture.write(lambda: computational_graph.figure(subject))
    elif what == "jacobian":
        from plots import jacobian

        picture.write(lambda: jacobian.figure(seed))
    else:
        from plots import activation_input

        picture.write(lambda: activation_input.figure(seed, gamma, beta))
    say(f"{out}: written")

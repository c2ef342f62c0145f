"""``backnorm prove``: a certificate of a layer's gradients, for others to check."""

from __future__ import annotations

from pathlib import Path

import click

from commands.help import Command
from commands.options import layer_argument, layer_named


@click.command(cls=Command)
@layer_argument
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Where to write it, such as proof.json; standard output if left out.",
)
def command(layer: str, out: Path | None) -> int:
    """Write a certificate of a layer's gradients, for others to check.

    It holds every definition, identity, step and closed form, as JSON; backnorm check replays it
    without the engine that found it.  FILE defines a layer of your own.
    A layer of which the engine proves nothing has no certificate, and the exit status is 2.
    """
    from codegen.emit import replace
    from commands.console import say
    from derive.derivation import derive_or_stage
    from verify.certificate import certificate, text

    data = certificate(derive_or_stage(layer_named(layer)))
    if out is None:
        click.echo(text(data))
        return 0
    replace(out, text(data) + "\n")
    counts = ", ".join(f"{count} {kind}" for kind, count in data["counts"].items())
    click.echo(f"{out}: written")
    say(counts)
    return 0

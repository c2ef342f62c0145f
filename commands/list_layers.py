"""``backnorm list``: the layers and the studies."""

from __future__ import annotations

import click

from commands.help import Command


@click.command(cls=Command)
def command() -> None:
    """List the layers and studies, and the modules of their kernels."""
    from codegen.emit import MODULE_OF
    from commands.console import print_table, say
    from derive.layers import LAYERS
    from derive.render.notation_file import NAMES
    from derive.studies import STUDIES
    from verify.data import SHIPPED

    rows = [
        (
            layer.name,
            ", ".join(var.label for var in layer.inputs),
            MODULE_OF.get(layer.name, "-"),
            layer.title,
        )
        for layer in LAYERS.values()
    ]
    rows += [
        (study.name, "", MODULE_OF.get(study.name, "-"), study.title) for study in STUDIES.values()
    ]
    print_table(
        ("name", "inputs", "kernels in", "what it is"), rows, spare=("inputs", "kernels in")
    )
    click.echo()
    say(f"notations: {', '.join(NAMES)}")
    say(f"data that ship: {', '.join(SHIPPED)}")

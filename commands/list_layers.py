"""``backnorm list``: the layers and the studies."""

from __future__ import annotations

import click

from commands.help import Command


@click.command(cls=Command)
def command() -> None:
    """List the layers and studies, and which have kernels."""
    from codegen.emit import KERNEL_LAYERS
    from commands.console import print_table
    from derive.layers import LAYERS
    from derive.studies import STUDIES

    rows = [
        (
            layer.name,
            ", ".join(var.label for var in layer.inputs),
            "numpy" if layer.name in KERNEL_LAYERS else "-",
            layer.title,
        )
        for layer in LAYERS.values()
    ]
    rows += [(study.name, "", "-", study.title) for study in STUDIES.values()]
    print_table(("name", "inputs", "kernels", "what it is"), rows, spare=("inputs", "kernels"))

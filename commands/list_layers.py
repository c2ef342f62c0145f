"""``backnorm list``: the layers and the studies."""

from __future__ import annotations

import click

from commands.help import Command

LEAST = 70  # columns for names, guarantees, and titles on two lines


@click.command(cls=Command)
def command() -> None:
    """List the layers and studies, with what verify gives for them.

    proved: for every size.  exact: equal to an independent oracle, at sampled sizes.  checked: in
    floating point.
    """
    from codegen.emit import MODULE_OF
    from commands.console import Console, print_table, say
    from derive.layer import Layer
    from derive.layers import LAYERS
    from derive.render.notation_file import NAMES
    from derive.studies import STUDIES
    from derive.study import Study
    from verify.data import SHIPPED
    from verify.guarantees import guarantees

    subjects: list[Layer | Study] = [*LAYERS.values(), *STUDIES.values()]
    inputs = {layer.name: ", ".join(v.label for v in layer.inputs) for layer in LAYERS.values()}
    rows = [
        (
            subject.name,
            inputs.get(subject.name, ""),
            MODULE_OF.get(subject.name, "-"),
            " ".join(guarantees(subject.name)),
            subject.title,
        )
        for subject in subjects
    ]
    columns = ("name", "inputs", "kernels in", "guarantees", "what it is")
    narrow = Console().width < LEAST  # then even the titles are more useful than the guarantees
    spare = ("inputs", "kernels in", "guarantees") if narrow else ("inputs", "kernels in")
    print_table(columns, rows, spare=spare)
    click.echo()
    say(f"notations: {', '.join(NAMES)}")
    say(f"data that ship: {', '.join(SHIPPED)}")

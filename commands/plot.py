"""``backnorm plot``: what Batch Norm does to the input of a sigmoid, as a picture."""

from __future__ import annotations

from pathlib import Path

import click

from commands.help import Command
from commands.options import seed_option

FORMATS = ("svg", "png", "pdf")


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
    import io
    import math

    from codegen.emit import replace_bytes
    from commands.console import say
    from derive.errors import InputError

    form = out.suffix.lstrip(".").lower()
    if form not in FORMATS:
        known = ", ".join(f".{name}" for name in FORMATS)
        raise InputError(f"{out} has no ending that says its format; one of {known} is needed")
    for name, value in (("gamma", gamma), ("beta", beta)):
        if not math.isfinite(value):
            raise InputError(f"--{name} is {value}; a finite number is needed")
    try:
        import matplotlib
    except ImportError:
        raise InputError(
            "plot needs matplotlib, which is not installed: pip install 'backnorm[plot]'"
        ) from None
    from plots.activation_input import figure

    buffer = io.BytesIO()
    # Neither the date nor a random name in the file: the same command writes the same bytes.
    with matplotlib.rc_context({"svg.hashsalt": "backnorm"}):
        dateless = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(form)
        figure(seed, gamma, beta).savefig(buffer, format=form, dpi=144, metadata=dateless)
    replace_bytes(out, buffer.getvalue())
    say(f"{out}: written")

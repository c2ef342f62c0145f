"""``backnorm bench``: how fast our kernels are, beside the textbook's, PyTorch's and one copy."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.help import Command

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from verify.speed.measurement import Figure
    from verify.speed.worker import Request

LAYERS = ("batch_norm", "instance_norm", "group_norm", "layer_norm", "rms_norm", "softmax")
BACKENDS = ("numpy", "numba", "torch")
DTYPES = ("float16", "float32", "float64")


@click.command(cls=Command)
@click.option(
    "--layer",
    type=click.Choice(LAYERS),
    default="batch_norm",
    show_default=True,
    metavar="NAME",
    help=f"One of {', '.join(LAYERS)}.",
)
@click.option(
    "--backend",
    "backends",
    type=click.Choice(BACKENDS),
    multiple=True,
    metavar="NAME",
    help=f"One of {', '.join(BACKENDS)}; may be repeated.  All that are installed, unless given.",
)
@click.option(
    "--shape",
    "shapes",
    multiple=True,
    metavar="NxC",
    help="Such as 8192x1024 or 32x64x56x56; may be repeated.  Usual ones, unless given.",
)
@click.option(
    "--dtype",
    "dtypes",
    type=click.Choice(DTYPES),
    multiple=True,
    default=["float32"],
    show_default=True,
    metavar="NAME",
    help=f"One of {', '.join(DTYPES)}; may be repeated.",
)
@click.option(
    "--threads",
    type=click.IntRange(min=1),
    multiple=True,
    default=[1],
    show_default=True,
    help="May be repeated.",
)
@click.option(
    "--plot",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also draw speed against the floor and against accuracy, as .svg, .png or .pdf.",
)
@click.option("--json", "as_json", is_flag=True, help="Every figure as JSON.")
def command(
    layer: str,
    backends: tuple[str, ...],
    shapes: tuple[str, ...],
    dtypes: tuple[str, ...],
    threads: tuple[int, ...],
    plot: Path | None,
    as_json: bool,
) -> None:
    """Time kernels beside PyTorch, interleaved, as ratios.

    Forward and backward, all implementations in turn in one process.

    Beside ours, with out= and without: the textbook's NumPy (whole arrays, the chain rule step by
    step), PyTorch on the CPU where it is installed, and one copy of x, which is the unit.  Under
    glibc everything is timed twice: with the allocator's default, where each fresh result pays page
    faults, and told to keep memory, which is PyTorch at its best.  Group Norm has 32 groups, or as
    many of them as divide the channels.
    """
    import json
    from dataclasses import asdict

    from commands.picture import Picture
    from derive.errors import InputError
    from verify.speed import measurement
    from verify.speed.implementations import available, missing
    from verify.speed.problem import SHAPES, shape_of
    from verify.speed.worker import Request

    if absent := missing(backends):
        raise InputError(f"--backend {absent[0]} needs {absent[0]}, which is not installed")
    for shape in shapes:
        shape_of(shape)
    picture = Picture(plot, "--plot") if plot is not None else None
    usual = tuple("x".join(map(str, shape)) for shape in SHAPES[layer])
    requests = [
        Request(layer, backends or available(BACKENDS), shapes or usual, dtypes, count)
        for count in threads
    ]
    figures = _measured(requests)
    if as_json:
        data = {
            "schema": 1,
            "layer": layer,
            "machine": measurement.machine(),
            "not_installed": missing(BACKENDS),
            "figures": [asdict(figure) for figure in figures],
        }
        click.echo(json.dumps(data, indent=1, allow_nan=False))
    else:
        from commands.console import print_table, say
        from commands.speed_table import COLUMNS, NUMBERS, tables

        say(", ".join(f"{name} {value}" for name, value in measurement.machine().items()))
        for heading, rows in tables(figures):
            click.echo()
            say(heading)
            print_table(COLUMNS, rows, right=NUMBERS)
        click.echo()
        say("copies: time in copies of x.  textbook, torch: how many times as fast as they are.")
        for line in _remarks(layer, requests[0].backends):
            say(line)
    if picture is not None:
        from plots.speed import figure
        from verify.speed.errors import worst_errors

        errors = {dtype: worst_errors(layer, requests[0].backends, dtype) for dtype in dtypes}
        picture.write(lambda: figure(figures, errors))
        click.echo(f"{plot}: written", err=True)


def _remarks(layer: str, measured: Sequence[str]) -> Iterator[str]:
    """What PyTorch's figures are of, and whose there are none of."""
    from verify.speed.implementations import TORCH, missing
    from verify.speed.pytorch import NOTES

    if TORCH in measured and layer in NOTES:
        yield NOTES[layer]
    if absent := missing(BACKENDS):
        yield f"not measured, as not installed: {', '.join(absent)}"


def _measured(requests: Sequence[Request]) -> list[Figure]:
    """Run the workers one after another, with a progress bar where somebody watches."""
    from rich.progress import Progress

    from commands.console import Console
    from verify.speed import measurement

    runs = [(request, kind) for request in requests for kind in measurement.settings()]
    figures: list[Figure] = []
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("timing", total=sum(measurement.count(r) for r, _ in runs))
        for request, allocator in runs:
            figures += measurement.measure(request, allocator, lambda _: progress.advance(task))
    return figures

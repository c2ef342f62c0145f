"""``backnorm generate``: write the kernels, or check that the written ones are up to date."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from commands.help import Command
from commands.options import complete_layer, generated_folder, layer_named


@click.command(cls=Command)
@click.argument("layers", nargs=-1, metavar="[LAYER]...", shell_complete=complete_layer)
@click.option("--backend", default="numpy", show_default=True, type=click.Choice(["numpy"]))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where to write; the project's generated/ if not given.",
)
@click.option("--check", is_flag=True, help="Write nothing: compare, show what differs, exit 1.")
def command(layers: Sequence[str], backend: str, out: Path | None, check: bool) -> int:
    """Generate kernels from the derivations.

    Files that are up to date are left alone, and the others replaced in one step each.
    """
    from codegen import emit

    chosen = [layer_named(name) for name in layers] or list(emit.KERNEL_LAYERS.values())
    folder = generated_folder() if out is None else out
    files = emit.render_all({layer.name: layer for layer in chosen}, (backend,))
    if check:
        drifts = emit.check(folder, files, partial=bool(layers))
        for drift in drifts:
            print(f"{drift.path}: {emit.EXPLAINED[drift.kind]}\n{drift.diff}", end="")
        if drifts:
            return 1
        print(f"{len(files)} files are what would be generated")
        return 0
    changed = emit.write(folder, files)
    for name in files:
        state = "written" if folder / name in changed else "up to date"
        print(f"{folder / name}: {state}")
    return 0

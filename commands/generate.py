"""``backnorm generate``: write the kernels, or check that the written ones are up to date."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.help import Command
from commands.options import complete_layer, generated_folder, is_file, layer_named

if TYPE_CHECKING:
    from derive.layer import Layer


@click.command(cls=Command)
@click.argument("layers", nargs=-1, metavar="[LAYER|FILE]...", shell_complete=complete_layer)
@click.option(
    "--backend",
    type=click.Choice(["numpy", "numba"]),
    help="Which modules; all if not given, for a LAYER or FILE those of numpy.",
)
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where to write; the project's generated/ if not given.",
)
@click.option(
    "--accumulate",
    type=click.Choice(["auto", "float64"]),
    default="auto",
    show_default=True,
    help="In float32 where that loses nothing, or everything in float64.",
)
@click.option("--check", is_flag=True, help="Write nothing: compare, show what differs, exit 1.")
def command(
    layers: Sequence[str], backend: str | None, out: Path | None, accumulate: str, check: bool
) -> int:
    """Generate kernels from the derivations.

    Files that are up to date are left alone, and the others replaced in one step each.  FILE
    defines a layer of your own, and goes with --out.
    """
    from codegen import emit

    files = [name for name in layers if is_file(name)]
    if files and out is None:
        raise click.UsageError(f"{files[0]} needs --out FOLDER: generated/ is the project's own")
    folder, wide = generated_folder() if out is None else out, accumulate == "float64"
    origins = {layer_named(name).name: Path(name).name for name in files}
    if layers:
        texts = emit.render_all(_named(layers), (backend or "numpy",), origins, wide=wide)
    else:
        texts = emit.render_committed((backend,) if backend else emit.COMMITTED, wide=wide)
    if wide:
        _say_what_is_wide_already(texts)
    if check:
        drifts = emit.check(folder, texts, partial=bool(layers))
        for drift in drifts:
            print(f"{drift.path}: {emit.EXPLAINED[drift.kind]}\n{drift.diff}", end="")
        if drifts:
            return 1
        print(f"{len(texts)} files are what would be generated")
        return 0
    changed = emit.write(folder, texts)
    for name in texts:
        state = "written" if folder / name in changed else "up to date"
        print(f"{folder / name}: {state}")
    return 0


def _say_what_is_wide_already(texts: Mapping[str, str]) -> None:
    from codegen.emit import PACKAGE_DOC, is_only_wide

    modules = {name: text for name, text in texts.items() if text != PACKAGE_DOC}
    already = [name for name, text in modules.items() if not is_only_wide(text)]
    if already:
        print(f"in float64 in any case: {', '.join(already)}")


def _named(names: Sequence[str]) -> dict[str, Layer]:
    """The layers by their own names, which are those of the modules."""
    from derive.errors import InputError

    chosen: dict[str, Layer] = {}
    for name in dict.fromkeys(names):
        layer = layer_named(name)
        if layer.name in chosen:
            raise InputError(f"{name}: another layer is called {layer.name} too; rename one")
        chosen[layer.name] = layer
    return chosen

"""``backnorm run``: the whole job."""

from __future__ import annotations

from pathlib import Path

import click

from commands.help import Command
from commands.options import (
    data_option,
    generated_folder,
    is_own,
    layer_argument,
    layer_named,
    notation_option,
    seed_option,
)
from commands.verify import verify_and_show


@click.command(cls=Command)
@layer_argument
@data_option
@seed_option
@notation_option
def command(layer: str, data: Path | None, seed: int, notation: str) -> int:
    """Do the whole job: derive, generate, verify.

    Prints the closed forms with u and R, and a table of what is proved, exact and checked.
    Without --data the kernel is also tried on the wine data set that comes with the project.
    The kernel of a FILE is generated in memory; `generate FILE --out FOLDER` writes it.
    """
    from codegen.emit import KERNEL_LAYERS, render_all, write
    from commands.console import Progress, show
    from derive.derivation import derive_or_stage
    from derive.render.document import document
    from derive.render.notation_file import notation as notation_named
    from verify.data import load

    chosen = layer_named(layer)
    symbols = notation_named(notation, chosen)
    own = is_own(chosen)
    matrix = None if own and data is None else load(data, seed=seed)
    progress = Progress()
    progress(f"deriving {chosen.name}")
    derivation = derive_or_stage(chosen)
    progress.done()
    show(document(derivation, form="summary", notation=symbols))
    if chosen.name in KERNEL_LAYERS and not own:
        progress("generating kernels")
        folder = generated_folder()
        files = render_all(KERNEL_LAYERS, ("numpy",))
        changed = {path.relative_to(folder).as_posix() for path in write(folder, files)}
        progress.done()
        name = f"numpy_kernels/{layer}.py"
        state = "rewritten" if name in changed else "up to date"
        print(f"generated/{name}: {state}\n")
    return verify_and_show(derivation, matrix, seed)

"""The command line: parses, calls, prints.

Everything heavy is imported inside the commands, so that ``--help`` answers at once.  Exit codes:
0, 1 (a check failed), 2 (usage or bad input).
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import rich_click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from derive.derivation import Derivation
    from derive.layer import Layer
    from derive.render.document import Block

VERSION = "0.1.0"
STYLES = {
    "title": "bold",
    "heading": "bold cyan",
    "about": "dim",
    "formula": "",
    "reason": "green",
    "plain": "",
}
WIDEST = 100  # columns; formulas are set for 80

layer_argument = click.argument("layer", default="batch_norm", shell_complete=lambda *_: _names())
seed_option = click.option("--seed", default=0, show_default=True, help="Of every random draw.")
data_option = click.option(
    "--data",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A matrix (m, C): .npy, .npz or .csv.",
)


@click.group(cls=rich_click.RichGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="backnorm")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
def cli(debug: bool) -> None:
    """Derive, prove and generate the gradients of normalisation layers.

    From the definition of a layer: its gradients step by step for every batch size, each step
    proved; the closed forms and the Jacobian uR; kernels, and their verification.
    """


@cli.command(cls=rich_click.RichCommand)
@layer_argument
@data_option
@seed_option
def run(layer: str, data: Path | None, seed: int) -> None:
    """The whole job: derive, show the closed forms, regenerate the kernel, verify it.

    Without --data the kernel is also tried on the wine data set that comes with the project.
    """
    from codegen.emit import KERNEL_LAYERS, render_all, write
    from derive.derivation import derive as derive_layer
    from derive.render.document import document
    from verify.data import load

    chosen = _layer(layer)
    matrix = load(data)
    progress = _Progress()
    progress(f"deriving {layer}")
    derivation = derive_layer(chosen)
    progress.done()
    _show(document(derivation, form="summary"))
    if chosen.name in KERNEL_LAYERS:
        progress("generating kernels")
        folder = _generated()
        files = render_all(KERNEL_LAYERS, ("numpy",))
        changed = {path.relative_to(folder).as_posix() for path in write(folder, files)}
        progress.done()
        name = f"numpy_kernels/{layer}.py"
        state = "rewritten" if name in changed else "up to date"
        _console().print(f"generated/{name}: {state}\n")
    _verify(derivation, matrix, seed, quick=False)


@cli.command(cls=rich_click.RichCommand)
@layer_argument
@click.option(
    "--wrt",
    default="all",
    show_default=True,
    metavar="INPUT",
    help="x, gamma, beta (what the layer has), or all.",
)
@click.option(
    "--form",
    default="all",
    show_default=True,
    type=click.Choice(["staged", "closed", "jacobian", "all"]),
)
@click.option("--steps/--no-steps", default=True, help="Every step, or only what it leads to.")
@click.option(
    "--format",
    "output",
    default="text",
    show_default=True,
    type=click.Choice(["text", "latex", "json"]),
)
def derive(layer: str, wrt: str, form: Any, steps: bool, output: str) -> None:
    """Print the derivation of a layer's gradients.

    Each step stands with its reason and is proved, for every size, before it is printed.
    """
    from derive.derivation import derive as derive_layer
    from derive.render.document import document

    chosen = _layer(layer)
    wanted = _wanted(chosen, wrt)
    derivation = derive_layer(chosen)
    blocks = document(derivation, wrt=wanted, form=form, steps=steps)
    if output == "text":
        _show(blocks)
    elif output == "latex":
        from derive.render.exports import latex

        _write(latex(blocks))
    else:
        import json

        from derive.render.exports import json_object

        _write(json.dumps(json_object(derivation, blocks), indent=1, ensure_ascii=_ascii()) + "\n")


@cli.command(cls=rich_click.RichCommand)
@click.argument("layers", nargs=-1, metavar="[LAYER]...", shell_complete=lambda *_: _names())
@click.option("--backend", default="numpy", show_default=True, type=click.Choice(["numpy"]))
@click.option(
    "--out",
    type=click.Path(path_type=Path, file_okay=False),
    metavar="FOLDER",
    help="Where to write; the project's generated/ if not given.",
)
@click.option("--check", is_flag=True, help="Write nothing: compare, show what differs, exit 1.")
def generate(layers: Sequence[str], backend: str, out: Path | None, check: bool) -> None:
    """Generate kernels from the derivations; files that are up to date are left alone."""
    from codegen import emit

    chosen = [_layer(name) for name in layers] or list(emit.KERNEL_LAYERS.values())
    folder = _generated() if out is None else out
    files = emit.render_all({layer.name: layer for layer in chosen}, (backend,))
    console = _console()
    if check:
        drifts = emit.check(folder, files, partial=bool(layers))
        for drift in drifts:
            console.print(f"{drift.path}: {emit.EXPLAINED[drift.kind]}")
            _write(drift.diff)
        if drifts:
            sys.exit(1)
        console.print(f"{len(files)} files are what would be generated")
        return
    changed = emit.write(folder, files)
    for name in files:
        state = "written" if folder / name in changed else "up to date"
        console.print(f"{folder / name}: {state}", soft_wrap=True)


@cli.command(cls=rich_click.RichCommand)
@layer_argument
@data_option
@seed_option
@click.option("--quick", is_flag=True, help="Leave out the two longest batches.")
@click.option("--json", "as_json", is_flag=True, help="Every result as JSON.")
def verify(layer: str, data: Path | None, seed: int, quick: bool, as_json: bool) -> None:
    """Verify a layer: what is proved, what is exact, what is checked.

    proved: by normal form, for every size.  exact: by an independent oracle in rationals and in a
    prime field, at m = 2 to 12.  checked: in floating point, against exact values.
    """
    from derive.derivation import derive as derive_layer
    from verify.data import load

    chosen = _layer(layer)
    matrix = None if data is None else load(data)
    _verify(derive_layer(chosen), matrix, seed, quick, as_json)


@cli.command("list", cls=rich_click.RichCommand)
def list_layers() -> None:
    """List the layers: what they are, and for which there are kernels."""
    from rich.table import Table

    from codegen.emit import KERNEL_LAYERS
    from derive.layers import LAYERS

    table = Table(box=None, pad_edge=False)
    for column in ("layer", "inputs", "kernels", "what it is"):
        table.add_column(column)
    for layer in LAYERS.values():
        inputs = ", ".join(var.label for var in layer.inputs)
        kernels = "numpy" if layer.name in KERNEL_LAYERS else "-"
        table.add_row(layer.name, inputs, kernels, layer.title)
    _console().print(table)


@cli.command(cls=rich_click.RichCommand)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    For bash: backnorm completion bash > ~/.local/share/bash-completion/completions/backnorm
    """
    from click.shell_completion import get_completion_class

    chosen = get_completion_class(shell)
    assert chosen is not None
    _write(chosen(cli, {}, "backnorm", "_BACKNORM_COMPLETE").source() + "\n")


# --- What the commands share ----------------------------------------------------------------------


def _names() -> list[str]:
    from derive.layers import LAYERS

    return list(LAYERS)


def _layer(name: str) -> Layer:
    import difflib

    from derive.errors import InputError
    from derive.layers import LAYERS

    if name in LAYERS:
        return LAYERS[name]
    near = difflib.get_close_matches(name.lower().replace("-", "_"), LAYERS, n=1, cutoff=0.4)
    guess = f"; did you mean {near[0]}?" if near else ""
    raise InputError(f"there is no layer {name!r}{guess} (layers: {', '.join(LAYERS)})")


def _wanted(layer: Layer, wrt: str) -> list[str]:
    from derive.errors import InputError

    labels = [var.label for var in layer.inputs]
    if wrt == "all":
        return labels
    if wrt not in labels:
        raise InputError(f"{layer.name} has no input {wrt!r} (inputs: {', '.join(labels)}, or all)")
    return [wrt]


def _generated() -> Path:
    import generated

    return Path(generated.__path__[0])


def _ascii(stream: Any = None) -> bool:
    """Whether the stream cannot carry the symbols of a formula."""
    encoding = getattr(stream or sys.stdout, "encoding", None) or "ascii"
    try:
        "∂ℓ∑σ²x̂ᵢ─⎛√−".encode(encoding)
    except UnicodeEncodeError:
        return True
    return False


def _console(*, stderr: bool = False) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, markup=False, emoji=False, highlight=False)


def _write(text: str) -> None:
    sys.stdout.write(text)


def _show(blocks: tuple[Block, ...]) -> None:
    from rich.text import Text

    from derive.render.terminal import lines

    console = _console()
    for line in lines(blocks, width=min(console.width, WIDEST), ascii=_ascii()):
        text = Text.assemble(*((span.text, STYLES[span.style]) for span in line))
        # Never wrapped by rich: a folded formula cannot be read or copied.
        console.print(text, soft_wrap=True)


class _Progress:
    """Says what is going on: a spinner on a terminal, a line for each stage elsewhere."""

    def __init__(self) -> None:
        self.console = _console(stderr=True)
        self.status = self.console.status("") if self.console.is_terminal else None

    def __call__(self, stage: str) -> None:
        if self.status is None:
            self.console.print(f"... {stage}")
        else:
            self.status.update(stage)
            self.status.start()

    def done(self) -> None:
        if self.status is not None:
            self.status.stop()


def _verify(
    derivation: Derivation, matrix: Any, seed: int, quick: bool, as_json: bool = False
) -> None:
    from verify.verification import Subject, generated_source
    from verify.verification import verify as verify_subject

    progress = _Progress()
    subject = Subject(derivation, generated_source(_generated(), derivation.layer.name))
    try:
        results = verify_subject(subject, seed=seed, quick=quick, data=matrix, progress=progress)
    finally:
        progress.done()
    if as_json:
        import dataclasses
        import json

        rows = [{**dataclasses.asdict(r), "status": r.status} for r in results]
        _write(
            json.dumps(
                {"schema": 1, "layer": derivation.layer.name, "seed": seed, "results": rows},
                indent=1,
            )
            + "\n"
        )
    else:
        from verify.table import show

        show(results, _console(), symbols=not _ascii())
    if any(result.status == "FAIL" for result in results):
        sys.exit(1)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line; no traceback reaches a user, except with --debug."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    try:
        code = cli.main(given, prog_name="backnorm", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        _write(error.format_message() + "\n")
        code = 2
    except click.ClickException as error:
        code = _fail(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        code = _fail("interrupted", 130)
    except BrokenPipeError:
        code = _close_pipe()
    except Exception as error:
        if "--debug" in given:
            raise
        from derive.errors import InputError

        if isinstance(error, (InputError, OSError)):
            code = _fail(str(error), 2)
        else:
            code = _fail(f"internal error: {type(error).__name__}: {error} (--debug shows more)", 1)
    sys.exit(code if isinstance(code, int) else 0)


def _fail(message: str, code: int) -> int:
    line = f"backnorm: error: {' '.join(message.split())}\n"
    encoding = getattr(sys.stderr, "encoding", None) or "ascii"
    sys.stderr.write(line.encode(encoding, "backslashreplace").decode(encoding))
    return code


def _close_pipe() -> int:
    """The reader has gone (as in ``| head``): no message, and none from the interpreter's exit."""
    import os

    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


if __name__ == "__main__":
    main()

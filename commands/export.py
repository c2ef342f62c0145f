"""``backnorm export``: a derivation as LaTeX, PDF, HTML, Markdown, notebook or JSON."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.help import Command
from commands.options import (
    form_option,
    layer_or_study_argument,
    notation_option,
    published,
    steps_option,
    wrt_option,
)

if TYPE_CHECKING:
    from derive.render.document import Form

KINDS = ("latex", "pdf", "html", "markdown", "ipynb", "json")


@click.command(cls=Command)
@click.argument("kind", metavar="FORMAT", type=click.Choice(KINDS))
@layer_or_study_argument
@wrt_option
@form_option
@notation_option
@steps_option
@click.option(
    "--macro",
    "macros",
    multiple=True,
    metavar="NAME=LATEX",
    help=r"How a quantity, or loss, is written in LaTeX: loss=\mathcal{L}.",
)
@click.option("--standalone", is_flag=True, help="With latex: a whole document, not a fragment.")
@click.option(
    "-o",
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write a file, not to standard output.",
)
@click.option("--force", is_flag=True, help="Overwrite any file, also what was not exported.")
def command(
    kind: str,
    subject: str,
    wrt: str,
    form: Form,
    notation: str,
    steps: bool,
    macros: tuple[str, ...],
    standalone: bool,
    out: Path | None,
    force: bool,
) -> None:
    """Export a derivation as LaTeX, PDF, HTML, a notebook or more.

    FORMAT is latex, pdf, html, markdown, ipynb or json.  Each shows the same steps; a study can be
    exported as well.  A file that export has not written, or that was changed since, is not
    overwritten without --force.
    """
    from codegen.emit import replace_bytes
    from codegen.notebook import notebook
    from derive.render.exports import FORMATS, exported

    if standalone and kind != "latex":
        raise click.UsageError("--standalone goes with latex; the other formats are whole")
    if out is None and kind == "pdf" and sys.stdout.isatty():
        raise click.UsageError("a PDF is nothing to print: say -o FILE, or pipe it")
    if out is not None and not force:
        _check_ours(out)
    shown = published(subject, wrt=wrt, form=form, notation=notation, steps=steps, macros=macros)
    formats = {**FORMATS, "ipynb": notebook}
    content = exported(shown, formats["standalone" if standalone else kind])
    if out is None:
        sys.stdout.buffer.write(content)  # UTF-8, as in a file, whatever the stream's encoding
        return
    replace_bytes(out, content)
    print(f"{out}: written")


def _check_ours(path: Path) -> None:
    """Raise InputError where something is in the way that export has not written."""
    from derive.errors import InputError
    from derive.render.seal import is_sealed

    if path.exists() and not is_sealed(path.read_bytes()):
        raise InputError(
            f"{path} is no file that export has written, or was changed since; "
            "name another, or overwrite it with --force"
        )

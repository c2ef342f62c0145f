"""``backnorm audit documents``: are the formulas of the source documents right?"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from commands.help import Command

if TYPE_CHECKING:
    from verify.audit.documents import Judged

PAGE = Path("docs") / "source_documents.md"  # in a checkout


@click.command(cls=Command)
@click.option(
    "--out",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the page of all formulas, in Markdown.",
)
@click.option(
    "--check",
    is_flag=True,
    help="Write nothing: compare the page (docs/source_documents.md if no --out), exit 1.",
)
def command(out: Path | None, check: bool) -> int:
    """Judge the formulas of the five source documents.

    Each formula is read, compared with what the definitions imply, and found equal (proved), equal
    through an identity that is named, a matter of convention, or wrong, with the smallest numbers
    that show it.
    """
    from commands.console import Progress
    from verify.audit.documents import judged
    from verify.audit.documents_page import page
    from verify.audit.transcriptions import documents

    progress = Progress()
    try:
        progress("judging the formulas")
        found = judged(documents())
    finally:
        progress.done()
    if check:
        return _check(out or Path(__file__).parent.parent / PAGE, page(found))
    _show([formula for _, formulas in found for formula in formulas])
    if out is not None:
        from codegen.emit import replace

        replace(out, page(found))
        print(f"{out}: written")
    return 0


def _show(formulas: list[Judged]) -> None:
    from commands.console import is_ascii, print_table, say
    from verify.audit.evidence import as_line, evidence

    answers = [(one.number, *answer) for one in formulas for answer in one.answers]
    rows = [(number, j.verdict, str(j.cases or "-"), q.reads) for number, q, j in answers]
    print_table(["formula", "verdict", "exact", "read as"], rows, right=["exact"])
    for number, _, judgement in answers:
        if judgement.verdict != "equal":
            print()
            words = " ".join(evidence(judgement, as_line(is_ascii())))
            say(f"{number}, {judgement.verdict}: {words}")


def _check(path: Path, text: str) -> int:
    import difflib

    from derive.errors import InputError

    if not path.is_file():
        raise InputError(f"{path}: there is no such page; --out FILE says where it is")
    on_disk = path.read_text(encoding="utf-8", errors="replace")
    if on_disk == text:
        print(f"{path}: up to date")
        return 0
    lines = (on_disk.splitlines(keepends=True), text.splitlines(keepends=True))
    print(f"{path}: differs from what would be written")
    print("".join(difflib.unified_diff(*lines, "on disk", "would be written")), end="")
    return 1

"""A LaTeX document as PDF, through pdflatex: the same bytes for the same document.

TeX's own dates come from SOURCE_DATE_EPOCH, or are those of 1970.  It may run no other program and
reads and writes below its own folder only.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from pathlib import Path

from derive.errors import InputError

_COMMAND = ("pdflatex", "-no-shell-escape", "-interaction=nonstopmode", "-halt-on-error")
_RUNS = 2  # the second knows the labels of the first


def pdf(document: str) -> bytes:
    """The compiled document.  Raises InputError where there is no pdflatex, or it refuses."""
    with tempfile.TemporaryDirectory(prefix="backnorm-") as folder:
        path = Path(folder) / "document.tex"
        path.write_text(document, encoding="utf-8")
        for _ in range(_RUNS):
            _run(path)
        return path.with_suffix(".pdf").read_bytes()


def _run(path: Path) -> None:
    epoch = os.environ.get("SOURCE_DATE_EPOCH", "0")
    fixed = {"SOURCE_DATE_EPOCH": epoch, "FORCE_SOURCE_DATE": "1"}
    safe = {"openin_any": "p", "openout_any": "p"}
    try:
        done = subprocess.run(
            [*_COMMAND, path.name],
            cwd=path.parent,
            env=os.environ | fixed | safe,
            capture_output=True,
            check=False,
            timeout=120,
        )
    except FileNotFoundError:
        raise InputError(
            "pdf needs pdflatex, which is not installed: `apt-get install texlive-latex-base` on "
            "Debian or Ubuntu, `brew install --cask basictex` on macOS; or export latex "
            "--standalone, and compile that elsewhere"
        ) from None
    if done.returncode:
        said = done.stdout.decode("utf-8", errors="replace").splitlines()
        wrong = next((line for line in said if line.startswith("!")), "pdflatex failed")
        raise InputError(f"pdflatex refuses the document: {wrong}")

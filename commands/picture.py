"""Files with pictures in them: the format by the name's ending, the same bytes every time.

Imports matplotlib where it is needed only; it comes with ``pip install 'backnorm[plot]'``.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from codegen.emit import replace_bytes
from derive.errors import InputError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

FORMATS = ("svg", "png", "pdf")
DATELESS = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}


class Picture:
    """A file to be written.  Raises InputError, before anything is computed, where it cannot be."""

    def __init__(self, out: Path, needed_by: str) -> None:
        self.out, self.form = out, out.suffix.lstrip(".").lower()
        if self.form not in FORMATS:
            known = ", ".join(f".{name}" for name in FORMATS)
            raise InputError(f"{out} has no ending that says its format; one of {known} is needed")
        try:
            import matplotlib
        except ImportError:
            raise InputError(
                f"{needed_by} needs matplotlib, which is not installed: "
                "pip install 'backnorm[plot]'"
            ) from None
        # Neither the date nor a random name in the file: the same command writes the same bytes.
        self._settings = matplotlib.rc_context({"svg.hashsalt": "backnorm"})

    def write(self, draw: Callable[[], Figure]) -> None:
        """Draw it and replace the file in one step."""
        buffer = io.BytesIO()
        with self._settings:
            figure = draw()
            figure.savefig(buffer, format=self.form, dpi=144, metadata=DATELESS.get(self.form))
        replace_bytes(self.out, buffer.getvalue())

"""Loading the source of a generated module: the one place where source is executed.

Verification runs the text itself, altered or not, and never what may lie elsewhere under the
module's name; nothing is added to ``sys.modules``.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType


def load(source: str, name: str) -> ModuleType:
    """A private module made of ``source``, which must come from the generator, not from a user.

    Raises SyntaxError, or whatever the module raises on being executed.
    """
    module = ModuleType(name)
    exec(compile(source, f"<{name}>", "exec"), vars(module))
    return module


def generated_source(folder: Path, layer: str) -> str | None:
    """The committed module of a layer, if there is one."""
    path = folder / "numpy_kernels" / f"{layer}.py"
    return path.read_text(encoding="utf-8") if path.exists() else None

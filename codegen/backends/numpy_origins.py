"""How cores of NumPy modules choose the origins of their rows (:mod:`codegen.origins`)."""

from __future__ import annotations

from collections.abc import Mapping

from codegen.backends.python_code import Name
from codegen.names import code_name
from derive.expr import Var


def choice_of(origins: Mapping[Var, Var], rows: str, name: Name) -> list[str]:
    """The lines that find out, for some rows, what their arrays have where x is largest."""
    lines = [
        f"        {name(origin)} = _at({code_name(array)}, {rows}, place, layout)"
        for origin, array in origins.items()
    ]
    return [f"        place = _place(x, {rows}, layout)", *lines] if lines else []

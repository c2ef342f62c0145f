"""What NumPy modules that compute in float32 say and carry beside others of their layout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from codegen.backends.numpy_blocks import block_core
from codegen.backends.numpy_cores import core
from codegen.backends.numpy_layouts import BATCH, ArrayLayout, copied
from codegen.backends.numpy_text import IMPORTS_FOR_BLOCKS
from codegen.backends.python_lines import paragraph
from codegen.linear import LinearKernel
from codegen.lines import LineKernel
from codegen.pipeline import Kernel
from derive.expr import Var


def _support() -> str:
    own = (copied(f"numpy_{name}_support.py") for name in ("half", "few", "blocks"))
    return "\n\n\n".join([BATCH.support(), *own])


def _core(kernel: Kernel, data: Var, outputs: Sequence[str], about: str) -> str:
    if isinstance(kernel, LinearKernel):
        return block_core(kernel, data, outputs, about)
    return core(kernel, data, outputs, about)


IN_BLOCKS = replace(BATCH, core=_core, support=_support, imports=IMPORTS_FOR_BLOCKS)
IN_FLOAT32 = replace(
    IN_BLOCKS,
    about=paragraph(
        " ".join(BATCH.about.split()).replace(
            "float16, bfloat16, float32 and float64 are computed in float64 and rounded once;",
            "float16, bfloat16 and float32 are computed in float32 with sums in float64, and "
            "channels where that would lose digits once more in float64; float64 and few elements "
            "in float64;",
        ),
        0,
    ),
)


IN_FLOAT64 = "float16, bfloat16, float32 and float64 are computed in float64, by blocks"
BY_LINES = (
    "float16, bfloat16 and float32 are computed in float32 with sums in float64, some rows at a "
    "time, and rows where that would lose digits once more in float64.  In float64 alone are "
    "float64, short rows and very long ones, backward where dx replaces dy, and what is neither "
    "forward nor backward: by blocks"
)


def in_lines(layout: ArrayLayout, kernel: LineKernel) -> ArrayLayout:
    """The layout for kernels by lines, such as this."""
    names = ("half", "lines", "along") if kernel.whole else ("half", "lines")

    def support() -> str:
        own = (copied(f"numpy_{name}_support.py") for name in names)
        return "\n\n\n".join([layout.support(), *own])

    about = " ".join(layout.about.split())
    about = paragraph(about.replace(IN_FLOAT64, BY_LINES), 0)
    return replace(layout, support=support, about=about)

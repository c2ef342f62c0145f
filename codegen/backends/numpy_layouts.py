"""What a NumPy module says and does about the axes of its data: which are reduced, what is kept.

A layer over data x[n, c] with learnt vectors over c has one of two layouts, by the axis that it
reduces.  Everything else in a module is the same for both.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from codegen.backends import numpy_rows_support
from codegen.backends.numpy_cores import batch_namer, core
from codegen.backends.numpy_rows import row_core, row_namer
from codegen.backends.numpy_text import BATCH_JACOBIAN, ROW_JACOBIAN
from codegen.backends.python_code import Name
from codegen.pipeline import Kernel
from derive.errors import InputError
from derive.expr import Var
from derive.layer import Layer

MARKER = "# --- copied from here on ---\n"
HERE = Path(__file__)
ERRORS = (
    "Raises TypeError for any other dtype and for what is not a number or an array where one is "
    "needed; ValueError for a shape or {} and for an out that overlaps an input in part."
)


@dataclass(frozen=True, eq=False)
class ArrayLayout:
    """The words and functions of one layout.

    ``each`` is what statistics are kept of, ``option`` the argument of forward that says where the
    reduction is and ``cached`` what the cache keeps of it; ``vector`` the shape of a parameter in
    words and ``one`` in code, ``values`` the function that takes one.  ``shown`` are the positions
    of the data's axes whose indices formulas show.
    """

    each: str
    option: str
    default: str
    cached: str
    cached_type: str
    errors: str
    about: str
    x: str
    vector: str
    one: str
    values: str
    shown: slice
    jacobian: str
    jacobian_about: str
    own: str
    support: Callable[[], str]
    core: Callable[[Kernel, Var, Sequence[str], str], str]
    namer: Callable[[Var], Name]

    def fields(self) -> dict[str, str]:
        """What the templates of :mod:`codegen.backends.numpy_text` take from here."""
        names = ("each", "option", "default", "one")
        return {name: getattr(self, name) for name in names} | {"layout_about": self.about}


def _shared() -> str:
    return HERE.with_name("numpy_support.py").read_text(encoding="utf-8").split(MARKER)[1].strip()


def _for_rows() -> str:
    own = HERE.with_name("numpy_rows_support.py").read_text(encoding="utf-8").split(MARKER)[1]
    return _merged(_shared(), own, numpy_rows_support.REPLACED)


def _merged(shared: str, own: str, replaced: Mapping[str, str]) -> str:
    """The shared definitions with some replaced by those of ``own``, where they stood."""
    chunks = {_defined(chunk): chunk for chunk in own.strip().split("\n\n\n")}
    return "\n\n\n".join(
        chunks[replaced[_defined(chunk)]] if _defined(chunk) in replaced else chunk
        for chunk in shared.strip().split("\n\n\n")
    )


def _defined(chunk: str) -> str:
    """The name that a top-level class or function starts with."""
    words = chunk.replace("(", " ").replace(":", " ").split()
    return words[1] if words[0] in ("class", "def") else ""


BATCH = ArrayLayout(
    each="channel",
    option="axis",
    default="int = 1",
    cached="layout.axis",
    cached_type="int",
    errors=ERRORS.format("an axis that does not fit,"),
    about="""\
x is (m, C) or (N, C, *spatial), or channels last with axis=-1; it is reduced over every axis but
the channels', and m counts the elements of a channel.  float16, bfloat16, float32 and float64 are
computed in float64 and rounded once; results have the dtype of x.  Strides, byte order and
read-only inputs are all fine, and inputs are never written to.  NaN and Inf stay in their channel,
and no NumPy warning escapes.""",
    x="x: (m, C) or (N, C, *spatial), channels along ``axis``; float16, bfloat16, float32 or "
    "float64.  ",
    vector="(C,)",
    one="(layout.channels,)",
    values="_per_channel",
    shown=slice(0, 1),
    jacobian=BATCH_JACOBIAN,
    jacobian_about="uR of one channel, from its own column of x and its own values.",
    own="column",
    support=_shared,
    core=core,
    namer=batch_namer,
)

ROWS = ArrayLayout(
    each="row",
    option="axes",
    default="Sequence[int] = (-1,)",
    cached="layout.axes",
    cached_type="tuple[int, ...]",
    errors=ERRORS.format("axes that do not fit,"),
    about="""\
x is (*rows, *features), where the features extend along ``axes``, some of the last ones; each row
is reduced over its own m features, whatever the other rows are.  Learnt parameters have the shape
of the features.  float16, bfloat16, float32 and float64 are computed in float64, by blocks of
whole rows, and rounded once; results have the dtype of x.  Strides, byte order and read-only inputs
are all fine, and inputs are never written to.  NaN and Inf in x, dy or x_dot stay in their row, but
the gradients of the parameters are sums over all rows: those of every feature that the NaN reaches
in its row (of all features, if it is in x) are NaN.  No NumPy warning escapes.""",
    x="x: (*rows, *features), features along ``axes``, some of its last axes in any order; "
    "float16, bfloat16, float32 or float64.  ",
    vector="the shape of the features",
    one="layout.features",
    values="_per_feature",
    shown=slice(0, 2),
    jacobian=ROW_JACOBIAN,
    jacobian_about="uR of one row, from its own part of x and its own values.",
    own="own",
    support=_for_rows,
    core=row_core,
    namer=row_namer,
)


def layout_of(layer: Layer) -> ArrayLayout:
    """The layout of a layer.  Raises InputError where the NumPy backend has none."""
    axes = layer.data.axes
    if len(axes) != 2 or layer.reduced_axes not in (axes[:1], axes[1:]):
        raise InputError(
            f"the NumPy backend has no array layout for {layer.name} yet; it generates layers that "
            "reduce over the batch, like batch_norm, or over the features of a row, like layer_norm"
        )
    for var in layer.learnt:
        if var.axes != axes[1:]:
            raise InputError(
                f"the NumPy backend needs one value of {var.label} for each {axes[1]}, "
                f"not {var.name}"
            )
    if (layer.data.label, layer.output.label) != ("x", "y"):
        raise InputError(
            f"the NumPy backend needs data called x and an output called y; {layer.name} has "
            f"{layer.data.label} and {layer.output.label}"
        )
    return BATCH if layer.reduced_axes == axes[:1] else ROWS

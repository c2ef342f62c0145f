"""What a NumPy module says and does about the axes of its data: which are reduced, what is kept.

A layer has one of five layouts, by the axes of its data, those that it reduces and those along
which its parameters extend:

=========  ============  =========  ==========
layout     data          reduced    parameters
=========  ============  =========  ==========
BATCH      x[n, c]       n          c
ROWS       x[n, c]       c          c
LINES      x[n, c]       c          none
INSTANCE   x[n, c, s]    s          c
GROUP      x[n, g, c, s] c, s       g, c
=========  ============  =========  ==========

LINES, where c is any one axis of an array, is that of kernels that choose origins.  Everything else
in a module is the same for all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from codegen.backends.numpy_cores import Core, batch_namer, core
from codegen.backends.numpy_lines import line_core
from codegen.backends.numpy_origins import origin_core
from codegen.backends.numpy_rows import row_namer
from codegen.backends.numpy_text import BATCH_JACOBIAN, IMPORTS, ROW_JACOBIAN
from codegen.backends.python_code import Name
from codegen.origins import origins_of
from codegen.pipeline import Kernels
from derive.errors import InputError
from derive.expr import SumOver, Var, sorted_axes
from derive.layer import Layer

MARKER = "# --- copied from here on ---\n"
HERE = Path(__file__)
# Definitions of numpy_support.py, and those of a layout's own that take their places.
REPLACED = {
    "_Layout": "_Layout",
    "_known_layout": "_known_layout",
    "_layout": "_layout",
    "_per_channel": "_learnt",
}
ERRORS = (
    "Raises TypeError for any other dtype and for what is not a number or an array where one is "
    "needed; ValueError for a shape{} and for an out that overlaps an input in part."
)


@dataclass(frozen=True)
class Option:
    """An argument of forward that says where the reduction is: its name, type and default (none:
    it stands before the keywords), and the type and code of what the cache keeps of it."""

    name: str
    type: str
    default: str
    cached_type: str
    cached: str


@dataclass(frozen=True, eq=False)
class ArrayLayout:
    """The words and functions of one layout.

    ``each`` is what statistics are kept of, and ``counted`` how ``row`` counts them; ``vector`` is
    the shape of a parameter in words and ``one`` in code, ``values`` the function that takes one.
    ``whole`` is code for an array of x's shape as the cores take it, ``gradient`` for one that they
    write the gradient of a parameter into (none: they return it), and ``cached`` for a parameter as
    the cache has it.  ``shown`` are the positions of the data's axes whose indices formulas show.
    ``by_channels``: many channels, which share nothing, are computed some at a time.
    """

    each: str
    counted: str
    options: tuple[Option, ...]
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
    core: Core
    namer: Callable[[Var], Name]
    whole: str = "{}"
    gradient: str = ""
    cached: str = "{}"
    imports: str = IMPORTS
    by_channels: bool = False

    def fields(self) -> dict[str, str]:
        """What the templates of :mod:`codegen.backends.numpy_text` take from here."""
        names = [option.name for option in self.options]
        return {
            "each": self.each,
            "counted": self.counted,
            "one": self.one,
            "imports": self.imports,
            "layout_about": self.about,
            "positional": "".join(
                f"    {o.name}: {o.type},\n" for o in self.options if not o.default
            ),
            "keywords": "".join(
                f"    {o.name}: {o.type} = {o.default},\n" for o in self.options if o.default
            ),
            "options": ", ".join(names),
            "cached_options": ", ".join(f"cache.{name}" for name in names),
        }

    @property
    def has_positional(self) -> bool:
        """Whether some option stands before the keywords, so that nothing before it has a
        default."""
        return any(not option.default for option in self.options)


def copied(name: str) -> str:
    """What modules copy of a file beside this one."""
    return HERE.with_name(name).read_text(encoding="utf-8").split(MARKER)[1].strip()


def _support(*names: str, without: Sequence[str] = ()) -> str:
    """The shared definitions; where files name others, these stand in their places.

    ``without`` some that are of no use.
    """
    own: dict[str, str] = {}
    for name in names:
        own |= definitions(name)
    chunks = []
    for chunk in copied("numpy_support.py").split("\n\n\n"):
        mine = REPLACED.get(_defined(chunk), "")
        chunks.append(own.pop(mine) if mine and mine in own else chunk)
    kept = (chunk for chunk in (*chunks, *own.values()) if _defined(chunk) not in without)
    return "\n\n\n".join(kept)


def definitions(name: str) -> dict[str, str]:
    """What modules copy of a file beside this one, by the names that it defines."""
    return {_defined(chunk): chunk for chunk in copied(name).split("\n\n\n")}


def _defined(chunk: str) -> str:
    """The name that a top-level class, function or constant starts with."""
    words = chunk.replace("(", " ").replace(":", " ").split()
    return words[1] if words[0] in ("class", "def") else words[0]


AXIS = Option("axis", "int", "1", "int", "layout.axis")
BATCH = ArrayLayout(
    each="channel",
    counted="",
    options=(AXIS,),
    errors=ERRORS.format(" or an axis that does not fit,"),
    about="""\
x is (m, C) or (N, C, *spatial), or channels last with axis=-1; it is reduced over every axis but
the channels', and m counts the elements of a channel.  float16, bfloat16, float32 and float64 are
computed in float64 and rounded once; results have the dtype of x.  Beside its arrays and the cache
a call takes less than 8 MB, but for backward_staged and jacobian, which take whole arrays.
Strides, byte order and read-only inputs are all fine, and inputs are never written to.  NaN and Inf
stay in their channel, and no NumPy warning escapes.""",
    x="x: (m, C) or (N, C, *spatial), channels along ``axis``; float16, bfloat16, float32 or "
    "float64.  ",
    vector="(C,)",
    one="(layout.channels,)",
    values="_per_channel",
    shown=slice(0, 1),
    jacobian=BATCH_JACOBIAN,
    jacobian_about="uR of one channel, from its own column of x and its own values.",
    own="column",
    support=_support,
    core=core,
    namer=batch_namer,
    by_channels=True,
)

ROWS = ArrayLayout(
    each="row",
    counted="Rows count in C order over the axes that are not reduced, elements over the others.",
    options=(Option("axes", "Sequence[int]", "(-1,)", "tuple[int, ...]", "layout.reduced"),),
    errors=ERRORS.format(" or axes that do not fit,"),
    about="""\
x is (*rows, *features), where the features extend along ``axes``, some of the last ones; each row
is reduced over its own m features, whatever the other rows are.  Learnt parameters have the shape
of the features.  float16, bfloat16, float32 and float64 are computed in float64, by blocks of whole
rows or, of larger rows, by pieces, and rounded once; results have the dtype of x.  Beside its
arrays and its cache a call takes less than 8 MB, but for backward_staged and jacobian, which take
whole arrays.  Strides, byte order and read-only inputs are all fine, and inputs are never written
to.  NaN and Inf in x, dy or x_dot stay in their row, but the gradients of the parameters are sums
over all rows: those of every feature that the NaN reaches in its row (of all features, if it is in
x) are NaN.  No NumPy warning escapes.""",
    x="x: (*rows, *features), features along ``axes``, some of its last axes in any order; "
    "float16, bfloat16, float32 or float64.  ",
    vector="the shape of the features",
    one="layout.features",
    values="_learnt",
    shown=slice(0, 2),
    jacobian=ROW_JACOBIAN,
    jacobian_about="uR of one row, from its own part of x and its own values.",
    own="own",
    support=partial(_support, "numpy_rows_support.py"),
    core=partial(line_core, kept=1),
    namer=partial(row_namer, kept=1),
    gradient="{}.reshape(layout.spread)",
    cached="{}.astype(_WIDE)",
)

LINES = replace(
    ROWS,
    counted="Rows count in C order over the other axes, elements along ``axis``.",
    options=(Option("axis", "int", "-1", "int", "layout.reduced[0]"),),
    errors=ERRORS.format(" or an axis that does not fit,"),
    about="""\
x has any shape; its rows extend along ``axis``, and each is reduced over its own m elements,
whatever the others are.  What is taken of a row is x less its largest element, x_max, and other
arrays less what they have in that place, if that changes no result, as is proved for any numbers in
their places: so exp does not overflow, and nothing is lost where a probability is all but 1.
float16, bfloat16, float32 and float64 are computed in float64, by blocks of whole rows or, of
larger rows, by pieces, and rounded once; results have the dtype of x.  Beside its arrays a call
takes less than 8 MB, but for backward_staged and jacobian, which take whole arrays.  Strides, byte
order and read-only inputs are all fine, and inputs are never written to.  NaN and +Inf make their
row NaN and no other, and so does a row of nothing but -Inf; any other -Inf has the exponential 0.
No NumPy warning escapes.""",
    x="x: an array of at least one axis; float16, bfloat16, float32 or float64.  axis: that of the "
    "rows.  ",
    support=partial(
        _support,
        "numpy_rows_support.py",
        "numpy_origins_support.py",
        without=("_learnt", "_real"),
    ),
    core=origin_core,
    imports=IMPORTS.replace("import numbers\n", ""),
)

SPATIAL = (
    "x: (N, C, *spatial), channels along ``axis``, any axis but the first; float16, bfloat16, "
    "float32 or float64.  "
)

INSTANCE = replace(
    ROWS,
    each="channel of a sample",
    counted="``row`` counts the channels of the first sample, then those of the next; elements "
    "count in C order over the positions.",
    options=(replace(AXIS, cached="layout.kept[1]"),),
    errors=BATCH.errors,
    about="""\
x is (N, C, *spatial), or channels last with axis=-1; each channel of each sample is reduced over
its own m positions, whatever the others are.  float16, bfloat16, float32 and float64 are computed
in float64, by blocks, and rounded once; results have the dtype of x.  Beside its arrays and its
cache a call takes less than 8 MB, but for backward_staged and jacobian, which take whole arrays.
Strides, byte order and read-only inputs are all fine, and inputs are never written to.  NaN and Inf
in x, dy or x_dot stay in their channel of their sample, but the gradients of the parameters are
sums over all samples.  No NumPy warning escapes.""",
    x=SPATIAL,
    vector="(C,)",
    shown=slice(0, 3),
    jacobian_about="uR of one channel of a sample, from its own part of x and its own values.",
    support=partial(_support, "numpy_rows_support.py", "numpy_instance_support.py"),
    core=partial(line_core, kept=2),
    namer=partial(row_namer, kept=2),
)

GROUP = replace(
    INSTANCE,
    each="group of a sample",
    counted="``row`` counts the groups of the first sample, then those of the next; elements "
    "count in C order over the axes of x.",
    options=(
        Option("groups", "int", "", "int", "layout.rows[1]"),
        *INSTANCE.options,
    ),
    errors=ERRORS.format(", groups or an axis that do not fit,"),
    about="""\
x is (N, C, *spatial), or channels last with axis=-1; its channels are cut into ``groups`` of
neighbours, and each group of each sample is reduced over its own m elements, whatever the others
are.  In the formulas a channel is told by its group and its place in it, sizes are those of a group
(its channels C, its positions S) and m = C S.  float16, bfloat16, float32 and float64 are computed
in float64, by blocks, and rounded once; results have the dtype of x.  Beside its arrays and its
cache a call takes less than 8 MB, but for backward_staged and jacobian, which take whole arrays.
Strides, byte order and read-only inputs are all fine, and inputs are never written to.  NaN and Inf
in x, dy or x_dot stay in their group of their sample, but the gradients of the parameters are sums
over all samples: those of every channel that the NaN reaches (of its whole group, if it is in x)
are NaN. No NumPy warning escapes.""",
    x=SPATIAL + "groups: how many groups there are, a divisor of C.  ",
    shown=slice(0, 4),
    jacobian_about="uR of one group of a sample, from its own part of x and its own values.",
    support=partial(
        _support,
        "numpy_rows_support.py",
        "numpy_instance_support.py",
        "numpy_group_support.py",
    ),
    whole="_grouped({}, layout)",
)

# How many axes the data have, which of them are reduced, and along which parameters extend.
SHAPES: tuple[tuple[ArrayLayout, int, slice, slice], ...] = (
    (BATCH, 2, slice(0, 1), slice(1, 2)),
    (ROWS, 2, slice(1, 2), slice(1, 2)),
    (INSTANCE, 3, slice(2, 3), slice(1, 2)),
    (GROUP, 4, slice(2, 4), slice(1, 3)),
)


def layout_of(kernels: Kernels) -> ArrayLayout:
    """The layout of a layer's kernels.  Raises InputError where the NumPy backend has none."""
    layout = _by_axes(kernels.derivation.layer)
    return LINES if layout is ROWS and origins_of(kernels.forward) else layout


def _by_axes(layer: Layer) -> ArrayLayout:
    axes, reduced = layer.data.axes, layer.reduced_axes
    sums = {total.axes for d in layer for total in d.expr.atoms(SumOver)}
    fitting = [
        (layout, along)
        for layout, size, over, along in SHAPES
        if len(axes) == size and reduced == axes[over] and sums == {sorted_axes(reduced)}
    ]
    if not fitting:
        raise InputError(
            f"the NumPy backend has no array layout for {layer.name} yet; it generates layers that "
            "reduce over the batch, like batch_norm, over the features of a row, like layer_norm, "
            "or within a sample, like instance_norm and group_norm"
        )
    ((layout, along),) = fitting
    for var in layer.learnt:
        if var.axes != axes[along]:
            raise InputError(
                f"the NumPy backend needs one value of {var.label} for each "
                f"{', '.join(str(axis) for axis in axes[along])}, not {var.name}"
            )
    if (layer.data.label, layer.output.label) != ("x", "y"):
        raise InputError(
            f"the NumPy backend needs data called x and an output called y; {layer.name} has "
            f"{layer.data.label} and {layer.output.label}"
        )
    return layout

"""Speed against the floor of memory traffic, and against accuracy, as a picture."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

from verify.speed.measurement import Figure as Timed
from verify.speed.measurement import threads_of

FUNCTIONS = ("forward", "backward")
COLORS = {
    "textbook": "#777777",
    "numpy, out=": "#1f77b4",
    "numpy": "#7fb3dc",
    "numba, out=": "#2ca02c",
    "numba": "#98d594",
    "torch": "#d62728",
}
BAR = 0.8  # of the space of one shape


def figure(timed: Sequence[Timed], errors: Mapping[str, Mapping[str, float]]) -> Figure:
    """Two rows: time in copies of x by shape, with the floor as a line; and each implementation as
    a dot, its time against its error.  ``errors``: by dtype and implementation, in units of u.

    Of several settings the first one is drawn.
    """
    first = timed[0]
    shown = [
        t
        for t in timed
        if (t.threads, t.allocator, t.dtype) == (first.threads, first.allocator, first.dtype)
    ]
    present = {t.implementation for t in shown if t.copies is not None}
    colors = {name: color for name, color in COLORS.items() if name in present}
    drawn = Figure(figsize=(10, 8), layout="constrained")
    axes = drawn.subplots(2, 2)
    for column, function in enumerate(FUNCTIONS):
        own = [t for t in shown if t.function == function and t.copies is not None]
        _bars(axes[0][column], own, colors)
        _dots(axes[1][column], own, colors, errors[first.dtype])
    drawn.suptitle(
        f"{first.layer}, {first.dtype}, {threads_of(first)}, {first.allocator} allocator"
    )
    return drawn


def _bars(axes: Axes, timed: Sequence[Timed], colors: Mapping[str, str]) -> None:
    shapes = list(dict.fromkeys(t.shape for t in timed))
    height = BAR / len(colors)
    for k, (name, color) in enumerate(colors.items()):
        own = {t.shape: t.copies or 0.0 for t in timed if t.implementation == name}
        places = [row + k * height - BAR / 2 for row, shape in enumerate(shapes) if shape in own]
        axes.barh(places, list(own.values()), height, align="edge", color=color, label=name)
    floors = {t.shape: t.floor for t in timed}
    for row, shape in enumerate(shapes):
        axes.vlines(floors[shape], row - BAR / 2, row + BAR / 2, color="black", linewidth=2)
    axes.set_yticks(range(len(shapes)), [shape.replace("x", "×") for shape in shapes])
    axes.invert_yaxis()
    _scale(axes)
    axes.set_xlabel("time in copies of x; black: the floor")
    axes.set_title(timed[0].function)


def _dots(
    axes: Axes, timed: Sequence[Timed], colors: Mapping[str, str], errors: Mapping[str, float]
) -> None:
    for name, color in colors.items():
        speeds = [t.copies for t in timed if t.implementation == name and t.copies]
        if name in errors and speeds:
            speed = sorted(speeds)[len(speeds) // 2]
            axes.scatter(speed, errors[name], color=color, s=60, label=name, zorder=2)
    _scale(axes)
    axes.set_yscale("log")
    axes.grid(alpha=0.3)
    axes.set_xlabel("time in copies of x, median of the shapes")
    axes.set_ylabel("worst scaled error, in u")
    axes.legend(fontsize="small")


def _scale(axes: Axes) -> None:
    """Copies on a logarithmic scale, with numbers as one says them."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda copies, _: f"{copies:g}"))
    axes.xaxis.set_minor_formatter(NullFormatter())

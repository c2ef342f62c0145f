"""How fast are our kernels beside the textbook's NumPy and PyTorch, in copies of x?

    python -m benchmarks.speed

measures everything (about ten minutes) and writes benchmarks/speed.md, speed.json and speed.svg;
`backnorm bench` does the same for what one asks for, on the terminal.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from codegen.emit import replace
from commands.picture import Picture
from commands.speed_table import COLUMNS, tables
from plots.speed import figure
from verify.speed import measurement
from verify.speed.errors import worst_errors
from verify.speed.implementations import BACKENDS, available
from verify.speed.measurement import Figure
from verify.speed.problem import BATCH, DTYPES, SHAPES
from verify.speed.worker import Request

HERE = Path(__file__).parent
THREADS = (1, 2)

ABOUT = """\
# Speed

Written by `python -m benchmarks.speed`; `backnorm bench` prints the same for one layer, shape or
dtype. Measured on {machine}.

Times are medians, in medians of one copy of x (`numpy.copyto`), all implementations called in turn
in one process. *textbook* and *torch* say how many times as fast as those an implementation is.
*textbook* is what one writes first: whole NumPy arrays in the dtype of the data, backward by the
chain rule step by step. *torch* is PyTorch's own CPU kernel, called without autograd. *out=*: the
result goes into an array that is there already. *memory kept*: the C library is told not to give
memory back to the system (`MALLOC_MMAP_MAX_=0`, `MALLOC_TRIM_THRESHOLD_` large), so that a fresh
result pays no page faults, which is PyTorch at its best. The floor is what reading x (and dy) and
writing the result take: once if a channel lies together and fits the cache, else read twice.

![Speed against the floor, and against accuracy](speed.svg)
"""


def measured(dtypes: Sequence[str] = DTYPES, shapes: Sequence[str] = ()) -> list[Figure]:
    """Everything, for Batch Norm."""
    usual = tuple("x".join(map(str, shape)) for shape in SHAPES)
    figures: list[Figure] = []
    for threads in THREADS:
        backends = available(BACKENDS)
        request = Request(BATCH, backends, tuple(shapes) or usual, tuple(dtypes), threads)
        for allocator in measurement.settings():
            figures += measurement.measure(request, allocator, lambda timing: None)
    return figures


def page(figures: Sequence[Figure], machine: Mapping[str, str]) -> str:
    """The figures as Markdown."""
    lines = [ABOUT.format(machine=", ".join(f"{name} {value}" for name, value in machine.items()))]
    heads = [name.strip() for name in COLUMNS]
    for heading, rows in tables(figures):
        lines += [f"### {heading}", "", *_table([heads, ["---", *["--:"] * 6], *rows]), ""]
    return "\n".join(lines)


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(cell.strip() for cell in row) + " |" for row in rows]


def main() -> None:
    figures = measured()
    errors = {"float32": worst_errors(BATCH, available(BACKENDS), "float32")}
    drawn = [f for f in figures if f.dtype == "float32"]
    Picture(HERE / "speed.svg", "the benchmark").write(lambda: figure(drawn, errors))
    machine = measurement.machine()
    data = {"machine": machine, "figures": [asdict(f) for f in figures]}
    replace(HERE / "speed.json", json.dumps(data, indent=1) + "\n")
    replace(HERE / "speed.md", page(figures, machine))


if __name__ == "__main__":
    main()

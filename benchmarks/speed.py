"""How fast are our kernels beside the textbook's NumPy and PyTorch, in copies of x?

    python -m benchmarks.speed

measures everything of Batch Norm and a little of the other layers (about ten minutes) and writes
benchmarks/speed.md, speed.json and speed.svg; `backnorm bench` does the same for what one asks for,
on the terminal.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from codegen.emit import replace
from commands.picture import Picture
from commands.speed_table import COLUMNS, problem_of, tables
from plots.speed import figure
from verify.speed import measurement
from verify.speed.errors import worst_errors
from verify.speed.implementations import BACKENDS, available
from verify.speed.measurement import Figure
from verify.speed.problem import (
    BATCH,
    DTYPES,
    GROUP,
    IMAGES,
    INSTANCE,
    LAYER,
    RMS,
    SHAPES,
    SOFTMAX,
    TRANSFORMERS,
)
from verify.speed.pytorch import NOTES
from verify.speed.worker import Request

HERE = Path(__file__).parent
THREADS = (1, 2)
OTHERS = {
    **dict.fromkeys((INSTANCE, GROUP), IMAGES),
    **dict.fromkeys((LAYER, RMS, SOFTMAX), TRANSFORMERS),
}

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
writing the result take: once if what is reduced together (a channel, a row, a group) lies together
and fits the cache, else read twice.

What bounds them, pass by pass and call by call, is in [passes.md](passes.md).

![Speed against the floor, and against accuracy](speed.svg)

## Batch Norm
"""
ABOUT_OTHERS = """\
## The other layers

float32, one thread: time in copies of x with the allocator's default / with memory kept.
"""


def measured() -> Iterator[Figure]:
    """Everything for Batch Norm, and of the other layers the most usual."""
    requests = [_request(BATCH, SHAPES[BATCH], DTYPES, threads) for threads in THREADS]
    requests += [_request(layer, shapes, ("float32",)) for layer, shapes in OTHERS.items()]
    for request in requests:
        for allocator in measurement.settings():
            yield from measurement.measure(request, allocator, lambda timing: None)


def _request(
    layer: str, shapes: Sequence[tuple[int, ...]], dtypes: tuple[str, ...], threads: int = 1
) -> Request:
    texts = tuple("x".join(map(str, shape)) for shape in shapes)
    return Request(layer, available(BACKENDS), texts, dtypes, threads)


def page(figures: Sequence[Figure], machine: Mapping[str, str]) -> str:
    """The figures as Markdown."""
    lines = [ABOUT.format(machine=", ".join(f"{name} {value}" for name, value in machine.items()))]
    heads = [name.strip() for name in COLUMNS]
    for heading, rows in tables([f for f in figures if f.layer == BATCH]):
        lines += [f"### {heading}", "", *_table([heads, ["---", *["--:"] * 6], *rows]), ""]
    others = [f for f in figures if f.layer != BATCH]
    return "\n".join(lines) + (_others(others) if others else "")


def _others(figures: Sequence[Figure]) -> str:
    """One row for each problem and function, one column for each implementation."""
    names = list(dict.fromkeys(f.implementation for f in figures))
    copies: dict[tuple[str, ...], dict[str, list[str]]] = {}
    for f in figures:
        row = f.layer, problem_of(f), f.function, f"{f.floor:.1f}"
        cells = copies.setdefault(row, {name: [] for name in names})
        cells[f.implementation].append("refused" if f.copies is None else f"{f.copies:.1f}")
    heads = ["layer", "x", "function", "floor", *names]
    rows = [[*row, *(" / ".join(cells[name]) for name in names)] for row, cells in copies.items()]
    ruled = [heads, [*["---"] * 3, *["--:"] * (len(heads) - 3)], *rows]
    notes = [f"\n{layer}, {note}" for layer, note in NOTES.items()]
    return "\n".join(["", ABOUT_OTHERS, *_table(ruled), *notes, ""])


def _table(rows: Sequence[Sequence[str]]) -> list[str]:
    return ["| " + " | ".join(cell.strip() for cell in row) + " |" for row in rows]


def main() -> None:
    figures = list(measured())
    errors = {"float32": worst_errors(BATCH, available(BACKENDS), "float32")}
    drawn = [f for f in figures if f.layer == BATCH and f.dtype == "float32"]
    Picture(HERE / "speed.svg", "the benchmark").write(lambda: figure(drawn, errors))
    machine = measurement.machine()
    data = {"machine": machine, "figures": [asdict(f) for f in figures]}
    replace(HERE / "speed.json", json.dumps(data, indent=1) + "\n")
    replace(HERE / "speed.md", page(figures, machine))


if __name__ == "__main__":
    main()

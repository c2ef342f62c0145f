"""What bounds a kernel: its passes over memory and its calls, one by one.

    python -m benchmarks.passes

measures on one thread, with memory kept, in copies of x as `backnorm bench` does, and writes
benchmarks/passes.md.  NumPy does one operation on a block at a time, so that a kernel cannot take
less than its operations do; a compiled kernel does all operations of a pass at once; and on small
arrays it is the number of calls that counts.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from codegen.emit import replace
from generated.numpy_kernels import batch_norm
from verify.speed.measurement import ALLOCATORS, THREADED, machine, settings
from verify.speed.worker import interleaved

Array = NDArray[Any]
Calls = dict[str, Callable[[], Any]]

HERE = Path(__file__).parent
LARGE, SMALL = ((8192, 1024), (32, 64, 56, 56)), (256, 100)
SPENT = 2.0  # seconds on one table

ABOUT = """\
# What bounds the kernels

Written by `python -m benchmarks.passes`, on {machine}.
float32, one thread, memory kept; times are medians, in medians of one copy of x (`numpy.copyto`),
as in [speed.md](speed.md).

## An operation at a time

NumPy does one operation on a block at a time. Each of them, done to all of x in the blocks of the
generated kernel, takes so many copies; forward and backward do it so often, a little faster for
finding the block in cache. Where the means are small they subtract nothing.

"""
MIDDLE = """\

## A pass at a time

A compiled loop does all operations of a pass at once, so a pass costs what it reads and writes, or
what it computes in float64, whichever is more:

"""
END = """\

## A call at a time

On x of {small} one copy takes as long as about {calls:.0f} of NumPy's operations on {channels}
numbers, and a call makes many more than that: the checks of arguments that the contract promises, a
few operations on blocks, and some ten for each value that a channel has one of.

"""


class Operation(NamedTuple):
    """How often forward and backward do it, and how: with a block, its elements of x and its place
    in a result, one number and one sum for each of its columns."""

    forward: int
    backward: int
    on: Callable[[Any, Array, Array, Array, Array], Any]


OPERATIONS = {
    "less a row, into scratch": Operation(2, 2, lambda b, one, y, row, sums: b.less(one, row)),
    "sum over the rows": Operation(1, 1, lambda b, one, y, row, sums: b.plus(sums, one)),
    # Scratch is what was written there before.
    "sum of scratch squared": Operation(
        1, 2, lambda b, one, y, row, sums: b.plus(sums, *[b.room()] * 2)
    ),
    "times a row, in the result's place": Operation(
        1, 2, lambda b, one, y, row, sums: b.times(one, row, y)
    ),
    "plus a row, in place": Operation(1, 1, lambda b, one, y, row, sums: np.add(y, row, y)),
    "plus a matrix, in place": Operation(0, 1, lambda b, one, y, row, sums: np.add(y, one, y)),
}


def operations(x: Array, y: Array) -> Calls:
    """Each operation on all blocks that the generated kernel reads x in; y is for results."""
    layout = batch_norm._layout(x, 1)
    works: list[Any] = [next(iter(part.works(x))) for part in batch_norm._parts(layout)]

    def each(operation: Operation) -> Callable[[], None]:
        def run() -> None:
            for work in works:
                row, sums = work.row(np.full(work.part.count, 0.5)), work.zeros()
                for block in work.blocks():
                    one, place = block.read(x), block.place(y)
                    operation.on(block, one, place, row[block.columns], sums)

        return run

    return {name: each(operation) for name, operation in OPERATIONS.items()}


def passes(x: Array, dy: Array, y: Array) -> Calls:
    """The compiled passes of forward and backward, none without numba."""
    try:
        from generated.numba_kernels import batch_norm as compiled
    except ImportError:
        return {}
    layout, per_channel = compiled._layout(x, 1), np.full(x.shape[1], 0.5)

    def read(name: str, data: Sequence[Array], values: int, **made: Any) -> Callable[[], Any]:
        loop = getattr(compiled, f"_{name}")
        return lambda: compiled._read(loop, layout, data, [per_channel] * values, **made)

    return {
        "forward: sums of x": read("forward_sums", [x], 1, sums=2),
        "forward: y from x": read("forward_map", [x], 3, results=[y]),
        "backward: sums of dy, x": read("backward_sums", [dy, x], 1, sums=3),
        "backward: dx from dy, x": read("backward_map", [dy, x], 4, results=[y]),
    }


def copies(calls: Calls, x: Array, y: Array) -> dict[str, float]:
    """Median times, all called in turn, in copies of x."""
    samples = interleaved({"copy": lambda: np.copyto(y, x), **calls}, SPENT)
    medians = {name: statistics.median(times) for name, times in samples.items()}
    return {name: medians[name] / medians["copy"] for name in calls}


def calls_made(function: Callable[[], Any]) -> int:
    """How many functions of NumPy and of Python's own library in C a call makes."""
    counted = 0

    def count(_: Any, event: str, __: Any) -> None:
        nonlocal counted
        counted += event == "c_call"

    sys.setprofile(count)
    try:
        function()
    finally:
        sys.setprofile(None)
    return counted


def small(x: Array, dy: Array) -> tuple[float, list[list[str]]]:
    """Operations on one number for each channel that a copy takes as long as; and of each function
    the copies and the calls."""
    y, one = np.empty_like(x), np.full(x.shape[1], 0.5)
    _, cache = batch_norm.forward(x)
    functions: Calls = {
        "NumPy forward": lambda: batch_norm.forward(x, out=y),
        "NumPy backward": lambda: batch_norm.backward(dy, cache, out=y),
    }
    found = copies({"one operation": lambda: np.multiply(one, one), **functions}, x, y)
    rows = [[name, f"{found[name]:.0f}", f"{calls_made(functions[name])}"] for name in functions]
    return 1 / found["one operation"], rows


def large(shape: tuple[int, ...]) -> tuple[dict[str, float], dict[str, float]]:
    """In copies of x, NumPy's operations and what they come to in forward and backward, beside
    what those take; and the compiled passes."""
    rng = np.random.default_rng(0)
    x, dy = (rng.normal(loc=loc, size=shape).astype(np.float32) for loc in (3, 0))
    y = np.zeros_like(x)
    _, cache = batch_norm.forward(x, out=y)
    whole: Calls = {
        "forward": lambda: batch_norm.forward(x, out=y),
        "backward": lambda: batch_norm.backward(dy, cache, out=y),
    }
    found = copies({**operations(x, y), **whole}, x, y)
    for name, time in [(name, found.pop(name)) for name in whole]:
        found[f"{name}: its operations"] = sum(
            getattr(operation, name) * found[its] for its, operation in OPERATIONS.items()
        )
        found[f"{name}: measured"] = time
    return found, copies(passes(x, dy, y), x, y)


def page(shapes: Sequence[tuple[int, ...]] = LARGE, little: tuple[int, ...] = SMALL) -> str:
    """The tables as Markdown."""
    text = ABOUT.format(machine=", ".join(f"{name} {value}" for name, value in machine().items()))
    by_operation, by_pass = zip(*(large(shape) for shape in shapes), strict=True)
    heads = [", ".join(map(str, shape)) for shape in shapes]
    often = {name: [str(op.forward), str(op.backward)] for name, op in OPERATIONS.items()}
    text += _table(
        ["operation", "forward", "backward", *heads],
        [
            [name, *often.get(name, ["", ""]), *(f"{found[name]:.2f}" for found in by_operation)]
            for name in by_operation[0]
        ],
    )
    text += MIDDLE
    if by_pass[0]:
        text += _table(
            ["pass", *heads],
            [[name, *(f"{found[name]:.2f}" for found in by_pass)] for name in by_pass[0]],
        )
    else:
        text += "No numba.\n"
    rng = np.random.default_rng(0)
    x, dy = (rng.normal(size=little).astype(np.float32) for _ in range(2))
    calls, rows = small(x, dy)
    text += END.format(small=little, calls=calls, channels=little[1])
    return text + _table(["function", "copies", "calls into C"], rows)


def _table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    ruled = [heads, ["---", *["--:"] * (len(heads) - 1)], *rows]
    return "\n".join("| " + " | ".join(row) + " |" for row in ruled) + "\n"


def main() -> None:
    """Libraries read how many threads they may use when a process starts, hence another."""
    one = {f"{library}_NUM_THREADS": "1" for library in THREADED}
    code = "from benchmarks.passes import page; print(page(), end='')"
    command = [sys.executable, "-c", code]
    environment = {**os.environ, **one, **ALLOCATORS[settings()[-1]]}
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    replace(HERE / "passes.md", done.stdout)


if __name__ == "__main__":
    main()

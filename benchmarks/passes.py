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
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.emit import replace
from generated.numpy_kernels import batch_norm
from verify.speed.measurement import ALLOCATORS, THREADED, machine, settings
from verify.speed.worker import interleaved

Array = NDArray[Any]
Calls = dict[str, Callable[[], Any]]

HERE = Path(__file__).parent
LARGE, SMALL = (8192, 1024), (256, 100)
SPENT = 2.0  # seconds on one table

ABOUT = """\
# What bounds the kernels

Written by `python -m benchmarks.passes`, on {machine}.
float32, one thread, memory kept; times are medians, in medians of one copy of x (`numpy.copyto`),
as in [speed.md](speed.md).

## An operation at a time

NumPy does one operation on a block at a time. On x of {large}, in the blocks of the generated
kernel:

"""
MIDDLE = """\

Forward subtracts the mean, adds up and squares for the statistics (with two additions to float64
totals), and subtracts, multiplies and adds for y; where the means are small nothing is subtracted.
Backward has three sums, of dy, dy² and dy times x less its mean, and then subtracts, multiplies
twice and adds twice.

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


def blocks(*arrays: Array) -> Iterator[tuple[Array, ...]]:
    """The blocks that the NumPy kernel reads such arrays in."""
    shape = batch_norm._ROWS, batch_norm._COLUMNS
    return zip(*(array.reshape(-1, *shape) for array in arrays), strict=True)


def operations(x: Array, y: Array) -> Calls:
    """NumPy's operations on blocks of x, by what they are for."""
    rows, columns = batch_norm._ROWS, batch_norm._COLUMNS
    row, ones = np.full(columns, 0.5, x.dtype), np.ones(rows, x.dtype)
    scratch, totals = np.ones((rows, columns), x.dtype), np.zeros(columns)

    def each(operation: Callable[[Array, Array], Any]) -> Callable[[], None]:
        def run() -> None:
            for one, other in blocks(x, y):
                operation(one, other)

        return run

    return {
        "less a row, into scratch": each(lambda a, _: np.subtract(a, row, scratch)),
        "sum over the rows, by BLAS": each(lambda a, _: np.matmul(ones, a)),
        "sum of the products with scratch": each(
            lambda a, _: np.einsum("ij,ij->j", scratch, scratch)
        ),
        "added to float64 totals": each(lambda *_: np.add(totals, row, totals)),
        "times a row, in the result's place": each(lambda a, b: np.multiply(a, row, b)),
        "plus a row, in place": each(lambda a, b: np.add(b, row, b)),
    }


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


def page(large: tuple[int, ...] = LARGE, little: tuple[int, ...] = SMALL) -> str:
    """The tables as Markdown."""
    rng = np.random.default_rng(0)
    x, dy = (rng.normal(size=large).astype(np.float32) for _ in range(2))
    y = np.zeros_like(x)
    text = ABOUT.format(
        machine=", ".join(f"{name} {value}" for name, value in machine().items()), large=large
    )
    text += _table(["operation", "copies"], _rows(copies(operations(x, y), x, y)))
    text += MIDDLE
    compiled = passes(x, dy, y)
    text += _table(["pass", "copies"], _rows(copies(compiled, x, y))) if compiled else "No numba.\n"
    x, dy = (rng.normal(size=little).astype(np.float32) for _ in range(2))
    calls, rows = small(x, dy)
    text += END.format(small=little, calls=calls, channels=little[1])
    return text + _table(["function", "copies", "calls into C"], rows)


def _rows(found: Mapping[str, float]) -> list[list[str]]:
    return [[name, f"{value:.2f}"] for name, value in found.items()]


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

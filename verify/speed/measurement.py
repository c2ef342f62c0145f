"""A benchmark: what is asked for, the workers that time it, and the figures as ratios.

Bare times of a noisy machine mean little, so a :class:`Figure` has the time in copies of x and
against the textbook's kernel, both timed in the same process and between the same calls.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path

import numpy as np

from verify.speed.floor import floor
from verify.speed.implementations import COPY, TEXTBOOK, available
from verify.speed.problem import shape_of
from verify.speed.worker import Request, Timing

DEFAULT, KEPT = "default", "kept"
# The C library gives large arrays back to the system on freeing them, and each fresh one pays for
# page faults; told to keep them, it does not.  (glibc's mallopt(3).)
ALLOCATORS = {
    DEFAULT: {},
    KEPT: {"MALLOC_MMAP_MAX_": "0", "MALLOC_TRIM_THRESHOLD_": str(2**40)},
}
THREADED = ("OMP", "OPENBLAS", "MKL", "NUMBA")


class WorkerError(RuntimeError):
    """A worker that ended early."""


@dataclass(frozen=True)
class Figure:
    """One implementation in one setting.  ``copies``: its median in medians of a copy of x;
    ``faster``: how many times faster than the textbook's; None where it refused."""

    layer: str
    threads: int
    allocator: str
    shape: str
    dtype: str
    function: str
    implementation: str
    median: float | None
    minimum: float | None
    copies: float | None
    faster: float | None
    floor: float
    refused: str


def threads_of(figure: Figure) -> str:
    """In words."""
    return f"{figure.threads} thread{'s' if figure.threads > 1 else ''}"


def settings() -> tuple[str, ...]:
    """The allocator settings that have a meaning here."""
    return (DEFAULT, KEPT) if platform.libc_ver()[0] == "glibc" else (DEFAULT,)


def count(request: Request) -> int:
    """How many timings a worker will tell, at most."""
    ours = sum(2 for name in request.backends if name != "torch")
    each = 2 + ours + ("torch" in request.backends)
    return each * len(request.shapes) * len(request.dtypes) * 2


def measure(request: Request, allocator: str, tell: Callable[[Timing], None]) -> Iterator[Figure]:
    """Run one worker; ``tell`` hears of each timing as it comes in.  Raises WorkerError."""
    timings = []
    for timing in _timings(request, allocator):
        tell(timing)
        timings.append(timing)
    medians = {(t.shape, t.dtype, t.function, t.implementation): t.median for t in timings}
    for t in timings:
        if t.implementation == COPY:
            continue
        copy = medians[t.shape, t.dtype, t.function, COPY]
        textbook = medians[t.shape, t.dtype, t.function, TEXTBOOK]
        yield Figure(
            request.layer,
            request.threads,
            allocator,
            **asdict(t),
            copies=t.median / copy if t.median and copy else None,
            faster=textbook / t.median if t.median and textbook else None,
            floor=floor(request.layer, shape_of(t.shape), np.dtype(t.dtype).itemsize, t.function),
        )


def _timings(request: Request, allocator: str) -> Iterator[Timing]:
    root = str(Path(__file__).parents[2])
    paths = [root, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {
        **os.environ,
        **{f"{library}_NUM_THREADS": str(request.threads) for library in THREADED},
        **ALLOCATORS[allocator],
        "PYTHONPATH": os.pathsep.join(paths),
    }
    with tempfile.TemporaryFile("w+") as errors:
        worker = subprocess.Popen(
            [sys.executable, "-m", "verify.speed.worker", json.dumps(asdict(request))],
            env=environment,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
        )
        assert worker.stdout is not None
        try:
            for line in worker.stdout:
                yield Timing(**json.loads(line))
        finally:  # also where nobody wants the rest
            worker.stdout.close()
            if worker.poll() is None:
                worker.terminate()
            status = worker.wait()
        if status:
            errors.seek(0)
            said = errors.read().strip().splitlines() or [f"status {status}"]
            raise WorkerError(f"the process that times ended early: {said[-1]}")


def machine() -> dict[str, str]:
    """What the figures were measured with."""
    libraries = {"numpy": np.__version__}
    for name in available(("numba", "torch")):
        libraries[name] = version(name)
    return {"processor": _processor(), "cores": str(os.cpu_count()), **libraries}


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())

"""The process that times: one setting, every implementation, round by round.

    python -m verify.speed.worker '{"layer": "batch_norm", ...}'

The argument is a :class:`Request`; one JSON object is printed for each :class:`Timing`, as soon as
it is known.  Threads and the C library's memory settings are fixed when a process starts, which is
why this is one of its own.
"""

from __future__ import annotations

import importlib
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from verify.speed import problem
from verify.speed.calls import Calls
from verify.speed.implementations import TORCH, makers

FUNCTIONS = ("forward", "backward")
ROUNDS = (5, 40)  # at least and at most
SPENT = 2.0  # seconds on one function of one problem, once it has had its least rounds
SHORTEST = 2e-3  # seconds of one sample; shorter calls are repeated within it


@dataclass(frozen=True)
class Request:
    """One setting.  ``shapes`` as in 8192x1024."""

    layer: str
    backends: tuple[str, ...]
    shapes: tuple[str, ...]
    dtypes: tuple[str, ...]
    threads: int
    spent: float = SPENT


@dataclass(frozen=True)
class Timing:
    """One implementation of one function on one problem: seconds a call, or why there are none."""

    shape: str
    dtype: str
    function: str
    implementation: str
    median: float | None
    minimum: float | None
    refused: str = ""


def run(request: Request, tell: Callable[[Timing], None]) -> None:
    """Time everything that was asked for."""
    if TORCH in request.backends:
        importlib.import_module(TORCH).set_num_threads(request.threads)
    for dtype in request.dtypes:
        for shape in request.shapes:
            for timing in _timed(request, shape, dtype):
                tell(timing)


def _timed(request: Request, shape: str, dtype: str) -> list[Timing]:
    given = problem.make(request.layer, problem.shape_of(shape), dtype)
    calls: dict[str, Calls] = {}
    refused: dict[str, str] = {}
    for name, make in makers(request.layer, request.backends).items():
        try:
            made = make(given)
            made.forward(), made.backward()  # compiled and loaded, outside the measurement
            calls[name] = made
        except (RuntimeError, TypeError, ValueError) as error:  # as PyTorch does for some dtypes
            refused[name] = str(error).splitlines()[0]
    timings = []
    for function in FUNCTIONS:
        samples = interleaved({n: getattr(c, function) for n, c in calls.items()}, request.spent)
        for name, seconds in samples.items():
            middle, least = statistics.median(seconds), min(seconds)
            timings.append(Timing(shape, dtype, function, name, middle, least))
        for name, reason in refused.items():
            timings.append(Timing(shape, dtype, function, name, None, None, reason))
    return timings


def interleaved(calls: dict[str, Callable[[], Any]], spent: float) -> dict[str, list[float]]:
    """Seconds a call, each in turn, so that what disturbs the machine disturbs all alike."""
    repeats = {
        name: max(1, round(SHORTEST / max(_once(call, 2), 1e-9))) for name, call in calls.items()
    }
    samples: dict[str, list[float]] = {name: [] for name in calls}
    least, most = ROUNDS
    start = time.perf_counter()
    for done in range(most):
        if done >= least and time.perf_counter() - start > spent:
            break
        for name, call in calls.items():
            samples[name].append(_once(call, repeats[name]))
    return samples


def _once(call: Callable[[], Any], repeats: int) -> float:
    if repeats > 1:  # what ran before has taken the caches of short calls
        call()
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def main() -> None:
    request = json.loads(sys.argv[1])
    lists = {key: tuple(value) for key, value in request.items() if isinstance(value, list)}
    run(Request(**{**request, **lists}), lambda t: print(json.dumps(asdict(t)), flush=True))


if __name__ == "__main__":
    main()

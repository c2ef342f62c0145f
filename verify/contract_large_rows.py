"""The kernel contract's clauses on rows that are larger than what a kernel reads at a time.

What a kernel makes of such a row need not be there all at once, nor its parameters and their
gradients in float64.  The limit of 8 MB is beside the arrays of a call and the cache.
"""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable
from typing import Any

import numpy as np

from verify.accuracy_cases import Array
from verify.contract_rows import RowExaminer
from verify.examiner import Call

SHAPE = (1, 2, 70_000)
LARGEST = (1, 1, 500_000)
LIMIT = 8e6  # bytes


def large_rows(examiner: RowExaminer) -> None:
    """rows of 70,000 elements are as accurate as others, in any layout; dx may replace dy there"""
    call = examiner.call(*SHAPE)
    expected = examiner.everything(call)
    examiner.exact(call, expected, f"x {SHAPE}")
    names = ("x", "dy", "x_dot")
    twice = {name: np.repeat(getattr(call, name), 2, axis=-1) for name in names}
    strided = call.but(**{name: array[..., ::2] for name, array in twice.items()})
    examiner.same(examiner.training(strided), expected, "every other element of an array")
    _, cache = examiner.forward(call)
    dx, *_ = examiner.kernel.backward(dy := call.dy.copy(), cache, out=dy)
    examiner.close(dx, expected["dx"], "out=dy")


def little_memory(examiner: RowExaminer) -> None:
    """beside its arrays and its cache a call takes less than 8 MB, whatever a row is"""
    call = examiner.call(*LARGEST)
    y, dx = np.empty_like(call.x), np.empty_like(call.dy)
    _, cache = examiner.forward(call, out=y)  # what is compiled is compiled by now
    calls: dict[str, Callable[[], Any]] = {
        "forward": lambda: examiner.forward(call, out=y),
        "backward": lambda: examiner.kernel.backward(call.dy, cache, out=dx),
    }
    if examiner.offers("jvp"):
        calls["jvp"] = lambda: examiner.jvp(call, cache)
    if examiner.offers("double_backward"):
        calls["double_backward"] = lambda: _double_backward(examiner, call, cache)
    given = [call.x, y, dx]
    for name, function in calls.items():
        peak = _peak(function, given)
        message = f"{name} of x {call.x.shape} takes {peak / 1e6:.1f} MB beside its arrays"
        examiner.hold(peak < LIMIT, message)


def _double_backward(examiner: RowExaminer, call: Call, cache: Any) -> Any:
    vectors = (getattr(call, f"{name}_dot") for name in examiner.learnt)
    return examiner.function("double_backward")(call.x_dot, *vectors, call.dy, cache)


def _peak(function: Callable[[], Any], given: list[Array]) -> int:
    """The most bytes that a call had beside what it returns, not counting what was ``given``."""
    tracing = tracemalloc.is_tracing()
    if not tracing:
        tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        tracemalloc.reset_peak()
        results = function()
        peak = tracemalloc.get_traced_memory()[1] - before
    finally:
        if not tracing:
            tracemalloc.stop()
    return peak - _size(results, given)


def _size(results: Any, given: list[Array]) -> int:
    """The bytes of arrays, but for those that were given."""
    if isinstance(results, np.ndarray):
        return 0 if any(results is one for one in given) else results.nbytes
    return sum(_size(one, given) for one in results) if isinstance(results, tuple) else 0


LARGE_ROWS = (large_rows, little_memory)

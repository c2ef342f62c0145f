"""How accurate the implementations of a benchmark are, for the picture of both.

On two small batches, a well-conditioned one and one of mean 1e4 and standard deviation 1e-2: the
worst scaled error of any result, against our NumPy kernel run on the same numbers in float64.  The
whole table, against exact values, is :mod:`verify.accuracy`'s.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from verify.speed.calls import Calls
from verify.speed.implementations import COPY, makers
from verify.speed.problem import BATCH, GROUP, INSTANCE, LAYER, RMS, SOFTMAX, Array, Problem, make

SHAPES = {
    BATCH: (4096, 64),
    **dict.fromkeys((INSTANCE, GROUP), (4, 64, 32, 32)),
    **dict.fromkeys((LAYER, RMS, SOFTMAX), (64, 4096)),
}
DATA = ((0.5, 1.0), (1e4, 1e-2))  # mean and standard deviation


def worst_errors(layer: str, backends: Sequence[str], dtype: str) -> dict[str, float]:
    """By implementation: max |result − reference| / max |reference| in units of the dtype's u.

    Infinite for a result that is not finite; an implementation that refuses the dtype is left out.
    """
    problems = [make(layer, SHAPES[layer], dtype, mean=mean, std=std) for mean, std in DATA]
    exact = makers(layer, ("numpy",))["numpy"]
    references = [_results(exact(_wide(problem))) for problem in problems]
    unit = float(np.finfo(dtype).eps) / 2
    found = {}
    for name, make_calls in makers(layer, backends).items():
        if name == COPY:
            continue
        try:
            with np.errstate(all="ignore"):  # the textbook's overflow is what is to be seen
                results = [_results(make_calls(problem)) for problem in problems]
        except (RuntimeError, TypeError, ValueError):  # as PyTorch does for some dtypes
            continue
        found[name] = max(
            _scaled(result, right) / unit
            for pair in zip(results, references, strict=True)
            for result, right in zip(*pair, strict=True)
        )
    return found


def _wide(problem: Problem) -> Problem:
    names = ("x", "dy", "gamma", "beta")
    return replace(problem, **{n: getattr(problem, n).astype(np.float64) for n in names})


def _results(calls: Calls) -> tuple[Array, ...]:
    y = np.array(calls.forward(), np.float64)
    return y, *(np.array(result, np.float64) for result in calls.backward())


def _scaled(result: Array, right: Array) -> float:
    error, size = np.max(np.abs(result - right)), np.max(np.abs(right))
    if not error:
        return 0.0
    return float(error / size) if np.isfinite(error) and size else float("inf")

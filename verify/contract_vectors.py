"""The clauses of the kernel contract about what the functions of statistics and folding take.

running_update, population_statistics, fold and fold_linear have one value a channel where training
has a batch.  Each clause is held on those of them that the module offers, one argument at a time; a
clause is a function whose docstring is the promise, and raises ViolationError where the kernel
breaks it.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verify.accuracy_cases import Array
from verify.contract_arrays import LAYOUTS, OTHER_DTYPES
from verify.examiner import AbsentError, Examiner, ViolationError

FUNCTIONS = ("running_update", "population_statistics", "fold", "fold_linear")
CHANNELS = 3


@dataclass(frozen=True)
class Use:
    """A function of the module with arguments that it takes, by name and in order."""

    name: str
    function: Callable[..., Any]
    arguments: dict[str, Any]

    def but(self, **changes: Any) -> Use:
        return replace(self, arguments=self.arguments | changes)

    def result(self) -> tuple[Array, Array]:
        first, second = self.function(*self.arguments.values())
        return first, second

    @property
    def arrays(self) -> dict[str, Array]:
        """The arguments that are arrays."""
        return {k: a for k, a in self.arguments.items() if isinstance(a, np.ndarray)}


def _uses(examiner: Examiner, dtype: Any = np.float32) -> Iterator[Use]:
    """The functions that the module offers, each with good arguments."""
    found = {name: examiner.function(name) for name in FUNCTIONS if examiner.offers(name)}
    if not found:
        raise AbsentError(", ".join(FUNCTIONS))
    call = examiner.call(8, CHANNELS, dtype=dtype)
    _, cache = examiner.forward(call)
    statistics = {"mean": call.mean, "var": call.var}
    parameters = {"gamma": call.gamma, "beta": call.beta, **statistics}
    means, weight = (examiner.rng.normal(size=(n, 3)).astype(dtype) for n in (4, 5))
    variances = examiner.rng.uniform(0.5, 2.0, (4, 3)).astype(dtype)
    linear = {"weight": np.ascontiguousarray(weight.T), "bias": call.gamma_dot}
    arguments: dict[str, dict[str, Any]] = {
        "running_update": {**statistics, "cache": cache},
        "population_statistics": {"means": means, "variances": variances, "m": 8},
        "fold": parameters,
        "fold_linear": linear | parameters,
    }
    for name, function in found.items():
        yield Use(name, function, arguments[name])


def statistics_other_dtypes(examiner: Examiner) -> None:
    """what is not a float array is a TypeError that names the dtype, in statistics and folding"""
    for use in _uses(examiner):
        for argument, array in use.arrays.items():
            for dtype in OTHER_DTYPES:
                name = np.dtype(dtype).name
                bad = use.but(**{argument: np.ones(array.shape, dtype)})
                what = f"{use.name}: {argument} of dtype {name}"
                examiner.refuses(TypeError, what, bad.result, mentions=(name,))


def statistics_shapes(examiner: Examiner) -> None:
    """what is one value a channel is exactly (C,): anything else is a ValueError that names both"""
    vectors = ((1,), (4,), (2,), (3, 1), (1, 3))
    shapes: dict[str, tuple[tuple[int, ...], ...]] = dict.fromkeys(
        ("mean", "var", "gamma", "beta", "bias"), vectors
    )
    shapes |= {"weight": ((4, 5), (1, 5), (5, 3))}
    for use in _uses(examiner):
        for argument in (name for name in use.arrays if name in shapes):
            for shape in shapes[argument]:
                bad = use.but(**{argument: np.ones(shape, np.float32)})
                what = f"{use.name}: {argument} of shape {shape}"
                examiner.refuses(ValueError, what, bad.result, mentions=(shape, f"({CHANNELS},"))
        for argument in (name for name in use.arrays if name in (*shapes, "means")):
            bad = use.but(**{argument: np.ones((), np.float32)})
            examiner.refuses(ValueError, f"{use.name}: {argument} of shape ()", bad.result)


def statistics_layouts(examiner: Examiner) -> None:
    """statistics and folding take any strides and byte order, and read-only arrays"""
    layouts: dict[str, Callable[[Array], Array]] = {**LAYOUTS, "read-only": _locked}
    for dtype in (np.float16, np.float32, np.float64):
        for use in _uses(examiner, dtype):
            expected = use.result()
            for what, lay in layouts.items():
                laid = use.but(**{name: lay(array) for name, array in use.arrays.items()})
                for given, due in zip(laid.result(), expected, strict=True):
                    examiner.close(given, due, f"{use.name}, {what}, {np.dtype(dtype)}")
            for argument, array in use.arrays.items():
                spread = np.broadcast_to(array[:1], array.shape)
                plain = use.but(**{argument: spread.copy()}).result()
                results = use.but(**{argument: spread}).result()
                what = f"{use.name}: {argument} with strides {spread.strides}"
                for given, due in zip(results, plain, strict=True):
                    examiner.close(given, due, what)


def _locked(array: Array) -> Array:
    copy = array.copy()
    copy.flags.writeable = False
    return copy


def statistics_untouched(examiner: Examiner) -> None:
    """statistics and folding write to none of their arguments and return new arrays"""
    for dtype in (np.float16, np.float32, np.float64):
        for use in _uses(examiner, dtype):
            before = {name: array.tobytes() for name, array in use.arrays.items()}
            given = use.result()
            for name, array in use.arrays.items():
                same = array.tobytes() == before[name]
                examiner.hold(same, f"{use.name}: {name} was written to ({np.dtype(dtype)})")
                shared = any(np.shares_memory(result, array) for result in given)
                examiner.hold(not shared, f"{use.name} returns {name} itself")
            repeated = use.result()
            same = all(np.array_equal(*pair) for pair in zip(given, repeated, strict=True))
            examiner.hold(same, f"{use.name} differs the second time")


def statistics_not_finite(examiner: Examiner) -> None:
    """NaN or infinity in one channel of statistics or of what is folded stays in that channel"""
    for use in _uses(examiner):
        expected = use.result()
        for argument, array in use.arrays.items():
            for bad in (np.nan, np.inf, -np.inf):
                changed = array.copy()
                # A channel is a row of a weight, and a column of a list of batches.
                changed[(0, 1) if argument in ("means", "variances") else 1] = bad
                given = use.but(**{argument: changed}).result()
                what = f"{use.name}: {bad} in {argument}"
                for one, due in zip(given, expected, strict=True):
                    examiner.close(np.delete(one, 1, 0), np.delete(due, 1, 0), what)
                if (argument, bad) != ("var", np.inf) or use.name == "running_update":
                    seen = any(not np.isfinite(result[1]).all() for result in given)
                    examiner.hold(seen, f"{what}: everything is finite, which hides it")


def statistics_no_warning(examiner: Examiner) -> None:
    """no warning escapes from statistics and folding, even where NumPy is told to raise"""
    for dtype in (np.float16, np.float32, np.float64):
        largest, least = np.finfo(dtype).max, np.finfo(dtype).smallest_subnormal
        for use in _uses(examiner, dtype):
            for argument, array in use.arrays.items():
                for value in (np.nan, np.inf, -np.inf, largest, -largest, least, 0.0):
                    bad = use.but(**{argument: np.full_like(array, value)})
                    _silent(examiner, bad, f"{use.name}: {value} in {argument}")


def _silent(examiner: Examiner, use: Use, what: str) -> None:
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        examiner.cases += 1
        try:
            use.result()
        except (Warning, FloatingPointError) as error:
            raise ViolationError(f"{what}: {type(error).__name__}: {error}") from error
        kept = set(np.geterr().values()) == {"raise"}
    examiner.hold(kept, f"{what}: the error state was changed")


VECTOR_CLAUSES = (
    statistics_other_dtypes,
    statistics_shapes,
    statistics_layouts,
    statistics_untouched,
    statistics_not_finite,
    statistics_no_warning,
)

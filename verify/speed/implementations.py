"""Who is timed: our kernels with and without ``out=``, the textbook's NumPy, PyTorch, one copy.

Each is made for one :class:`~verify.speed.problem.Problem` and then only called: what ``forward``
and ``backward`` do is what is timed, so that nothing is converted or prepared in them.
"""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Callable, Sequence
from functools import partial
from types import ModuleType
from typing import Any

import numpy as np

from derive.errors import InputError
from verify.speed.calls import Calls
from verify.speed.problem import SOFTMAX, Array, Problem
from verify.speed.pytorch import pytorch
from verify.speed.textbook import Textbook, TextbookSoftmax

COPY, TEXTBOOK = "copy", "textbook"
TORCH = "torch"
BACKENDS = ("numpy", "numba", TORCH)


def available(backends: Sequence[str]) -> tuple[str, ...]:
    """Those backends whose library is installed."""
    return tuple(name for name in backends if importlib.util.find_spec(name) is not None)


def missing(backends: Sequence[str]) -> tuple[str, ...]:
    """Those whose library is not."""
    return tuple(name for name in backends if name not in available(backends))


def makers(layer: str, backends: Sequence[str]) -> dict[str, Callable[[Problem], Calls]]:
    """Every implementation by its name, the copy and the textbook first."""
    found: dict[str, Callable[[Problem], Calls]] = {COPY: _copy, TEXTBOOK: _textbook}
    for name in backends:
        if name == TORCH:
            found[TORCH] = pytorch
        elif (module := _kernels(name, layer)) is not None:
            found[f"{name}, out="] = partial(_into, module)
            found[name] = partial(_fresh, module)
    return found


def _kernels(backend: str, layer: str) -> ModuleType | None:
    name = f"generated.{backend}_kernels.{layer}"
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and name.startswith(error.name):
            return None  # this backend has no such kernel
        raise InputError(f"{name} needs {error.name}, which is not installed") from None


def _copy(problem: Problem) -> Calls:
    out = np.empty_like(problem.x)

    def copy() -> Array:
        np.copyto(out, problem.x)
        return out

    return Calls(copy, lambda: (copy(),))


def _textbook(problem: Problem) -> Calls:
    textbook = (TextbookSoftmax if problem.layer == SOFTMAX else Textbook)(problem)
    return Calls(textbook.forward, textbook.backward)


def _fresh(module: Any, problem: Problem) -> Calls:
    _, cache = module.forward(problem.x, *problem.arguments, **problem.options)
    return Calls(
        lambda: module.forward(problem.x, *problem.arguments, **problem.options)[0],
        lambda: _each(module.backward(problem.dy, cache)),
    )


def _into(module: Any, problem: Problem) -> Calls:
    y, dx = np.empty_like(problem.x), np.empty_like(problem.x)
    _, cache = module.forward(problem.x, *problem.arguments, **problem.options)
    return Calls(
        lambda: module.forward(problem.x, *problem.arguments, **problem.options, out=y)[0],
        lambda: _each(module.backward(problem.dy, cache, out=dx)),
    )


def _each(gradients: Any) -> tuple[Array, ...]:
    return gradients if isinstance(gradients, tuple) else (gradients,)

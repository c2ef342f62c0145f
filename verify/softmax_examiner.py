"""What the clauses of the kernel contract are checked with, for softmax.

Clauses that are shared with other layers expect several gradients: they are handed the kernel with
its one gradient in a tuple.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np

from verify.accuracy import PRECISIONS, Kernel, offered
from verify.accuracy_cases import Array
from verify.examiner import Call, Examiner
from verify.precise_softmax import PreciseSoftmax

OPTIONAL = ("backward_staged", "jvp", "jacobian", "double_backward")
DUE = {
    "forward": "(x, *, axis=-1, out=None)",
    "backward": "(dy, cache, *, out=None)",
    "backward_staged": "(dy, cache)",
    "jvp": "(x_dot, cache)",
    "jacobian": "(cache, row=0)",
    "double_backward": "(v_dx, dy, cache)",
}


@dataclass(frozen=True)
class SoftmaxCall(Call):
    """The arguments for x whose rows extend along ``axis``."""

    axis: int = -1

    @property
    def options(self) -> dict[str, Any]:
        return {} if self.axis == -1 else {"axis": self.axis}


@dataclass
class SoftmaxExaminer(Examiner):
    """An examiner of softmax; ``alone`` is the module as it is."""

    learnt: tuple[str, ...] = ()
    alone: Any = None
    axis: int = -1

    def vector(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return (0,)

    def call(self, *shape: int, dtype: Any = np.float32, parameters: Any = None) -> SoftmaxCall:
        return SoftmaxCall(**{**vars(super().call(*shape, dtype=dtype)), "axis": self.axis})

    def along(self, axis: int, *shape: int, dtype: Any = np.float32) -> SoftmaxCall:
        """Random arguments for x of this shape with its rows along an axis."""
        return self.call(*shape, dtype=dtype).but(axis=axis)

    def exact(self, call: Call, given: dict[str, Array], what: str) -> None:
        still = np.zeros_like(call.x) if call.x_dot is None else call.x_dot
        reference = PreciseSoftmax.of(call.x, call.dy, still, call.axis)
        for name, array in given.items():
            self.like(array, call.x.shape, call.x.dtype, f"{what}: {name}")
            plain = array.astype(array.dtype.newbyteorder("="))
            dtype = plain.dtype.name
            worst, limit = reference.worst(name, plain, call.axis), reference.limit(dtype)
            self.measured(worst, limit, PRECISIONS[dtype].unit, f"{what}: {name}")

    def everything(self, call: Call) -> dict[str, Array]:
        found = self.training(call)
        if self.offers("double_backward"):
            _, cache = self.forward(call)
            pair = self.function("double_backward")(call.x_dot, call.dy, cache)
            found |= zip(("g_dy", "g_x"), pair, strict=True)
        return found


def examiner_of(module: Kernel, rng: np.random.Generator) -> SoftmaxExaminer:
    """An examiner of the module, with what backward returns in a tuple."""
    functions = {name: function for name in DUE if (function := offered(module, name))}
    for name in ("backward", "backward_staged"):
        if function := functions.get(name):
            functions[name] = partial(_in_tuple, function)
    kernel: Any = SimpleNamespace(**functions)
    return SoftmaxExaminer(kernel, rng, alone=module)


def _in_tuple(function: Callable[..., Any], *arguments: Any, **options: Any) -> tuple[Any, ...]:
    return (function(*arguments, **options),)

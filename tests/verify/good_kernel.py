"""A good kernel, any function of which can be replaced, and the register of bad ones."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from generated.numpy_kernels import batch_norm


@dataclass(frozen=True)
class Kernel:
    """A good kernel, any function of which can be replaced by a bad one."""

    forward: Callable[..., Any] = batch_norm.forward
    backward: Callable[..., Any] = batch_norm.backward
    backward_staged: Callable[..., Any] = batch_norm.backward_staged
    jvp: Callable[..., Any] = batch_norm.jvp
    jacobian: Callable[..., Any] = batch_norm.jacobian
    double_backward: Callable[..., Any] = batch_norm.double_backward
    infer: Callable[..., Any] = batch_norm.infer
    infer_backward: Callable[..., Any] = batch_norm.infer_backward
    running_update: Callable[..., Any] = batch_norm.running_update
    population_statistics: Callable[..., Any] = batch_norm.population_statistics
    fold: Callable[..., Any] = batch_norm.fold
    fold_linear: Callable[..., Any] = batch_norm.fold_linear


GOOD = Kernel()
BAD: list[tuple[str, Kernel]] = []


def breaks(clause: str, function: str = "forward") -> Callable[[Callable[..., Any]], Any]:
    """Register a bad function, by the clause that has to notice it."""

    def register(bad: Callable[..., Any]) -> Callable[..., Any]:
        good = getattr(GOOD, function)
        shown = bad if clause == "signatures" else functools.wraps(good)(bad)
        BAD.append((clause, replace(GOOD, **{function: shown})))
        return shown

    return register

"""Backends: each prints the same scheduled kernels for one array library."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from codegen.backends.numba_backend import NumbaBackend
from codegen.backends.numpy_backend import NumpyBackend
from codegen.block import Placement
from codegen.pipeline import Kernels


class Backend(Protocol):
    """What a backend has to offer.

    ``name`` is what the command line calls it, ``folder`` its package under ``generated/``, and
    ``render`` the body of a module (without the header, which :mod:`codegen.emit` adds);
    ``render_block`` that of the block, which has kernels for each placement of Batch Norm.
    ``wide``: everything is computed in float64, also what need not be.
    """

    name: str
    folder: str

    def render(self, kernels: Kernels, wide: bool = False) -> str: ...

    def render_block(self, placements: Sequence[Placement]) -> str: ...


BACKENDS: dict[str, Backend] = {
    backend.name: backend for backend in (NumpyBackend(), NumbaBackend())
}

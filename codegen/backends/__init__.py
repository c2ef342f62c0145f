"""Backends: each prints the same scheduled kernels for one array library."""

from __future__ import annotations

from typing import Protocol

from codegen.backends.numpy_backend import NumpyBackend
from codegen.pipeline import Kernels


class Backend(Protocol):
    """What a backend has to offer.

    ``name`` is what the command line calls it, ``folder`` its package under ``generated/``, and
    ``render`` the body of a module (without the header, which :mod:`codegen.emit` adds).
    """

    name: str
    folder: str

    def render(self, kernels: Kernels) -> str: ...


BACKENDS: dict[str, Backend] = {backend.name: backend for backend in (NumpyBackend(),)}

"""The numba backend: compiled loops over the data as they lie, everything in float64 registers.

A module has the functions, the validation and the textbook forms of the NumPy module
(:mod:`codegen.backends.numpy_backend`), and cores of its own (:mod:`codegen.backends.numba_cores`)
from the same derivation, by :data:`codegen.backends.numba_passes.NUMBA_PASSES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from codegen.backends.numba_cores import numba_core
from codegen.backends.numba_passes import NUMBA_PASSES
from codegen.backends.numpy_backend import ModuleText
from codegen.backends.numpy_layouts import BATCH, HERE, MARKER, layout_of
from codegen.backends.numpy_limits import refuse
from codegen.block import Placement
from codegen.passes import ProgramPass
from codegen.pipeline import Kernels, build
from derive.errors import InputError

IMPORTS = """\
import math
import numbers
import operator
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from threading import Thread
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

try:
    import numba
    from numba import types
    from numba.extending import overload
except ImportError as error:
    raise ImportError(
        "this module needs numba: pip install numba, or backnorm[numba]; the module of the same "
        "name in numpy_kernels needs NumPy only"
    ) from error"""

ABOUT = """

Each function is compiled for the dtype when it is first used, in some seconds, and kept in
__pycache__ or in numba's own folder (NUMBA_CACHE_DIR).  Large arrays are computed by as many
threads as numba.set_num_threads says, all cores if it was not called; results do not depend on
other threads, and the GIL is free meanwhile.  Arrays in C order, all of one dtype, are read where
they lie; any others block by block."""


def _support() -> str:
    own = HERE.with_name("numba_support.py").read_text(encoding="utf-8").split(MARKER)[1].strip()
    return f"{BATCH.support()}\n\n\n{own}"


CHANNELS = replace(
    BATCH, core=numba_core, support=_support, about=BATCH.about + ABOUT, imports=IMPORTS
)


class NumbaBackend:
    """Prints modules for ``generated/numba_kernels``."""

    name = "numba"
    folder = "numba_kernels"

    def render(self, kernels: Kernels) -> str:
        layer = kernels.derivation.layer
        if layout_of(layer) is not BATCH:
            raise InputError(
                f"the numba backend has no array layout for {layer.name} yet; it generates layers "
                "that reduce over the batch, like batch_norm"
            )
        refuse(kernels, CHANNELS)
        return _ModuleText(build(kernels.derivation, NUMBA_PASSES), CHANNELS).text()

    def render_block(self, placements: Sequence[Placement]) -> str:
        raise InputError("the numba backend has no kernels for the block; the NumPy backend has")


class _ModuleText(ModuleText):
    library, libraries = "numba", "NumPy and numba"
    passes: Sequence[ProgramPass] = NUMBA_PASSES

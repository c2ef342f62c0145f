"""The numba backend: compiled loops over the data as they lie, everything in float64 registers.

A module has the functions, the validation and the textbook forms of the NumPy module
(:mod:`codegen.backends.numpy_backend`), and cores of its own (:mod:`codegen.backends.numba_cores`)
from the same derivation, by :data:`codegen.backends.numba_passes.NUMBA_PASSES`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

from codegen.backends.numba_cores import numba_core
from codegen.backends.numba_origins import numba_origin_core
from codegen.backends.numba_passes import NUMBA_PASSES, narrow_kernels
from codegen.backends.numba_rows import numba_row_core
from codegen.backends.numpy_backend import ModuleText
from codegen.backends.numpy_cores import Core
from codegen.backends.numpy_layouts import (
    BATCH,
    GROUP,
    INSTANCE,
    LINES,
    ROWS,
    ArrayLayout,
    copied,
    layout_of,
)
from codegen.backends.numpy_limits import refuse, refuse_clashes
from codegen.backends.numpy_one_size import with_one_size
from codegen.block import Placement
from codegen.passes import PASSES
from codegen.pipeline import Kernels, build
from derive.errors import InputError

IMPORTS = """\
import math
import numbers
import operator
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any, NamedTuple, TypeAlias, TypeVar

import numpy as np
import numpy.typing as npt

try:
    import numba
    from llvmlite import ir
    from llvmlite.binding import get_host_cpu_features
    from numba import types
    from numba.extending import intrinsic, overload
except ImportError as error:
    raise ImportError(
        "this module needs numba: pip install numba, or backnorm[numba]; the module of the same "
        "name in numpy_kernels needs NumPy only"
    ) from error"""

ABOUT = """

Each function is compiled for the dtype when it is first used, in some seconds, and kept in
__pycache__ or in numba's own folder (NUMBA_CACHE_DIR).  Large arrays are computed by as many
threads as numba.set_num_threads says, all cores if it was not called; results do not depend on
other threads, and the GIL is free meanwhile; each thread adds up gradients of parameters by itself.
In batch_norm float16 results are rounded from float32 where no digit of float16 depends on it.
Arrays in C order, all of one dtype, are read where they lie; any others block by block."""

ABOUT_EXP = """
Of float32 data and narrower exp is computed within 4e-9 of itself, of float64 within 1.2 u."""


def _with(support: Callable[[], str], *names: str) -> str:
    """What the NumPy module carries, and then what is copied of files beside this one."""
    return "\n\n\n".join([support(), *(copied(name) for name in names)])


def _layout(of: ArrayLayout, core: Core, own: str) -> ArrayLayout:
    """The layout of the NumPy module with a core that is compiled."""
    support = partial(_with, of.support, "numba_support.py", own)
    return replace(of, core=core, support=support, about=of.about + ABOUT, imports=IMPORTS)


LINES_NUMBA = _layout(LINES, numba_origin_core, "numba_origins_support.py")

LAYOUTS = {
    BATCH: _layout(BATCH, numba_core, "numba_batch_support.py"),
    LINES: replace(
        LINES_NUMBA,
        about=LINES_NUMBA.about + ABOUT_EXP,
        imports=IMPORTS.replace("import numbers\n", ""),
    ),
    ROWS: _layout(ROWS, partial(numba_row_core, kept=1), "numba_rows_support.py"),
    INSTANCE: _layout(INSTANCE, partial(numba_row_core, kept=2), "numba_rows_support.py"),
    GROUP: _layout(GROUP, partial(numba_row_core, kept=2), "numba_rows_support.py"),
}


class NumbaBackend:
    """Prints modules for ``generated/numba_kernels``."""

    name = "numba"
    folder = "numba_kernels"

    def render(self, kernels: Kernels, wide: bool = False) -> str:
        """The module's body; it is ``wide`` in any case."""
        like = layout_of(kernels)
        layout = LAYOUTS[like]
        passes = NUMBA_PASSES if like is BATCH else PASSES
        if like is BATCH:
            kernels = narrow_kernels(build(kernels.derivation, passes))
        kernels = with_one_size(kernels)
        refuse(kernels, layout)
        text = _ModuleText(kernels, layout, passes).text()
        refuse_clashes(text, kernels.derivation.layer, layout)
        return text

    def render_block(self, placements: Sequence[Placement]) -> str:
        raise InputError("the numba backend has no kernels for the block; the NumPy backend has")


class _ModuleText(ModuleText):
    library, libraries = "numba", "NumPy and numba"

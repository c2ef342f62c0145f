"""The ways through a kernel that computes rows in a narrow type, on exact numbers.

Like those of :mod:`verify.kernel_paths`: which way some rows take is told to a kernel here, its
matrices and sums are cut small, its centre is made any number, and what it would have checked is
compared with what is true.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

from verify.arrangements import FirstSumOfBlocksWrong
from verify.kernel_paths import Pairs, Path

Array = NDArray[Any]
Index = tuple[slice, ...]

LINES = "_Rows"  # which a module has if it takes rows as matrices of lines
CHECKED = ("forward", "backward")  # the kernels of such a module that check what they made
SIZES = ("_NARROW", "_SHORTEST", "_PIECE", "_FEW", "_RUN", "_MATRIX", "_FEW_ROWS", "_ROW")


def one_row_and_all(module: Any) -> Iterator[None]:
    """Has a module's kernels find statistics of one row at a time, and then of all at once."""
    with patch.object(module, "_FEW_ROWS", 1):
        yield
    with patch.object(module, "_ROW", 1):
        yield


class LineGuide:
    """Leads a module's kernels while they are on a way of its own."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        own = vars(module)
        self.own = {name: own[name] for name in (*SIZES, "_is_left") if name in own}
        ours = vars(module._Rows)  # rows that are not centred have no others
        self.methods = {name: ours[name] for name in ("centre", "holds", "small") if name in ours}
        self.checked: list[tuple[Index | None, list[Array]]] = []  # of rows, or of a part

    def lead(self, path: Path, error: Array | None = None) -> None:
        """From here on kernels take this path; their centre is off by ``error``."""
        row = 1 if path.at_once else self.own["_ROW"]
        sizes = (object, 1, path.rows, 2, 2 * path.columns, 3 * path.columns, 1, row)
        vars(self.module).update(zip(SIZES, sizes, strict=True))
        self._forget()

        def centre(rows: Any, x: Array) -> Array:
            found: Array = self.methods["centre"](rows, x)
            return found if error is None else found + error[rows.index]

        def is_left(*pairs: tuple[Array, Array]) -> bool:
            self.checked.append((None, [one.reshape(-1) for pair in pairs for one in pair]))
            return path.holds

        def holds(rows: Any, values: Sequence[Array], left: Pairs = ()) -> bool:
            self.checked.append((rows.index, [one for pair in left for one in pair]))
            return path.holds

        led = {"centre": centre, "holds": holds, "small": lambda *_: path.zero}
        for name in self.methods:
            setattr(self.module._Rows, name, led[name])
        vars(self.module)["_is_left"] = is_left

    def leave(self) -> None:
        """From here on kernels compute in the wide type alone."""
        vars(self.module).update(self.own)
        for name, method in self.methods.items():
            setattr(self.module._Rows, name, method)
        self._forget()

    def _forget(self) -> None:
        self.checked.clear()
        self.module._place.cache_clear()

    def difference(self, core: str, given: Mapping[str, Any], results: Sequence[Array]) -> Array:
        """How many of the numbers that were checked differ from what is true."""
        by_row, *of_all = _true(core, given, results)
        wrong = [
            (one != true[index]).sum()
            for index, pairs in self.checked
            if index
            for one, true in zip(pairs, by_row, strict=True)
        ]
        parts = [pairs for index, pairs in self.checked if not index]
        whole = [np.concatenate(one) for one in zip(*parts, strict=True)]
        due = [true.reshape(-1) for pairs in of_all for true in pairs]
        wrong += [(one != true).sum() for one, true in zip(whole, due, strict=True)]
        return np.array([int(sum(wrong))], object)


def _true(core: str, given: Mapping[str, Any], results: Sequence[Array]) -> Iterator[list[Array]]:
    """What is left and what there was, as squares: in each row, and of gradients of parameters.

    ``results`` are those of the core.
    """
    layout = given["layout"]
    if core == "forward":
        centred = "mean_rest" in given
        yield [given["var"] + given["eps"], 16 * given["mean_rest"] ** 2] if centred else []
        return
    dy, gamma = given["dy"], given["gamma"]
    slope = gamma * given.get("inv_std", given.get("inv_rms"))
    dx, *learnt = results
    yield [layout.total(dx**2), 4 * layout.total((slope * dy) ** 2)]
    read = 9 * layout.over_rows(dy**2)
    pairs = [learnt[0] ** 2, read]
    if layout.learnt != layout.reduced:  # parameters are constant along lines
        alike = tuple(k for k in layout.reduced if k not in layout.learnt)
        lines = np.add.reduce(dy, axis=alike, keepdims=True)
        pairs += [learnt[0] ** 2, layout.over_rows(lines**2) / 4]
    yield [*pairs, *(one for dbeta in learnt[1:] for one in (dbeta**2, read))]


@contextmanager
def found_with_error(module: Any, error: Array) -> Iterator[None]:
    """With a first sum that is off wherever a kernel finds the statistics of some rows."""
    own, off = module._statistics, error.reshape(-1)[0]

    def statistics(x: Array, eps: Any, layout: Any) -> Any:
        errors = np.full(layout.per_row().shape, off, object)
        return own(x, eps, FirstSumOfBlocksWrong(layout, errors))

    with patch.object(module, "_statistics", statistics):
        yield

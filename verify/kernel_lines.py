"""The ways through a kernel that computes rows in a narrow type, on exact numbers.

Like those of :mod:`verify.kernel_paths`: which way some rows take is told to a kernel here, its
matrices and sums are cut small, its centre is made any number, and what it would have checked is
compared with what is true.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.kernel_paths import Pairs, Path

Array = NDArray[Any]

LINES = "_Rows"  # which a module has if it takes rows as matrices of lines
CHECKED = ("forward", "backward")  # the kernels of such a module that check what they made
SIZES = ("_NARROW", "_SHORTEST", "_PIECE", "_FEW", "_RUN", "_MATRIX")


class LineGuide:
    """Leads a module's kernels while they are on a way of its own."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        own = vars(module)
        self.own = {name: own[name] for name in (*SIZES, "_is_left") if name in own}
        self.methods = {name: getattr(module._Rows, name) for name in ("centre", "holds", "small")}
        self.checked: list[list[Array]] = []

    def lead(self, path: Path, error: Array | None = None) -> None:
        """From here on kernels take this path; their centre is off by ``error``."""
        sizes = (object, 1, path.rows, 2, 2 * path.columns, 3 * path.columns)
        vars(self.module).update(zip(SIZES, sizes, strict=True))
        self._forget()

        def centre(rows: Any, x: Array) -> Array:
            found: Array = self.methods["centre"](rows, x)
            return found if error is None else found + error[rows.at.index]

        def is_left(*pairs: tuple[Array, Array]) -> bool:
            self.checked.append([np.asarray(one).reshape(-1) for pair in pairs for one in pair])
            return path.holds

        def holds(_: Any, values: Sequence[Array], left: Pairs = ()) -> bool:
            return is_left(*left)

        self.module._Rows.centre, self.module._Rows.holds = centre, holds
        self.module._Rows.small = lambda *_: path.zero
        vars(self.module)["_is_left"] = is_left

    def leave(self) -> None:
        """From here on kernels compute in the wide type alone."""
        vars(self.module).update(self.own)
        for name, method in self.methods.items():
            setattr(self.module._Rows, name, method)
        self._forget()

    def _forget(self) -> None:
        self.checked.clear()
        self.module._places.cache_clear()

    def difference(self, core: str, given: Mapping[str, Any], results: Sequence[Array]) -> Array:
        """How many of the numbers that were checked differ from what is true."""
        due = [
            [np.asarray(one).reshape(-1) for one in each] for each in _true(core, given, results)
        ]
        by_rows = self.checked if core == "forward" else self.checked[:-1]
        found = [[np.concatenate(parts) for parts in zip(*by_rows, strict=True)]]
        found += [] if core == "forward" else self.checked[-1:]
        wrong = [
            (a != b).sum()
            for one, other in zip(found, due, strict=True)
            for a, b in zip(one, other, strict=True)
        ]
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

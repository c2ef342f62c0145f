"""The ways through a kernel: by the type that it computes in, or by the size of its rows.

Some compute in one type and, where that loses digits, in another.  On exact numbers no type is too
narrow, and what the kernel checks to find out has no meaning: which way it takes is told to it
here, and what it would have checked is compared with what is true, as any result is.  Its rows and
blocks are made small, so that there are several, and differently so on either way; its centre,
which may be any number, is made another.

Others reduce rows, several at once or, where one is larger than a block, each by pieces.  As blocks
are made smaller than a row, or not, they take either way with any row.  And compiled ones do all in
one call, or read arrays that do not lie in order block by block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from unittest.mock import patch

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Pairs = Sequence[tuple[Array, Array]]

TWO_WAYS = "_in_float64"  # which a module has if it computes in a narrow type too
FEW = 2**10  # more than there are in any case
LEFT = {"forward": 1, "backward": 4, "jvp": 1}  # pairs that each kernel of Batch Norm checks


@dataclass(frozen=True)
class Path:
    """Whether the narrow type holds and its centre is zero, how the data are cut, and whether they
    are, or are few enough to be taken at once."""

    holds: bool
    zero: bool
    columns: int
    rows: int
    at_once: bool = False


def whole_and_in_pieces(module: ModuleType, m: int) -> Iterator[None]:
    """Has a module's kernels take rows of m elements whole, and then, where they can, in pieces; or
    all in one call, and then, where they can, block by block."""
    own = vars(module)
    if not hasattr(module, "_cut"):
        yield
        if hasattr(module, "_in_one_call"):
            yield from _by_blocks(own)
        return
    before: dict[str, Any] = {
        name: own[name] for name in ("_BLOCK", "_ROW", "_ROOM") if name in own
    }
    block = before["_BLOCK"]
    try:
        own["_BLOCK"] = max(block, m) + 4  # two rows of two elements, or one
        yield
        block = max(1, min(block, m - 1))  # with fewer parameters in the last part, of two rows
        own.update(dict.fromkeys(before, 0), _BLOCK=block, _ROW=block)
        yield
        if "_ROW" in before:  # several at once, each in one piece
            own.update(_BLOCK=3 * (m + 2), _ROW=1)
            yield
    finally:
        own.update(before)


def _by_blocks(own: dict[str, Any]) -> Iterator[None]:
    before = own["_in_order"]
    own["_in_order"] = lambda *_: False
    try:
        yield
    finally:
        own["_in_order"] = before


PATHS = (
    *(Path(True, False, 2, 2), Path(True, True, 4, 3), Path(False, False, 8, 3)),
    *(Path(False, zero, 8, 3, at_once=True) for zero in (True, False)),
)
AT_ONCE = "_AT_ONCE"  # a module's number of elements that are few
SHORTEST = "_SHORTEST"  # and of those of a line that is long enough for float32


@contextmanager
def in_blocks(module: object) -> Iterator[None]:
    """Has a module's kernels take few elements as they take many, in blocks."""
    with patch.object(module, AT_ONCE, 0):
        yield


@contextmanager
def in_matrices(module: Any) -> Iterator[None]:
    """Has a module's kernels take short rows as they take long ones, as several matrices; there
    more has to be left, as in few elements errors do not make up for each other."""
    module._place.cache_clear()
    short = patch.object(module, SHORTEST, 1), patch.object(module, "_MATRIX", 64)
    with short[0], short[1], patch.object(module, "_LEFT", 8):
        yield
    module._place.cache_clear()


@contextmanager
def in_float64(module: object) -> Iterator[None]:
    """Has a module's kernels take rows in float64."""
    with patch.object(module, "_LONGEST", 0):
        yield


def ways(module: object, size: int = 0) -> Iterator[AbstractContextManager[None]]:
    """As a module takes so many elements; and, if they are few to it, as it takes many.  And rows
    in float64, or as long ones."""
    if hasattr(module, SHORTEST):
        yield in_float64(module)
        yield in_matrices(module)
        return
    yield nullcontext()
    if size <= getattr(module, AT_ONCE, -1):
        yield in_blocks(module)


class Guide:
    """Leads a module's kernels; ``checked`` is what the last one asked for, part by part."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        own = {kind: kind.centre for kind in (module._Work, module._Few)}
        self.centres = vars(module).setdefault("_own_centres", own)
        self.checked: list[list[Array]] = []
        self.of_sums = 0  # what cotangents are centred at

    def lead(self, path: Path, error: Array | None = None) -> None:
        """From here on kernels take this path; their centre is off by ``error``."""
        self.checked.clear()
        sizes = {"_COLUMNS": path.columns, "_ROWS": path.rows}
        sizes[AT_ONCE] = FEW if path.at_once else 0
        vars(self.module).update(sizes, _NARROW=object)

        def centre(work: Any, x: Array) -> Array:
            found: Array = self.centres[type(work)](work, x)
            found = found + 0 * x.flat[0]  # zeros among exact numbers are whole
            return found if error is None else found + error[work.part.own]

        def holds(work: Any, values: Sequence[Array], left: Pairs = (), of_all: Pairs = ()) -> bool:
            if path.holds:
                pairs = [np.asarray(one).reshape(-1) for pair in (*left, *of_all) for one in pair]
                self.checked.append(pairs)
            return path.holds

        self.module._Work.holds = holds
        self.module._Work.centre = self.module._Few.centre = centre
        self.module._Work.small = self.module._Few.small = lambda *_: path.zero
        self.of_sums = 0 if path.zero else 3

        def centre_of_sums(work: Any, array: Array) -> Array:
            whole = work.part.before, (work.part.count,), work.part.after
            shape = [n if k == 1 else 1 for k, sizes in enumerate(whole) for n in sizes]
            return np.full(shape, self.of_sums, object)

        self.module._Work.centre_of_sums = centre_of_sums

    def difference(self, core: str, given: Mapping[str, Any], results: Sequence[Array]) -> Array:
        """What was checked less what is true, pair by pair and channel by channel."""
        checked = [np.concatenate(parts) for parts in zip(*self.checked, strict=True)]
        self.checked.clear()
        return np.stack(checked) - np.stack([*_true(core, given, results, self.of_sums)])


def _true(
    core: str, given: Mapping[str, Any], results: Sequence[Array], centre: int
) -> Iterator[Array]:
    """What is left and what there was, as squares; ``results`` are those of the core, and sums of
    cotangents are about their ``centre``."""
    reduced = tuple(k for k, n in enumerate(given["gamma"].shape) if n == 1)

    def squares(array: Array) -> Array:
        total: Array = np.add.reduce(array**2, axis=reduced).reshape(-1)
        return total

    slope = (given["gamma"] * given["inv_std"]).reshape(-1) ** 2
    if core == "forward":
        yield (given["var"] + given["eps"]).reshape(-1)
        yield 16 * given["mean_rest"].reshape(-1) ** 2
        return
    yield squares(results[0])
    cotangent = given["dy" if core == "backward" else "x_dot"]
    yield 4 * slope * squares(cotangent)
    if core == "backward":
        dgamma, dbeta = (result.reshape(-1) for result in results[1:])
        left = cotangent - centre
        total, read = np.add.reduce(left, axis=reduced).reshape(-1), squares(left)
        yield from (dgamma**2, 9 * read, dgamma**2, total**2 / 4, dbeta**2, 9 * read)


@contextmanager
def guessed(module: ModuleType, centre: Array) -> Iterator[None]:
    """With that centre wherever a kernel would guess one near the mean."""
    names = [name for name in ("_near_mean", "_near_mean_of") if hasattr(module, name)]
    own = {name: getattr(module, name) for name in names}
    vars(module).update({name: lambda *_: centre.reshape(-1) for name in own})
    try:
        yield
    finally:
        vars(module).update(own)

"""Exact numbers as NumPy's object arrays handle them, so that a kernel can compute on them."""

from __future__ import annotations

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from verify.exact import Counterexample
from verify.fields import Field, Scalar

Array = NDArray[Any]


def _binary(operation: Callable[[Scalar, Scalar], Scalar]) -> Callable[[Number, object], Number]:
    def method(self: Number, other: object) -> Number:
        if isinstance(other, Number):
            return Number(operation(self.value, other.value), self.over)
        if isinstance(other, int):
            return Number(operation(self.value, other), self.over)
        return NotImplemented

    return method


class Number:
    """An element of an exact field as NumPy's object arrays handle it: + - * / ** and sqrt().

    Whole numbers are constants.  A float is a TypeError: it would make floats of all that it meets.
    """

    __slots__ = ("over", "value")

    def __init__(self, value: Scalar, over: Field) -> None:
        self.value, self.over = value, over

    __add__ = _binary(lambda a, b: a + b)
    __sub__ = _binary(lambda a, b: a - b)
    __mul__ = _binary(lambda a, b: a * b)
    __truediv__ = _binary(lambda a, b: a / b)
    __radd__ = _binary(lambda a, b: b + a)
    __rsub__ = _binary(lambda a, b: b - a)
    __rmul__ = _binary(lambda a, b: b * a)
    __rtruediv__ = _binary(lambda a, b: b / a)

    def __neg__(self) -> Number:
        return Number(-self.value, self.over)

    def __pow__(self, exponent: int) -> Number:
        return Number(self.value**exponent, self.over)

    def sqrt(self) -> Number:
        """What np.sqrt asks of an object; NotASquare outside the field."""
        return Number(self.over.sqrt(self.value), self.over)

    def __bool__(self) -> bool:
        return bool(self.value != 0)

    def __gt__(self, other: Number | int) -> bool:
        return bool(self.value > (other.value if isinstance(other, Number) else other))

    def __lt__(self, other: Number | int) -> bool:
        return -self > (-other)

    def __eq__(self, other: object) -> bool:
        return bool(self.value == (other.value if isinstance(other, Number) else other))

    def __hash__(self) -> int:
        return hash(self.value)

    def __abs__(self) -> Number:
        return -self if self < 0 else self

    def log(self) -> Number:
        """What np.log asks of an object: the field's formal logarithm."""
        return Number(self.over.log(self.value), self.over)

    def __ge__(self, other: Number | int) -> bool:
        return self > other or self.value == (other.value if isinstance(other, Number) else other)

    def tanh(self) -> Number:
        """What np.tanh asks of an object, by the formal exponential."""
        square = self.over.exp(self.value) ** 2
        return Number((square - 1) / (square + 1), self.over)

    def exp(self) -> Number:
        """What np.exp asks of an object: the field's formal exponential."""
        return Number(self.over.exp(self.value), self.over)


class ExactNumPy:
    """NumPy, but for sign, which makes ints of objects; half an int would be a float."""

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)

    @staticmethod
    def sign(values: Any) -> Any:
        def one(value: Number) -> Number:
            return Number(value.over.number((value > 0) - (value < 0)), value.over)

        return np.frompyfunc(one, 1, 1)(values)


def on_objects(module: ModuleType, block: int) -> None:
    """Make a private copy of a generated module compute on objects, with ``block`` elements in one
    block.

    What numba would compile runs as the Python text that it is, along runs of two elements and
    more, and along rows of which two or so are taken together, where an array lies in order in one
    call; and as no digit is lost here, no centre is too far from the mean.
    """
    python = {k: v.py_func for k, v in vars(module).items() if hasattr(v, "py_func")}
    block = 4 * block if python else block  # with several runs of a channel, and rows by fours
    own: dict[str, Any] = {"_COLUMNS": 4, "_ROWS": 2}  # of several blocks, where they have both
    own |= {"_WIDE": object, "_BLOCK": block, "_RUN": 2, "_LANES": (3, 4), "_far": lambda *_: False}
    own |= {"_moderate": lambda *_: True, "_is_left": lambda *_: True}
    own["_LEARNT"] = 3  # parameters of a part, of one group
    if hasattr(module, "_in_one_call"):
        own |= {"_in_order": lambda array, _: array.flags.c_contiguous, "_NEAR": 1, "_SMALL": 0}
    vars(module).update(python | {k: v for k, v in own.items() if hasattr(module, k)})


def differences(got: Array | str, due: Array) -> tuple[int, list[Counterexample]]:
    """How many elements were compared, and those that differ."""
    sizes = tuple((f"axis {k}", n) for k, n in enumerate(due.shape))
    if isinstance(got, str):
        return 1, [Counterexample(sizes, (), "a result", got)]
    if got.shape != due.shape:
        return 1, [Counterexample(sizes, (), f"shape {due.shape}", f"shape {got.shape}")]
    missed = []
    for at in np.ndindex(due.shape):
        entry: Any = got[at]
        value = entry.value if isinstance(entry, Number) else entry
        # A float is no exact result, though 0.5 == Fraction(1, 2).
        if not (isinstance(entry, Number | int) and value == due[at]):
            index = tuple((f"axis {k}", position) for k, position in enumerate(at))
            missed.append(Counterexample(sizes, index, str(due[at]), str(value)))
    return due.size, missed

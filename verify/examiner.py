"""What every clause of the kernel contract is checked with: data, calls, comparisons, verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from verify.accuracy import PRECISIONS, Kernel, Reference
from verify.accuracy_cases import Array, Batch, Tangents

GRADIENTS = ("dx", "dgamma", "dbeta")
STAGED = ("dx staged", "dgamma staged", "dbeta staged")


class ViolationError(Exception):
    """The kernel does not keep the clause; the message says how."""


class NotApplicableError(Exception):
    """The clause cannot be checked here; the message says why."""


@dataclass(frozen=True)
class Call:
    """One complete set of arguments: a batch with its channels on ``axis``, and its tangents."""

    x: Array
    gamma: Array | None
    beta: Array | None
    dy: Array
    x_dot: Array
    gamma_dot: Array | None
    beta_dot: Array | None
    eps: Any = 1e-5
    axis: int = 1

    def but(self, **changes: Any) -> Call:
        """The same arguments with some of them changed."""
        return replace(self, **changes)

    def on_axis(self, axis: int) -> Call:
        """The same batch with its channels moved from axis 1 to another."""
        moved = {name: np.moveaxis(getattr(self, name), 1, axis) for name in ("x", "dy", "x_dot")}
        copies = {name: np.ascontiguousarray(array) for name, array in moved.items()}
        return self.but(axis=axis, **copies)


@dataclass
class Examiner:
    """Holds one kernel to one clause: counts what was checked, keeps the worst error found.

    ``calling`` says what forward was last called with, for the message when a kernel raises.
    """

    kernel: Kernel
    rng: np.random.Generator
    cases: int = 0
    worst: float | None = None
    limit: float | None = None
    unit: str = ""
    calling: str = ""

    # --- data -------------------------------------------------------------------------------------

    def call(self, *shape: int, dtype: Any = np.float32, parameters: Any = None) -> Call:
        """Random arguments for x of this shape, channels on axis 1; γ and β in ``parameters``."""

        def draw(size: tuple[int, ...], kind: Any) -> Array:
            return self.rng.normal(0.5, 1.0, size).astype(kind)

        vectors = [draw(shape[1:2], parameters or dtype) for _ in range(4)]
        x, dy, x_dot = (draw(shape, dtype) for _ in range(3))
        return Call(x, vectors[0], vectors[1], dy, x_dot, vectors[2], vectors[3])

    def forward(self, call: Call, **options: Any) -> Any:
        """(y, cache)."""
        x = call.x
        self.calling = f"x {x.dtype} {x.shape}, axis {call.axis}, eps {call.eps!r}"
        return self.kernel.forward(
            call.x, call.gamma, call.beta, eps=call.eps, axis=call.axis, **options
        )

    def derivatives(self, call: Call, cache: Any) -> dict[str, Array]:
        """Every derivative that the kernel offers, by name."""
        found = dict(zip(GRADIENTS, self.kernel.backward(call.dy, cache), strict=True))
        staged = self.kernel.backward_staged(call.dy, cache)
        found.update(zip(STAGED, staged, strict=True))
        found["y_dot"] = self.kernel.jvp(call.x_dot, call.gamma_dot, call.beta_dot, cache)
        return found

    def everything(self, call: Call) -> dict[str, Array]:
        """Every result that has an exact reference, by name."""
        y, cache = self.forward(call)
        return {"y": y, **self.derivatives(call, cache)}

    # --- verdicts ---------------------------------------------------------------------------------

    def hold(self, condition: object, message: str) -> None:
        """Count a case, and fail the clause unless the condition is true."""
        self.cases += 1
        if not condition:
            raise ViolationError(message)

    def refuses(
        self,
        kind: type[Exception] | tuple[type[Exception], ...],
        what: str,
        function: Callable[..., Any],
        *arguments: Any,
        mentions: tuple[object, ...] = (),
        **options: Any,
    ) -> None:
        """The call raises this kind of error, and the message mentions what it must."""
        self.cases += 1
        kinds = kind if isinstance(kind, tuple) else (kind,)
        due = " or ".join(one.__name__ for one in kinds)
        try:
            function(*arguments, **options)
        except kinds as error:
            for mention in mentions:
                if str(mention) not in str(error):
                    message = f"{what}: the error does not name {mention}: {error}"
                    raise ViolationError(message) from None
        except Exception as error:
            message = f"{what}: {type(error).__name__} ({error}) in the place of {due}"
            raise ViolationError(message) from error
        else:
            raise ViolationError(f"{what} was accepted; {due} was due")

    def same(self, given: dict[str, Array], expected: dict[str, Array], what: str) -> None:
        """Two sets of results are close, array by array."""
        for name, value in expected.items():
            self.close(given[name], value, f"{what}: {name}")

    def close(self, given: Any, expected: Array, what: str) -> None:
        """Shape and dtype agree, and the values within 4u of the largest; NaN agrees with NaN.

        In float64, where no kernel is asked to compute wider, within 64u: strides decide the order
        of NumPy's sums.
        """
        self.like(given, expected.shape, expected.dtype, what)
        if not expected.size:
            return
        one, other = np.asarray(given, np.float64), np.asarray(expected, np.float64)
        usual = np.isfinite(other)
        if (np.isfinite(one) != usual).any():
            raise ViolationError(f"{what}: NaN or infinity in other places than expected")
        scale = float(abs(other[usual]).max(initial=0.0))
        error = float(abs(one - other)[usual].max(initial=0.0))
        unit = 2.0 ** -PRECISIONS[expected.dtype.name].bits
        if error:
            error = error / (scale * unit) if scale else math.inf
        self.measured(error, 64.0 if expected.dtype == np.float64 else 4.0, "u", what)

    def exact(self, call: Call, given: dict[str, Array], what: str, dtype: str = "") -> None:
        """The results have x's dtype and are as accurate as the contract asks."""
        dtype = dtype or call.x.dtype.name
        reference = _reference(call)
        vector = (call.x.shape[call.axis],)
        for name, array in given.items():
            full = name.split()[0] not in ("dgamma", "dbeta")
            self.like(array, call.x.shape if full else vector, np.dtype(dtype), f"{what}: {name}")
            lined_up = np.moveaxis(array, call.axis, 1) if full else array
            _, worst = reference.compare(name, lined_up, self.rng)
            self.measured(worst, reference.limit(dtype), PRECISIONS[dtype].unit, f"{what}: {name}")

    def like(self, given: Any, shape: tuple[int, ...], dtype: Any, what: str) -> None:
        """An array of this shape and, in whatever byte order, dtype."""
        self.cases += 1
        if not isinstance(given, np.ndarray):
            raise ViolationError(f"{what} is a {type(given).__name__}, not an array")
        if given.shape != shape:
            raise ViolationError(f"{what} has shape {given.shape}, not {shape}")
        if given.dtype.newbyteorder("=") != np.dtype(dtype).newbyteorder("="):
            raise ViolationError(f"{what} has dtype {given.dtype}, not {np.dtype(dtype)}")

    def measured(self, error: float, limit: float, unit: str, what: str) -> None:
        """Record an error; fail the clause if it is over the limit."""
        if self.worst is None or self.limit is None or error / limit > self.worst / self.limit:
            self.worst, self.limit, self.unit = error, limit, unit
        if not error <= limit:
            raise ViolationError(f"{what} is off by {error:.3g} {unit}; {limit:.3g} is the limit")


def _reference(call: Call) -> Reference:
    """The exact results; None in the arguments stands for what the contract says it means."""
    moved = [np.moveaxis(array, call.axis, 1) for array in (call.x, call.dy, call.x_dot)]
    x, dy, x_dot = moved
    channels = x.shape[1:2]

    def given(vector: Array | None, default: float) -> Array:
        return np.full(channels, default) if vector is None else vector

    batch = Batch(x, given(call.gamma, 1.0), given(call.beta, 0.0), dy)
    tangents = Tangents(x_dot, given(call.gamma_dot, 0.0), given(call.beta_dot, 0.0))
    return Reference.of(batch, tangents, float(call.eps))

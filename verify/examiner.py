"""What every clause of the kernel contract is checked with: data, calls, comparisons, verdicts."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Self

import numpy as np

from verify.accuracy import INFERRED, PRECISIONS, Kernel, Reference, offered
from verify.accuracy_cases import Array, Batch, Statistics, Tangents


class ViolationError(Exception):
    """The kernel does not keep the clause; the message says how."""


class NotApplicableError(Exception):
    """The clause cannot be checked here; the message says why."""


class AbsentError(Exception):
    """The clause is about a function that the module does not offer; its name."""


@dataclass(frozen=True)
class Call:
    """One complete set of arguments: a batch with its channels on ``axis``, its tangents, and the
    statistics for test mode."""

    x: Array
    gamma: Array | None
    beta: Array | None
    dy: Array
    x_dot: Array
    gamma_dot: Array | None
    beta_dot: Array | None
    mean: Array
    var: Array
    eps: Any = 1e-5
    axis: int = 1

    def but(self, **changes: Any) -> Self:
        """The same arguments with some of them changed."""
        return replace(self, **changes)

    @property
    def options(self) -> dict[str, Any]:
        """eps and axis; the axis is left to its default where that is what is meant, so that a
        kernel that knows no other is still examined in all else."""
        return {"eps": self.eps} | ({} if self.axis == 1 else {"axis": self.axis})

    def on_axis(self, axis: int) -> Self:
        """The same batch with its channels moved from axis 1 to another."""
        moved = {name: np.moveaxis(getattr(self, name), 1, axis) for name in ("x", "dy", "x_dot")}
        copies = {name: np.ascontiguousarray(array) for name, array in moved.items()}
        return self.but(axis=axis, **copies)


@dataclass
class Examiner:
    """Holds one kernel to one clause: counts what was checked, keeps the worst error found.

    ``learnt`` are the layer's parameters.  ``calling`` says what forward was last called with, for
    the message when a kernel raises.
    """

    kernel: Kernel
    rng: np.random.Generator
    cases: int = 0
    worst: float | None = None
    limit: float | None = None
    unit: str = ""
    calling: str = ""
    learnt: tuple[str, ...] = ("gamma", "beta")

    # --- the layer --------------------------------------------------------------------------------

    @property
    def gradients(self) -> tuple[str, ...]:
        """What backward returns."""
        return ("dx", *(f"d{name}" for name in self.learnt))

    @property
    def takes(self) -> dict[str, tuple[str, ...]]:
        """The arrays that each function takes."""
        return {
            "forward": ("x", *self.learnt),
            "backward": ("dy",),
            "backward_staged": ("dy",),
            "jvp": ("x_dot", *(f"{name}_dot" for name in self.learnt)),
            "infer": ("x", *self.learnt, "mean", "var"),
            "infer_backward": ("dy", "x", "gamma", "mean", "var"),
        }

    def vector(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """The shape of a parameter for x of this shape."""
        return shape[1:2]

    def groups(self, call: Call) -> int:
        """How many channels there are."""
        return int(call.x.shape[call.axis])

    # --- data -------------------------------------------------------------------------------------

    def call(self, *shape: int, dtype: Any = np.float32, parameters: Any = None) -> Call:
        """Random arguments for x of this shape, channels on axis 1; γ and β in ``parameters``."""

        def draw(size: tuple[int, ...], kind: Any) -> Array:
            return self.rng.normal(0.5, 1.0, size).astype(kind)

        vectors = [draw(self.vector(shape), parameters or dtype) for _ in range(5)]
        x, dy, x_dot = (draw(shape, dtype) for _ in range(3))
        var = self.rng.uniform(0.5, 2.0, self.vector(shape)).astype(parameters or dtype)
        gamma, beta, gamma_dot, beta_dot, mean = vectors
        return Call(x, gamma, beta, dy, x_dot, gamma_dot, beta_dot, mean, var)

    # --- calls ------------------------------------------------------------------------------------

    def offers(self, name: str) -> bool:
        """Whether the module has the function."""
        return offered(self.kernel, name) is not None

    def function(self, name: str) -> Callable[..., Any]:
        """A function of the module.  Raises AbsentError, which no clause has to handle."""
        function = offered(self.kernel, name)
        if function is None:
            raise AbsentError(name)
        return function

    def forward(self, call: Call, **options: Any) -> Any:
        """(y, cache)."""
        x = call.x
        self.calling = f"x {x.dtype} {x.shape}, axis {call.axis}, eps {call.eps!r}"
        parameters = (getattr(call, name) for name in self.learnt)
        return self.kernel.forward(x, *parameters, **call.options, **options)

    def forward_alone(self, call: Call) -> Any:
        """(y, cache) of x with nothing else said."""
        return self.kernel.forward(call.x)

    def jvp(self, call: Call, cache: Any) -> Any:
        """y_dot."""
        dots = (getattr(call, f"{name}_dot") for name in self.learnt)
        return self.function("jvp")(call.x_dot, *dots, cache)

    def infer(self, call: Call, **options: Any) -> Any:
        """y in test mode."""
        infer = self.function("infer")
        arguments = call.x, call.gamma, call.beta, call.mean, call.var
        return infer(*arguments, **call.options, **options)

    def infer_backward(self, call: Call) -> Any:
        """(dx, dgamma, dbeta) in test mode."""
        arguments = call.dy, call.x, call.gamma, call.mean, call.var
        return self.function("infer_backward")(*arguments, **call.options)

    def derivatives(self, call: Call, cache: Any) -> dict[str, Array]:
        """Every derivative that the kernel offers from a cache, by name."""
        found = dict(zip(self.gradients, self.kernel.backward(call.dy, cache), strict=True))
        if staged := offered(self.kernel, "backward_staged"):
            names = (f"{name} staged" for name in self.gradients)
            found.update(zip(names, staged(call.dy, cache), strict=True))
        if self.offers("jvp"):
            found["y_dot"] = self.jvp(call, cache)
        return found

    def training(self, call: Call) -> dict[str, Array]:
        """Every result of training mode, by name."""
        y, cache = self.forward(call)
        return {"y": y, **self.derivatives(call, cache)}

    def inference(self, call: Call) -> dict[str, Array]:
        """Every result of test mode, by name; empty where the module has no test mode."""
        found = {"y infer": self.infer(call)} if self.offers("infer") else {}
        if self.offers("infer_backward"):
            found.update(zip(INFERRED, self.infer_backward(call), strict=True))
        return found

    def everything(self, call: Call) -> dict[str, Array]:
        """Every result that has x's dtype and an exact reference, by name."""
        return self.training(call) | self.inference(call)

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

    def exact(self, call: Call, given: dict[str, Array], what: str) -> None:
        """The results have x's dtype and are as accurate as the contract asks."""
        vector = (call.x.shape[call.axis],)
        due = {
            name: vector if name.split()[0] in ("dgamma", "dbeta") else call.x.shape
            for name in given
        }
        self.agree(_reference(call), given, due, call.x.dtype, what, call.axis)

    def agree(
        self,
        reference: Reference,
        given: dict[str, Array],
        shapes: dict[str, tuple[int, ...]],
        dtype: Any,
        what: str,
        axis: int = 1,
    ) -> None:
        """The results have these shapes and this dtype, and the reference's values; channels are on
        ``axis`` where there is more than one."""
        name_of_dtype = np.dtype(dtype).name
        limit, unit = reference.limit(name_of_dtype), PRECISIONS[name_of_dtype].unit
        for name, array in given.items():
            self.like(array, shapes[name], dtype, f"{what}: {name}")
            lined_up = np.moveaxis(array, axis, 1) if array.ndim > 1 else array
            _, worst = reference.compare(name, lined_up, self.rng)
            self.measured(worst, limit, unit, f"{what}: {name}")

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
    x, dy, x_dot = (np.moveaxis(array, call.axis, 1) for array in (call.x, call.dy, call.x_dot))
    channels = x.shape[1:2]
    batch = Batch(x, or_full(call.gamma, channels, 1.0), or_full(call.beta, channels, 0.0), dy)
    still = (or_full(dot, channels, 0.0) for dot in (call.gamma_dot, call.beta_dot))
    statistics = Statistics(call.mean, call.var)
    return Reference.of(batch, Tangents(x_dot, *still), statistics, float(call.eps))


def or_full(vector: Array | None, shape: tuple[int, ...], default: float) -> Array:
    """The vector, or what None in its place means."""
    return np.full(shape, default) if vector is None else vector

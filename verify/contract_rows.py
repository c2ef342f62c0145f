"""The kernel contract for layers that reduce the features of each row: layer_norm and rms_norm.

Most clauses are those of Batch Norm, put by a :class:`RowExaminer`, which knows that ``axes``
stands in the place of ``axis``, which parameters there are and what shape they have.  The clauses
below speak of rows where Batch Norm's speak of channels.
"""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from verify import contract_arrays, contract_calls, contract_edges
from verify.accuracy import PRECISIONS
from verify.accuracy_cases import Array
from verify.accuracy_rows import RowBatch, RowReference
from verify.contract_arrays import in_every_layout
from verify.examiner import Call, Examiner, or_full
from verify.row_shapes import RowShape, feature_rows

REQUIRED = ("forward", "backward")
OPTIONAL = ("backward_staged", "jvp", "jacobian", "double_backward")


@dataclass(frozen=True)
class RowCall(Call):
    """The arguments for x whose last axes are the features of a row."""

    axes: tuple[int, ...] = (-1,)

    @property
    def options(self) -> dict[str, Any]:
        return {"eps": self.eps} | ({} if self.axes == (-1,) else {"axes": self.axes})

    @property
    def shape(self) -> RowShape:
        """How x, as :meth:`lined_up` has it, is read as rows."""
        return feature_rows(self.x.shape, len(self.axes))

    def lined_up(self, array: Array) -> Array:
        """An array of x's shape in which the elements of a row lie side by side."""
        return array

    @property
    def features(self) -> tuple[int, ...]:
        return self.shape.vector

    @property
    def rows(self) -> int:
        return self.shape.rows


@dataclass
class RowExaminer(Examiner):
    """An examiner of such a layer; ``centres`` where it subtracts the mean."""

    centres: bool = True
    axes: tuple[int, ...] = (-1,)

    def vector(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[len(shape) - len(self.axes) :]

    def groups(self, call: Call) -> int:
        assert isinstance(call, RowCall)
        return call.rows

    def call(self, *shape: int, dtype: Any = np.float32, parameters: Any = None) -> RowCall:
        """Random arguments for x of this shape; features on the last axis."""
        given = super().call(*shape, dtype=dtype, parameters=parameters)
        return RowCall(**vars(given), axes=self.axes)

    def over(self, axes: tuple[int, ...], *shape: int, dtype: Any = np.float32) -> RowCall:
        """The same with features on some of the last axes."""
        before, self.axes = self.axes, axes
        try:
            return self.call(*shape, dtype=dtype)
        finally:
            self.axes = before

    def forward_signature(self) -> str:
        given = ", ".join(f"{name}=None" for name in self.learnt)
        return f"(x, {given}, *, eps=1e-05, axes=(-1,), out=None)"

    def exact(self, call: Call, given: dict[str, Array], what: str) -> None:
        assert isinstance(call, RowCall)
        dtype, features = call.x.dtype, call.features
        reference = _reference(call, centres=self.centres)
        for name, array in given.items():
            vector = name.split()[0] in ("dgamma", "dbeta")
            self.like(array, features if vector else call.x.shape, dtype, f"{what}: {name}")
            lined_up = array if vector else call.lined_up(array)
            self.near(reference, name, lined_up, f"{what}: {name}")

    def near(self, reference: RowReference, name: str, array: Array, what: str) -> None:
        """One result is as accurate as the contract asks."""
        dtype = array.dtype.name
        _, worst = reference.compare(name, array, self.rng)
        self.measured(worst, reference.limit(dtype), PRECISIONS[dtype].unit, what)

    # --- data for double_backward -----------------------------------------------------------------

    def varied(self, dtype: Any) -> Iterator[RowCall]:
        """Calls of several shapes."""
        for axes, shape in (
            ((-1,), (7, 3)),
            ((-2, -1), (4, 3, 5)),
            ((-1,), (2, 3, 4)),
            ((0,), (5,)),
        ):
            yield self.over(axes, *shape, dtype=dtype)

    def wide(self) -> RowCall:
        """A call with rows of many elements."""
        return self.call(3, 64)

    def single(self) -> Iterator[RowCall]:
        """Calls with one element in a row."""
        yield self.call(5, 1)
        yield self.call(2, 3, 1)


def _reference(call: RowCall, *, centres: bool) -> RowReference:
    """The exact results; None in the arguments stands for what the contract says it means."""
    shape = call.features
    gamma, beta = or_full(call.gamma, shape, 1.0), or_full(call.beta, shape, 0.0)
    still = [or_full(dot, shape, 0.0) for dot in (call.gamma_dot, call.beta_dot)]
    if not centres:
        beta, still[1] = np.zeros(shape), np.zeros(shape)
    x, dy, x_dot = (call.lined_up(array) for array in (call.x, call.dy, call.x_dot))
    batch = RowBatch(call.shape, x, gamma, beta, dy, x_dot, *still)
    return RowReference.of(batch, float(call.eps), centres=centres)


# --- Clauses: calls -------------------------------------------------------------------------------


def signatures(examiner: RowExaminer) -> None:
    """the functions take the contract's arguments, in its order and with its defaults"""
    dots = ", ".join(f"{name}_dot" for name in examiner.learnt)
    cotangents = ", ".join(f"v_d{name}" for name in ("x", *examiner.learnt))
    due = {
        "forward": examiner.forward_signature(),
        "backward": "(dy, cache, *, out=None)",
        "backward_staged": "(dy, cache)",
        "jvp": f"(x_dot, {dots}, cache)",
        "jacobian": "(cache, row=0)",
        "double_backward": f"({cotangents}, dy, cache)",
    }
    for name in REQUIRED:
        examiner.hold(examiner.offers(name), f"there is no function {name}")
    for name in (name for name in due if examiner.offers(name)):
        found = inspect.signature(examiner.function(name))
        bare = [p.replace(annotation=inspect.Parameter.empty) for p in found.parameters.values()]
        shown = str(found.replace(parameters=bare, return_annotation=inspect.Signature.empty))
        examiner.hold(shown == due[name], f"{name}{shown} should be {name}{due[name]}")


SHAPES: tuple[tuple[tuple[int, ...], tuple[int, ...]], ...] = (
    ((7, 3), (-1,)),
    ((4, 3, 5), (-1,)),
    ((4, 3, 5), (-2, -1)),
    ((4, 3, 5), (2, 1)),
    ((4, 3, 5), (0, 1, 2)),
    ((6,), (0,)),
    ((2, 3, 4, 5), (-1, -2)),
    ((2, 2, 3, 2, 3), (3, 4, 2)),
    ((2, 2, 40_000), (-1,)),
    ((300, 2, 150), (2,)),
)


def values(examiner: RowExaminer) -> None:
    """any set of trailing axes is reduced, in any order; the leading ones may be none or many"""
    for shape, axes in SHAPES:
        call = examiner.over(axes, *shape)
        examiner.exact(call, examiner.everything(call), f"x {shape}, axes {axes}")
        if axes == (-1,):
            y, _ = examiner.forward(call, axes=axes)
            examiner.exact(call, {"y": y}, f"x {shape}, axes={axes}")


def axes_unfit(examiner: RowExaminer) -> None:
    """axes that are not the last ones of x, each once, are a ValueError; no integers a TypeError"""
    x = np.ones((2, 3, 4), np.float32)
    forward = examiner.kernel.forward
    for axes in ((0,), (1,), (0, 2), (0, 1), (), (-1, 2), (-1, -1), (3,), (-4,), (2, 1, 0, -1)):
        examiner.refuses(ValueError, f"axes {axes}", forward, x, axes=axes, mentions=((2, 3, 4),))
    for other in (-1, 1.5, None, ("last",), (1.0,)):
        examiner.refuses(TypeError, f"axes {other!r}", forward, x, axes=other)
    examiner.refuses(ValueError, "x without axes", forward, np.float32(3), mentions=((),))


def parameters_over_several_axes(examiner: RowExaminer) -> None:
    """gamma and beta have exactly the shape of the axes, also where there are several"""
    good = examiner.over((-2, -1), 5, 2, 3)
    for name in examiner.learnt:
        for shape in ((6,), (3,), (2, 1), (1, 3), (3, 2), (5, 2, 3), (1, 2, 3), ()):
            bad = good.but(**{name: np.ones(shape, np.float32)})
            what = f"{name} of shape {shape}"
            examiner.refuses(ValueError, what, examiner.forward, bad, mentions=(shape, (2, 3)))


def jacobian_form(examiner: RowExaminer) -> None:
    """jacobian(cache, row) is the (m, m) matrix uR in x's dtype, with dx = dy @ uR"""
    for shape, axes in (((4, 3), (-1,)), ((2, 3, 2, 2), (-1, -2)), ((5,), (-1,)), ((3, 1), (-1,))):
        call = examiner.over(axes, *shape)
        hold_jacobians(examiner, call, np.arange(call.x.size).reshape(shape))


def hold_jacobians(examiner: RowExaminer, call: RowCall, places: Array) -> None:
    """The clause for one call; ``places`` counts the elements of x row after row."""
    jacobian = examiner.function("jacobian")
    _, cache = examiner.forward(call)
    rows, m = call.rows, call.shape.m
    matrices = [jacobian(cache, row=row) for row in range(rows)]
    first = np.array_equal(jacobian(cache), matrices[0])
    examiner.hold(first, "jacobian(cache) is not of row 0")
    for row in (rows, -rows - 1):
        examiner.refuses(ValueError, f"row {row}", jacobian, cache, row=row, mentions=(row,))
    for matrix in matrices:
        examiner.like(matrix, (m, m), call.x.dtype, f"jacobian of x {call.x.shape}")
    wide = [matrix.astype(np.float64) for matrix in matrices]
    flat = np.empty(call.x.size)
    flat[places] = call.dy
    # With a 1 at element k of every row dx is a row of each Jacobian.
    for dy in (flat.reshape(rows, m), *(np.tile(np.eye(m)[k], (rows, 1)) for k in range(m))):
        dx = np.stack([v @ matrix for v, matrix in zip(dy, wide, strict=True)])
        laid = call.but(dy=dy.reshape(-1)[places].astype(call.dy.dtype))
        found = {"dx": dx.reshape(-1)[places].astype(np.float32)}
        examiner.exact(laid, found, f"dy @ jacobian, x {call.x.shape}")


# --- Clauses: arrays ------------------------------------------------------------------------------


def layouts(examiner: RowExaminer) -> None:
    """any strides and byte order give what the plain array gives"""
    for shape, axes in (((6, 3), (-1,)), ((4, 3, 5), (-1,)), ((2, 3, 4, 2), (-2, -1))):
        in_every_layout(examiner, examiner.over(axes, *shape))


# --- Clauses: edges -------------------------------------------------------------------------------


def empty(examiner: RowExaminer) -> None:
    """no rows or m = 0: empty y, dx and y_dot, zero parameter gradients"""
    for shape, axes in (
        ((0, 3), (-1,)),
        ((4, 0), (-1,)),
        ((0, 0), (-1,)),
        ((2, 0, 3), (-1,)),
        ((0, 3, 2), (-2, -1)),
        ((4, 3, 0), (-2, -1)),
        ((0,), (-1,)),
    ):
        for dtype in (np.float16, np.float32, np.float64):
            call = examiner.over(axes, *shape, dtype=dtype)
            for name, array in examiner.everything(call).items():
                vector = name.split()[0] in ("dgamma", "dbeta")
                due = call.features if vector else shape
                examiner.like(array, due, dtype, f"{name} of x {shape}")
                if vector:
                    examiner.hold(not array.any(), f"{name} of x {shape} is not zero")
            out = np.empty(shape, dtype)
            y, cache = examiner.forward(call, out=out)
            examiner.hold(y is out, f"forward does not return out for x {shape}")
            if call.rows and examiner.offers("jacobian"):
                examiner.like(examiner.function("jacobian")(cache), (0, 0), dtype, "jacobian")


def one_element(examiner: RowExaminer) -> None:
    """m = 1: layer_norm gives y = beta, dx = 0 exactly, rms_norm y = gamma x/sqrt(x² + eps)"""
    for shape in ((5, 1), (5, 1, 1)):
        for dtype in (np.float16, np.float32, np.float64):
            call = examiner.over((-1,), *shape, dtype=dtype)
            x = np.array([0.1, 3e4, 0.0, -7.0, 1e-7]).astype(dtype).reshape(shape)
            if not examiner.centres:
                # dx = gamma dy eps/q^(3/2) cancels to nothing for large x, in any arithmetic.
                x = np.array([0.1, 0.25, 0.0, -0.5, 1e-3]).astype(dtype).reshape(shape)
            call = call.but(x=x)
            given = examiner.training(call)
            examiner.exact(call, given, f"x {shape}")
            zero = ("dx", "dx staged", "dgamma", "dgamma staged") if examiner.centres else ()
            for name in (name for name in zero if name in given):
                examiner.hold(not given[name].any(), f"{name} of x {shape} is not zero")
            if examiner.centres and examiner.offers("jacobian"):
                _, cache = examiner.forward(call)
                matrix = examiner.function("jacobian")(cache)
                examiner.hold(not matrix.any(), "the jacobian is not [[0]]")


def rows_alone(examiner: RowExaminer) -> None:
    """a row gives what it gives alone, whatever the others are: NaN, infinite, huge, q <= 0"""
    for dtype in (np.float32, np.float64):
        call = examiner.over((-1,), 6, 5, dtype=dtype).but(eps=-0.05)
        x = call.x * 8
        for bad in (np.nan, np.inf, -np.inf, np.finfo(dtype).max / 2):
            _alone(examiner, call.but(x=x), "x", bad)
            _alone(examiner, call.but(x=x), "dy", bad)
            _alone(examiner, call.but(x=x), "x_dot", bad)
        flat = x.copy()
        flat[2] = 0.0
        given = _alone(examiner, call.but(x=flat), "x", 0.0)
        examiner.hold(np.isnan(given["y"][2]).all(), "a root of what is negative is hidden in y")


REACHED = {
    "x": ("y", "dx", "y_dot", "dx staged"),
    "dy": ("dx", "dx staged"),
    "x_dot": ("y_dot",),
}


def _alone(examiner: RowExaminer, call: RowCall, argument: str, bad: Any) -> dict[str, Array]:
    """With ``bad`` in row 2, the other rows are as they are without that row."""
    array = getattr(call, argument).copy()
    array[2, 1] = bad
    call = call.but(**{argument: array})
    full = ("x", "dy", "x_dot")
    rest = call.but(**{name: np.delete(getattr(call, name), 2, 0) for name in full})
    given, expected = examiner.training(call), examiner.training(rest)
    for name in ("y", "dx", "dx staged", "y_dot"):
        if name in given:
            what = f"{bad} in {argument}: {name} of the other rows"
            examiner.close(np.delete(given[name], 2, 0), expected[name], what)
            if name in REACHED[argument] and np.isnan(bad):
                examiner.hold(np.isnan(given[name][2]).all(), f"{bad} in {argument}: hid in {name}")
    return given


def nan_in_parameter_gradients(examiner: RowExaminer) -> None:
    """NaN in x makes all of dgamma NaN, in dy dgamma and dbeta at its own feature, and no more"""
    call = examiner.call(6, 5)
    for argument, name, reached in (
        ("x", "dgamma", [True] * 5),
        ("x", "dbeta", [False] * 5),
        ("dy", "dgamma", [False, True, False, False, False]),
        ("dy", "dbeta", [False, True, False, False, False]),
    ):
        array = getattr(call, argument).copy()
        array[2, 1] = np.nan
        given = examiner.training(call.but(**{argument: array}))
        for found in (given[n] for n in (name, f"{name} staged") if n in given):
            right = np.isnan(found).tolist() == reached
            examiner.hold(right, f"NaN in {argument}: {name} is {found}")


OWN = (
    signatures,
    values,
    axes_unfit,
    parameters_over_several_axes,
    jacobian_form,
    layouts,
    empty,
    one_element,
    rows_alone,
    nan_in_parameter_gradients,
)
SHARED = (
    contract_calls.result_tuples,
    contract_calls.staged_form,
    contract_calls.absent_parameters,
    contract_calls.absent_tangents,
    contract_calls.cache_outlives_y,
    contract_calls.backward_repeats,
    contract_calls.cache_holds_no_copy,
    contract_arrays.dtypes,
    contract_arrays.bfloat16,
    contract_arrays.wider_parameters,
    contract_arrays.other_dtypes,
    contract_arrays.parameter_shapes,
    contract_arrays.gradient_shapes,
    contract_arrays.tangent_shapes,
    contract_arrays.zero_strides,
    contract_arrays.inputs_untouched,
    contract_edges.out_is_returned,
    contract_edges.out_replaces_input,
    contract_edges.out_overlaps,
    contract_edges.out_unfit,
    contract_edges.eps_as_given,
    contract_edges.eps_not_real,
    contract_edges.no_warning,
)

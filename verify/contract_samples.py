"""The kernel contract for layers that reduce within a sample: instance_norm and group_norm.

Most clauses are those of Batch Norm and Layer Norm, put by a :class:`SampleExaminer`, which knows
that a row is a channel of a sample, or a group of its channels, and that group_norm takes gamma,
beta and the number of groups by position.  Clauses whose data have two axes only are put once more
with positions behind them, as an Instance Norm has nothing to reduce without.  The clauses below
speak of samples where others speak of rows.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from verify import (
    contract_arrays,
    contract_calls,
    contract_edges,
    contract_rows,
    contract_second_order,
)
from verify.accuracy_cases import Array
from verify.contract_arrays import in_every_layout
from verify.contract_rows import RowCall, RowExaminer, hold_jacobians
from verify.examiner import Call
from verify.row_shapes import RowShape, channel_rows, group_rows


@dataclass(frozen=True)
class SampleCall(RowCall):
    """The arguments for x of samples; with ``groups`` 0 each channel is by itself."""

    groups: int = 0

    @property
    def options(self) -> dict[str, Any]:
        told = {"eps": self.eps} | ({"groups": self.groups} if self.groups else {})
        return told | ({} if self.axis == 1 else {"axis": self.axis})

    @property
    def shape(self) -> RowShape:
        x = self.lined_up(self.x).shape
        return group_rows(x, self.groups) if self.groups else channel_rows(x)

    def lined_up(self, array: Array) -> Array:
        return np.ascontiguousarray(np.moveaxis(array, self.axis, 1))


@dataclass
class SampleExaminer(RowExaminer):
    """An examiner of such a layer.  ``grouped`` for group_norm; ``positions`` stand behind the
    shapes that clauses ask for."""

    grouped: bool = False
    positions: tuple[int, ...] = ()

    @property
    def takes(self) -> dict[str, tuple[str, ...]]:
        told = ("groups",) if self.grouped else ()
        return {**super().takes, "forward": ("x", *self.learnt, *told)}

    def vector(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        return shape[1:2]

    def groups(self, call: Call) -> int:
        assert isinstance(call, SampleCall)
        return 0 if not call.x.shape[call.axis] else call.rows

    def call(self, *shape: int, dtype: Any = np.float32, parameters: Any = None) -> SampleCall:
        """Random arguments for x of this shape, channels on axis 1; two groups where possible."""
        given = super().call(*shape, *self.positions, dtype=dtype, parameters=parameters)
        known = {**vars(given), "axes": ()}
        return SampleCall(**known, groups=2 - shape[1] % 2 if self.grouped else 0)

    def varied(self, dtype: Any) -> Iterator[RowCall]:
        for shape in ((3, 4, 5), (2, 4, 3, 2), (2, 6, 3)):
            call = self.call(*shape, dtype=dtype)
            yield call
            yield call.on_axis(-1)

    def wide(self) -> RowCall:
        return self.call(2, 2, 32)

    def single(self) -> Iterator[RowCall]:
        for shape in ((2, 5), (2, 5, 1)):
            yield self.call(*shape).but(groups=5 if self.grouped else 0)

    def forward_alone(self, call: Call) -> Any:
        if self.grouped:
            return self.kernel.forward(call.x, None, None, call.options["groups"])
        return super().forward_alone(call)

    def forward_signature(self) -> str:
        if self.grouped:
            return "(x, gamma, beta, groups, *, eps=1e-05, axis=1, out=None)"
        return "(x, gamma=None, beta=None, *, eps=1e-05, axis=1, out=None)"


# --- Clauses --------------------------------------------------------------------------------------

SHAPES = ((4, 6), (3, 4, 5), (2, 6, 4, 3), (1, 4, 7), (2, 2, 3, 2, 2))
LARGE = ((2, 2, 40_000), (9, 60, 130))  # of several blocks


def values(examiner: SampleExaminer) -> None:
    """each channel of a sample, or group of channels, is reduced, for x of 2 to 5 dimensions"""
    for shape in SHAPES:
        call = examiner.call(*shape)
        every = {k for k in (1, 2, 3, shape[1]) if not shape[1] % k} if examiner.grouped else {0}
        for groups in sorted(every):
            for axis in {1, -1, len(shape) - 2 or 1}:
                moved = call.but(groups=groups).on_axis(axis)
                what = f"x {moved.x.shape}, axis {axis}, groups {groups}"
                examiner.exact(moved, examiner.everything(moved), what)
        y, _ = examiner.forward(call, axis=1)
        examiner.exact(call, {"y": y}, f"x {shape}, axis=1")
    for shape in LARGE:
        moved = examiner.call(*shape).on_axis(-1)
        examiner.exact(moved, examiner.everything(moved), f"x {moved.x.shape}, axis -1")


def too_few_axes(examiner: SampleExaminer) -> None:
    """x of fewer than two dimensions is a ValueError that names its shape"""
    for shape in ((), (1,), (5,)):
        for axis in (0, 1, -1):
            call = examiner.call(2, 4).but(x=np.ones(shape, np.float32), axis=axis)
            what = f"x of shape {shape}, axis {axis}"
            examiner.refuses(ValueError, what, examiner.forward, call, mentions=(shape,))


def axis_unfit(examiner: SampleExaminer) -> None:
    """an axis that x does not have, or that of the samples, is a ValueError that names it"""
    for shape, axes in (((4, 6), (2, 7, -3, 0, -2)), ((2, 4, 3, 5), (4, 9, -5, 0, -4))):
        call = examiner.call(*shape)
        for axis in axes:
            what = f"axis {axis} of x {shape}"
            wrong = call.but(axis=axis)
            examiner.refuses(ValueError, what, examiner.forward, wrong, mentions=(axis,))
    for other in (-1.0, None, "1", (1,)):
        wrong = examiner.call(4, 6).but(axis=other)
        examiner.refuses(TypeError, f"axis {other!r}", examiner.forward, wrong)


def groups_unfit(examiner: SampleExaminer) -> None:
    """groups that do not divide the channels are a ValueError, no integer a TypeError"""
    if not examiner.grouped:
        return
    forward, x = examiner.kernel.forward, np.ones((2, 6, 4), np.float32)
    for groups in (0, -1, 4, 5, 7, 12):
        what = f"groups {groups}"
        examiner.refuses(ValueError, what, forward, x, None, None, groups, mentions=(groups, 6))
    for other in (2.0, None, "2", (2,)):
        examiner.refuses(TypeError, f"groups {other!r}", forward, x, None, None, other)


def jacobian_form(examiner: SampleExaminer) -> None:
    """jacobian(cache, row) is the (m, m) matrix uR in x's dtype, with dx = dy @ uR"""
    for shape, axis in (((4, 4), 1), ((2, 4, 3), 1), ((2, 4, 3), -1), ((2, 2, 2, 2), -1)):
        call = examiner.call(*shape).on_axis(axis)
        hold_jacobians(examiner, call, _places(call))


def _places(call: SampleCall) -> Array:
    """The number of each element of x, row after row, in C order over the axes of x in each."""
    counted = np.arange(call.x.size)
    if call.axis == 1:
        return counted.reshape(call.x.shape)
    samples, *spatial, channels = call.x.shape
    groups = call.groups or channels
    by_row = counted.reshape(samples, groups, *spatial, channels // groups)
    return np.moveaxis(by_row, 1, -2).reshape(call.x.shape)


def layouts(examiner: SampleExaminer) -> None:
    """any strides and byte order give what the plain array gives"""
    for shape in ((6, 4), (3, 4, 5), (2, 4, 3, 2)):
        for call in (examiner.call(*shape), examiner.call(*shape).on_axis(-1)):
            in_every_layout(examiner, call)


def empty(examiner: SampleExaminer) -> None:
    """no samples, channels or positions: empty y, dx and y_dot, zero parameter gradients"""
    for shape in ((0, 4), (4, 0), (0, 0), (2, 4, 0), (0, 4, 2, 2), (2, 0, 3), (2, 4, 0, 3)):
        for dtype in (np.float16, np.float32, np.float64):
            call = examiner.call(*shape, dtype=dtype)
            for name, array in examiner.everything(call).items():
                vector = name.split()[0] in ("dgamma", "dbeta")
                due = shape[1:2] if vector else shape
                examiner.like(array, due, dtype, f"{name} of x {shape}")
                if vector:
                    examiner.hold(not array.any(), f"{name} of x {shape} is not zero")
            _, cache = examiner.forward(call, out=np.empty(shape, dtype))
            if examiner.groups(call) and examiner.offers("jacobian"):
                examiner.like(examiner.function("jacobian")(cache), (0, 0), dtype, "jacobian")


def one_element(examiner: SampleExaminer) -> None:
    """m = 1: y = beta, dx = dgamma = 0 and y_dot = beta_dot, exactly"""
    for shape in ((2, 5), (2, 5, 1, 1)):
        for dtype in (np.float16, np.float32, np.float64):
            call = examiner.call(*shape, dtype=dtype)
            call = call.but(groups=5 if examiner.grouped else 0)
            large = np.array([0.1, 3e4, 0.0, -7.0, 1e-7] * 2).astype(dtype).reshape(shape)
            given = examiner.training(call.but(x=large))
            expected: dict[str, Any] = {
                "y": call.beta,
                "dx": 0,
                "dgamma": 0,
                "y_dot": call.beta_dot,
            }
            for name, value in expected.items():
                for found in (given[n] for n in (name, f"{name} staged") if n in given):
                    flat = found.reshape(-1, 5)
                    right = np.array_equal(flat, np.broadcast_to(value, flat.shape))
                    examiner.hold(right, f"{name} of x {shape} is {found.ravel()}, not {value}")


def rows_alone(examiner: SampleExaminer) -> None:
    """a sample gives what it gives alone, and so do rows of one: NaN, infinite, huge, q <= 0"""
    for dtype in (np.float32, np.float64):
        call = examiner.call(5, 4, 6, dtype=dtype).but(eps=-0.05)
        call = call.but(x=call.x * 8)
        for argument in ("x", "dy", "x_dot"):
            for bad in (np.nan, np.inf, -np.inf, np.finfo(dtype).max / 2):
                _alone(examiner, call, argument, bad)
        flat = call.x.copy()
        flat[2] = 0.0
        y = examiner.training(call.but(x=flat))["y"]
        examiner.hold(np.isnan(y[2]).all(), "a root of what is negative is hidden in y")


def _alone(examiner: SampleExaminer, call: SampleCall, argument: str, bad: Any) -> None:
    """With ``bad`` at sample 2, channel 1, all other rows are as they were."""
    expected = examiner.training(call)
    array = getattr(call, argument).copy()
    array[2, 1, 3] = bad
    given = examiner.training(call.but(**{argument: array}))
    shape = call.shape
    row = shape.rows // call.x.shape[0] * 2 + (0 if examiner.grouped else 1)
    for name in ("y", "dx", "dx staged", "y_dot"):
        if name in given:
            found, due = (shape.table(side[name]) for side in (given, expected))
            what = f"{bad} in {argument}: {name} of the other rows"
            examiner.close(np.delete(found, row, 0), np.delete(due, row, 0), what)
            if name in contract_rows.REACHED[argument] and np.isnan(bad):
                examiner.hold(np.isnan(found[row]).all(), f"{bad} in {argument}: hid in {name}")


def nan_in_parameter_gradients(examiner: SampleExaminer) -> None:
    """NaN reaches dgamma at its channel (in x of a group, at all of its), and no other gradient"""
    call = examiner.call(3, 4, 5)
    own = [False, True, False, False]
    group = [True, True, False, False] if examiner.grouped else own
    none = [False] * 4
    for argument, name, reached in (
        ("x", "dgamma", group),
        ("x", "dbeta", none),
        ("dy", "dgamma", own),
        ("dy", "dbeta", own),
    ):
        array = getattr(call, argument).copy()
        array[2, 1, 3] = np.nan
        given = examiner.training(call.but(**{argument: array}))
        for found in (given[n] for n in (name, f"{name} staged") if n in given):
            right = np.isnan(found).tolist() == reached
            examiner.hold(right, f"NaN in {argument}: {name} is {found}")


OWN = (
    contract_rows.signatures,
    values,
    too_few_axes,
    axis_unfit,
    groups_unfit,
    jacobian_form,
    layouts,
    empty,
    one_element,
    rows_alone,
    nan_in_parameter_gradients,
)
# Those whose data have two axes, which hold as well for more.
WITH_POSITIONS = (
    contract_calls.absent_parameters,
    contract_calls.absent_tangents,
    contract_calls.staged_form,
    contract_arrays.other_dtypes,
    contract_arrays.parameter_shapes,
    contract_edges.eps_as_given,
    contract_second_order.double_backward_absent,
    contract_second_order.double_backward_layouts,
)

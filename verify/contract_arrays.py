"""The clauses of the kernel contract about dtypes, shapes and layouts: what x and the rest may be.

Each clause is a function whose docstring is the promise; it raises ViolationError where the kernel
breaks it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import fields
from typing import Any

import numpy as np

from verify.accuracy_cases import Array
from verify.examiner import Call, Examiner, NotApplicableError

FULL = ("x", "dy", "x_dot")
VECTORS = ("gamma", "beta", "gamma_dot", "beta_dot", "mean", "var")

OTHER_DTYPES = (
    np.int64,
    np.int32,
    np.uint8,
    np.bool_,
    np.complex64,
    np.complex128,
    np.object_,
)


def dtypes(examiner: Examiner) -> None:
    """float16, float32 and float64 are taken; results have x's dtype"""
    for dtype in (np.float16, np.float32, np.float64):
        call = examiner.call(12, 3, 2, dtype=dtype)
        examiner.exact(call, examiner.everything(call), str(np.dtype(dtype)))


def bfloat16(examiner: Examiner) -> None:
    """bfloat16 is taken where ml_dtypes is installed; results are bfloat16"""
    try:
        import ml_dtypes
    except ImportError as error:
        raise NotApplicableError("ml_dtypes is not installed") from error
    call = examiner.call(12, 3, 2, dtype=ml_dtypes.bfloat16)
    examiner.exact(call, examiner.everything(call), "bfloat16")


def wider_parameters(examiner: Examiner) -> None:
    """gamma and beta may be of a wider float than x; results have x's dtype"""
    for dtype, wide in (
        (np.float16, np.float32),
        (np.float16, np.float64),
        (np.float32, np.float64),
    ):
        call = examiner.call(12, 3, 2, dtype=dtype, parameters=wide)
        examiner.exact(call, examiner.everything(call), f"{np.dtype(dtype)}, {np.dtype(wide)}")


def other_dtypes(examiner: Examiner) -> None:
    """integer, bool, complex and object arrays are a TypeError that names the dtype"""
    good = examiner.call(6, 3)
    for dtype in OTHER_DTYPES:
        name = np.dtype(dtype).name
        for argument in (*FULL, *VECTORS):
            bad = good.but(**{argument: np.ones(getattr(good, argument).shape, dtype)})
            for function, *arguments in _calls_with(examiner, good, bad, argument):
                what = f"{argument} of dtype {name}"
                examiner.refuses(TypeError, what, function, *arguments, mentions=(name,))


def parameter_shapes(examiner: Examiner) -> None:
    """gamma, beta, mean and var are exactly (C,): other shapes are a ValueError that names both"""
    good = examiner.call(6, 3)
    for shape in ((1,), (), (4,), (2,), (3, 1), (1, 3), (6, 3)):
        for argument in ("gamma", "beta", "mean", "var"):
            bad = good.but(**{argument: np.ones(shape, np.float32)})
            for function, *arguments in _calls_with(examiner, good, bad, argument):
                what = f"{argument} of shape {shape}"
                examiner.refuses(ValueError, what, function, *arguments, mentions=(shape, (3,)))


def gradient_shapes(examiner: Examiner) -> None:
    """dy's shape equals x's: any other is a ValueError that names both"""
    good = examiner.call(4, 3)
    for shape in ((4, 1), (1, 3), (3,), (), (3, 4), (12,), (5, 3), (4, 3, 1), (1, 4, 3)):
        bad = good.but(dy=np.ones(shape, np.float32))
        for function, *arguments in _calls_with(examiner, good, bad, "dy"):
            what = f"dy of shape {shape}"
            examiner.refuses(ValueError, what, function, *arguments, mentions=(shape, (4, 3)))


def tangent_shapes(examiner: Examiner) -> None:
    """x_dot has x's shape, gamma_dot and beta_dot are (C,): anything else is a ValueError"""
    examiner.function("jvp")
    good = examiner.call(4, 3)
    vectors = ((1,), (4,), (4, 3))
    wrong = {"x_dot": ((4, 1), (3,), (3, 4), (5, 3)), "gamma_dot": vectors, "beta_dot": vectors}
    for argument, shapes in wrong.items():
        for shape in shapes:
            bad = good.but(**{argument: np.ones(shape, np.float32)})
            for function, *arguments in _calls_with(examiner, good, bad, argument):
                examiner.refuses(ValueError, f"{argument} of shape {shape}", function, *arguments)


def too_few_axes(examiner: Examiner) -> None:
    """x of fewer than two dimensions is a ValueError that names its shape"""
    for shape in ((), (1,), (5,)):
        for axis in (0, 1, -1):
            for function, *arguments in _on_any_x(examiner, np.ones(shape, np.float32)):
                what = f"x of shape {shape}, axis {axis}"
                examiner.refuses(
                    ValueError, what, function, *arguments, axis=axis, mentions=(shape,)
                )


def axis_out_of_range(examiner: Examiner) -> None:
    """an axis that x does not have is an error that names the axis"""
    # NumPy's own AxisError is a ValueError and an IndexError; either will do.
    kinds = (ValueError, IndexError)
    for shape, axes in (((4, 3), (2, 7, -3)), ((2, 3, 4, 5), (4, 9, -5))):
        for axis in axes:
            for function, *arguments in _on_any_x(examiner, np.ones(shape, np.float32)):
                what = f"axis {axis} of x {shape}"
                examiner.refuses(kinds, what, function, *arguments, axis=axis, mentions=(axis,))


def layouts(examiner: Examiner) -> None:
    """any strides and byte order give what the plain array gives"""
    for shape in ((6, 3), (4, 3, 5), (2, 3, 4, 2)):
        for call in (examiner.call(*shape), examiner.call(*shape).on_axis(-1)):
            in_every_layout(examiner, call)


def zero_strides(examiner: Examiner) -> None:
    """broadcast arrays, whose strides are zero, give what a plain copy of them gives"""
    call = examiner.call(6, 3, 4)
    for argument in FULL:
        for part in (np.s_[:1], np.s_[:, :1], np.s_[:, :, :1], np.s_[:1, :1, :1]):
            array = np.broadcast_to(getattr(call, argument)[part], (6, 3, 4))
            plain = examiner.everything(call.but(**{argument: array.copy()}))
            given = examiner.everything(call.but(**{argument: array}))
            examiner.same(given, plain, f"{argument} with strides {array.strides}")


def inputs_untouched(examiner: Examiner) -> None:
    """no input is ever written to, and read-only inputs are taken"""
    for dtype in (np.float16, np.float32, np.float64):
        call = examiner.call(6, 3, 4, dtype=dtype)
        before = {argument: getattr(call, argument).tobytes() for argument in (*FULL, *VECTORS)}
        expected = examiner.everything(call)
        for argument, bytes_before in before.items():
            same = getattr(call, argument).tobytes() == bytes_before
            examiner.hold(same, f"{argument} was written to ({np.dtype(dtype)})")
        for argument in before:
            getattr(call, argument).flags.writeable = False
        examiner.same(examiner.everything(call), expected, "read-only inputs")


def in_every_layout(examiner: Examiner, call: Call) -> None:
    """The results for one call, whatever the strides and byte order of its arrays."""
    expected = examiner.everything(call)
    for what, lay in LAYOUTS.items():
        laid = _laid_out(call, lay)
        examiner.same(examiner.everything(laid), expected, f"{what}, x {call.x.shape}")


# --- Helpers --------------------------------------------------------------------------------------


def _calls_with(
    examiner: Examiner, good: Call, bad: Call, argument: str
) -> Iterator[tuple[Any, ...]]:
    """The calls that take one argument of ``bad``, each a function and what to call it with."""
    _, cache = examiner.forward(good)
    for name, arguments in examiner.takes.items():
        if argument not in arguments or not examiner.offers(name):
            continue
        cached = () if "x" in arguments else (cache,)
        yield (examiner.function(name), *(getattr(bad, a) for a in arguments), *cached)


def _on_any_x(examiner: Examiner, x: Array) -> Iterator[tuple[Any, ...]]:
    """The functions that take x and an axis, with an x of whatever shape."""
    yield examiner.kernel.forward, x
    ones = np.ones(x.shape[1:2], np.float32)
    if examiner.offers("infer"):
        yield examiner.function("infer"), x, None, None, ones, ones
    if examiner.offers("infer_backward"):
        yield examiner.function("infer_backward"), x, x, None, ones, ones


def _laid_out(call: Call, lay: Callable[[Array], Array]) -> Call:
    arrays = {field.name: getattr(call, field.name) for field in fields(call)}
    laid = {name: lay(array) for name, array in arrays.items() if name in (*FULL, *VECTORS)}
    return call.but(**laid)


def _sliced(array: Array) -> Array:
    """Every other element of a larger array, along each axis."""
    wide = np.full([2 * size + 1 for size in array.shape], np.nan, array.dtype)
    view = wide[tuple(slice(1, None, 2) for _ in array.shape)]
    view[...] = array
    return view


def _reversed(array: Array) -> Array:
    """Negative strides along each axis."""
    turn = tuple(slice(None, None, -1) for _ in array.shape)
    return np.ascontiguousarray(array[turn])[turn]


def _unaligned(array: Array) -> Array:
    """One field of packed records: strides that are no multiple of the item size."""
    records = np.zeros(array.shape, np.dtype([("pad", "u1"), ("value", array.dtype)]))
    records["value"] = array
    return records["value"]


def _swapped(array: Array) -> Array:
    return array.astype(array.dtype.newbyteorder("S"))


LAYOUTS: dict[str, Callable[[Array], Array]] = {
    "Fortran order": np.asfortranarray,
    "transposed": lambda array: np.ascontiguousarray(array.T).T,
    "slices": _sliced,
    "negative strides": _reversed,
    "byte-swapped": _swapped,
    "unaligned": _unaligned,
}

ARRAY_CLAUSES = (
    dtypes,
    bfloat16,
    wider_parameters,
    other_dtypes,
    parameter_shapes,
    gradient_shapes,
    tangent_shapes,
    too_few_axes,
    axis_out_of_range,
    layouts,
    zero_strides,
    inputs_untouched,
)

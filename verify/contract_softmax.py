"""The kernel contract for softmax: rows along any one axis, nothing learnt, one gradient.

Most clauses are those of Batch Norm, put by a :class:`~verify.softmax_examiner.SoftmaxExaminer`.
The clauses below are about what is softmax's own.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from verify import contract, contract_arrays, contract_calls, contract_edges, contract_large_rows
from verify.accuracy import Kernel, offered
from verify.contract_arrays import in_every_layout
from verify.examiner import Call, ViolationError
from verify.report import Result
from verify.softmax_examiner import DUE, OPTIONAL, SoftmaxExaminer, examiner_of

Clause = Callable[[Any], None]


def run(
    module: Kernel, *, seed: int = 0, clauses: tuple[Clause, ...] | None = None
) -> list[Result]:
    """Hold a module to every clause, as :func:`verify.contract.run` does."""
    chosen = CLAUSES if clauses is None else clauses
    return contract.run(module, seed=seed, clauses=chosen, optional=OPTIONAL, examiner=examiner_of)


# --- Clauses: calls -------------------------------------------------------------------------------


def signatures(examiner: SoftmaxExaminer) -> None:
    """the functions take the contract's arguments, in its order and with its defaults"""
    for name, due in DUE.items():
        function = offered(examiner.alone, name)
        examiner.hold(function or name in OPTIONAL, f"there is no function {name}")
        if function:
            found = inspect.signature(function)
            empty = inspect.Parameter.empty
            bare = [p.replace(annotation=empty) for p in found.parameters.values()]
            shown = str(found.replace(parameters=bare, return_annotation=empty))
            examiner.hold(shown == due, f"{name}{shown} should be {name}{due}")


def results_alone(examiner: SoftmaxExaminer) -> None:
    """forward gives (y, cache), cache a NamedTuple; backward and its staged form give dx itself"""
    call = examiner.call(6, 3)
    y, cache = examiner.alone.forward(call.x)
    named = isinstance(cache, tuple) and hasattr(cache, "_fields")
    examiner.hold(named, f"the cache is a {type(cache).__name__}, not a NamedTuple")
    examiner.like(y, (6, 3), np.float32, "y")
    for name in ("backward", "backward_staged"):
        if function := offered(examiner.alone, name):
            examiner.like(function(call.dy, cache), (6, 3), np.float32, f"what {name} gives")


SHAPES = ((7, 3), (6,), (4, 3, 5), (2, 3, 4, 5), (2, 2, 3, 2, 3), (40, 2, 15))


def values(examiner: SoftmaxExaminer) -> None:
    """rows extend along any one axis, counted from either end, of x of 1 to 5 dimensions"""
    for shape in SHAPES:
        for axis in {-1, 0, 1 % len(shape), -len(shape)}:
            call = examiner.along(axis, *shape)
            examiner.exact(call, examiner.everything(call), f"x {shape}, axis {axis}")
        call = examiner.call(*shape)
        y, _ = examiner.kernel.forward(call.x, axis=-1)
        examiner.exact(call, {"y": y}, f"x {shape}, axis=-1")


def axis_unfit(examiner: SoftmaxExaminer) -> None:
    """an axis that x does not have is a ValueError that names both, no integer a TypeError"""
    x = np.ones((2, 3, 4), np.float32)
    forward = examiner.kernel.forward
    for axis in (3, -4, 7):
        examiner.refuses(
            ValueError, f"axis {axis}", forward, x, axis=axis, mentions=(axis, (2, 3, 4))
        )
    for other in (1.0, None, "last", (0,), (0, 1)):
        examiner.refuses(TypeError, f"axis {other!r}", forward, x, axis=other)
    for axis in (0, -1):
        examiner.refuses(
            ValueError, "x without axes", forward, np.float32(3), axis=axis, mentions=((),)
        )


def jacobian_form(examiner: SoftmaxExaminer) -> None:
    """jacobian(cache, row) is the (m, m) matrix uR in x's dtype, with dx = dy @ uR"""
    jacobian = examiner.function("jacobian")
    for shape, axis in (((4, 3), -1), ((2, 3, 2), 1), ((5,), 0), ((3, 1), 1), ((3, 2), 0)):
        call = examiner.along(axis, *shape)
        _, cache = examiner.forward(call)
        m = shape[axis]
        rows = call.x.size // m
        matrices = [jacobian(cache, row=row) for row in range(rows)]
        first = np.array_equal(jacobian(cache), matrices[0])
        examiner.hold(first, "jacobian(cache) is not of row 0")
        last = np.array_equal(jacobian(cache, row=-1), matrices[-1])
        examiner.hold(last, "row -1 is not the last")
        for row in (rows, -rows - 1):
            examiner.refuses(ValueError, f"row {row}", jacobian, cache, row=row, mentions=(row,))
        for matrix in matrices:
            examiner.like(matrix, (m, m), call.x.dtype, f"jacobian of x {shape}")
        dy = np.moveaxis(call.dy, axis, -1).reshape(rows, m).astype(np.float64)
        made = np.stack([v @ matrix for v, matrix in zip(dy, matrices, strict=True)])
        moved = np.moveaxis(call.dy, axis, -1).shape
        dx = np.moveaxis(made.reshape(moved), -1, axis).astype(call.x.dtype)
        examiner.exact(call, {"dx": dx}, f"dy @ jacobian, x {shape}, axis {axis}")


def absent_cotangent(examiner: SoftmaxExaminer) -> None:
    """v_dx None in double_backward means zero: both gradients are"""
    twice = examiner.function("double_backward")
    call = examiner.call(4, 5)
    _, cache = examiner.forward(call)
    for name, array in zip(("g_dy", "g_x"), twice(None, call.dy, cache), strict=True):
        examiner.like(array, (4, 5), np.float32, name)
        examiner.hold(not array.any(), f"{name} is not zero")


def cotangents_unfit(examiner: SoftmaxExaminer) -> None:
    """v_dx and dy of another shape or dtype than the data's are refused by double_backward"""
    twice = examiner.function("double_backward")
    call = examiner.call(4, 3)
    _, cache = examiner.forward(call)
    for shape in ((4, 1), (3,), (3, 4), ()):
        bad = np.ones(shape, np.float32)
        for given in ((bad, call.dy), (call.dy, bad)):
            examiner.refuses(
                ValueError, f"shape {shape}", twice, *given, cache, mentions=(shape, (4, 3))
            )
    for given in ((np.ones((4, 3), int), call.dy), (call.dy, np.ones((4, 3), int))):
        examiner.refuses(TypeError, "integers", twice, *given, cache, mentions=("int64",))


# --- Clauses: arrays and edges --------------------------------------------------------------------


def layouts(examiner: SoftmaxExaminer) -> None:
    """any strides and byte order give what the plain array gives"""
    for shape in ((6, 3), (4, 3, 5), (2, 3, 4, 2)):
        for axis in (-1, 0, 1):
            in_every_layout(examiner, examiner.along(axis, *shape))


def out_in_a_tuple(examiner: SoftmaxExaminer) -> None:
    """out may be a tuple of one array; a longer or an empty one is a ValueError"""
    call = examiner.call(4, 3)
    y, dx = np.empty_like(call.x), np.empty_like(call.x)
    given, cache = examiner.forward(call, out=(y,))
    examiner.hold(given is y, "forward does not return the out of a tuple")
    examiner.hold(examiner.kernel.backward(call.dy, cache, out=(dx,))[0] is dx, "nor backward")
    for outs in ((), (dx, y)):
        backward = examiner.kernel.backward
        examiner.refuses(ValueError, f"{len(outs)} outs", backward, call.dy, cache, out=outs)


def out_unfit(examiner: SoftmaxExaminer) -> None:
    """out unfit in shape, strides or permission is a ValueError, in dtype or type a TypeError"""
    call = examiner.call(4, 3)
    _, cache = examiner.forward(call)
    for what, kind, out in contract_edges.unfit(4, 3):
        for outs in (out, (out,)):
            examiner.refuses(kind, f"forward: out {what}", examiner.forward, call, out=outs)
            backward = examiner.kernel.backward
            examiner.refuses(kind, f"backward: out {what}", backward, call.dy, cache, out=outs)


def empty(examiner: SoftmaxExaminer) -> None:
    """m = 0 or no rows: empty results"""
    for shape in ((0, 3), (4, 0), (0, 0), (2, 3, 0, 4), (0,)):
        for axis in (0, -1):
            for dtype in (np.float16, np.float32, np.float64):
                call = examiner.along(axis, *shape, dtype=dtype)
                for name, array in examiner.everything(call).items():
                    examiner.like(array, shape, dtype, f"{name} of x {shape}")
                out = np.empty(shape, dtype)
                y, cache = examiner.forward(call, out=out)
                examiner.hold(y is out, f"forward does not return out for x {shape}")
                if not shape[axis] and len(shape) == 1 and examiner.offers("jacobian"):
                    examiner.like(examiner.function("jacobian")(cache), (0, 0), dtype, "jacobian")


def one_element(examiner: SoftmaxExaminer) -> None:
    """m = 1: y = 1 and every derivative is zero, exactly"""
    for dtype in (np.float16, np.float32, np.float64):
        call = examiner.call(5, 1, dtype=dtype)
        x = np.array([0.1, 3e4, 0.0, -7.0, -3e4]).astype(dtype).reshape(5, 1)
        for name, array in examiner.everything(call.but(x=x)).items():
            examiner.hold((array == (name == "y")).all(), f"{name} is {array.ravel()}")


def rows_alone(examiner: SoftmaxExaminer) -> None:
    """a row gives what it gives alone, whatever the others are: NaN, infinite, huge"""
    for axis in (0, 1):
        for dtype in (np.float32, np.float64):
            for bad in (np.nan, np.inf, -np.inf, np.finfo(dtype).max, -np.finfo(dtype).max):
                for argument in ("x", "dy", "x_dot"):
                    _alone(examiner, examiner.along(axis, 6, 6, dtype=dtype), argument, float(bad))


REACHED = {
    "x": ("y", "dx", "y_dot", "g_dy", "g_x"),
    "dy": ("dx", "g_x"),
    "x_dot": ("y_dot", "g_dy", "g_x"),
}


def _alone(examiner: SoftmaxExaminer, call: Call, argument: str, bad: float) -> None:
    """With ``bad`` in row 2, the other rows are as they are without that row."""
    rows = 1 - call.axis
    array = getattr(call, argument).copy()
    array[(2, 1) if call.axis else (1, 2)] = bad
    full = ("x", "dy", "x_dot")
    whole = call.but(**{argument: array})
    rest = call.but(**{name: np.delete(getattr(whole, name), 2, rows) for name in full})
    given, expected = examiner.everything(whole), examiner.everything(rest)
    for name, due in expected.items():
        what = f"{bad} in {argument}: {name}"
        examiner.close(np.delete(given[name], 2, rows), due, f"{what} of the other rows")
        own = given[name].take(2, rows)
        if np.isnan(bad) and name in REACHED[argument]:
            examiner.hold(np.isnan(own).all(), f"{what} hides it")
        if argument == "x" and np.isfinite(bad):
            examiner.hold(np.isfinite(own).all(), f"{what} of its own row")


def infinities(examiner: SoftmaxExaminer) -> None:
    """+Inf in x makes all of its row NaN; -Inf gives 0, and a row of nothing else NaN"""
    inf = np.inf
    for dtype in (np.float16, np.float32, np.float64):
        call = examiner.call(4, 3, dtype=dtype)
        rows = ([1, 2, inf], [-inf, inf, 0], [1, -inf, 2], [-inf, -inf, -inf])
        found = examiner.everything(call.but(x=np.array(rows, dtype)))
        for name, array in found.items():
            nan = [True, True, False, True]
            examiner.hold(np.isnan(array).all(axis=1).tolist() == nan, f"{name} is {array}")
            examiner.hold(array[2, 1] == 0, f"{name} is {array[2, 1]} where x is -Inf")
            examiner.hold(np.isfinite(array[2]).all(), f"{name} is {array[2]} beside -Inf")


def shifts_change_nothing(examiner: SoftmaxExaminer) -> None:
    """a whole number added to a row of x, dy or x_dot changes no bit where both are exact"""
    call = examiner.call(5, 7, dtype=np.float64)
    whole = {name: np.round(8 * getattr(call, name)) for name in ("x", "dy", "x_dot")}
    call = call.but(**whole)
    expected = examiner.everything(call)
    by = np.arange(-2.0, 3.0).reshape(5, 1) * 1024
    for name in whole:
        moved = examiner.everything(call.but(**{name: whole[name] + by}))
        for result in (r for r in expected if not r.endswith("staged")):
            same = np.array_equal(moved[result], expected[result])
            examiner.hold(same, f"{result} changes with a number added to {name}")


def huge_rows(examiner: SoftmaxExaminer) -> None:
    """rows of 140,000 elements are as accurate as others; the largest may be in any piece"""
    for place in (0, 65_535, 65_536, 140_000):
        call = examiner.call(3, 140_001)
        x = call.x.copy()
        x[0, [70_000, 140_000, place]] = 1000.0, 1000.0, 2000.0  # exp of a thousand overflows
        x[1, [place, 70_000]] = 30.0, 15.0  # dy - sum dy y cancels
        call = call.but(x=x)
        given = examiner.training(call)
        strided = {n: np.repeat(getattr(call, n), 2, axis=-1)[:, ::2] for n in ("x", "dy", "x_dot")}
        examiner.same(examiner.training(call.but(**strided)), given, "every other element")
        staged = given.pop("dx staged", None)
        examiner.exact(call, given, f"largest at {place}")
        examiner.hold(staged is None or np.isfinite(staged).all(), "dx staged is not finite")


def long_columns(examiner: SoftmaxExaminer) -> None:
    """rows along the first axis are as accurate where they are long and lie apart"""
    call = examiner.along(0, 40_000, 2)
    examiner.exact(call, examiner.everything(call), f"x {call.x.shape}, axis 0")


def no_warning(examiner: SoftmaxExaminer) -> None:
    """no warning escapes, even where NumPy is told to raise; NumPy's error state is kept"""
    for dtype in (np.float16, np.float32, np.float64):
        limits = np.finfo(dtype)
        for bad in (np.nan, np.inf, -np.inf, limits.max, limits.smallest_subnormal):
            for argument in ("x", "dy", "x_dot"):
                call = examiner.call(6, 3, dtype=dtype)
                getattr(call, argument)[2, 1] = bad
                _quietly(examiner, call, f"{np.dtype(dtype)}: {bad} in {argument}")
        low = examiner.call(6, 3, dtype=dtype)
        _quietly(examiner, low.but(x=np.full_like(low.x, -np.inf)), "nothing but -Inf")
        _quietly(examiner, examiner.call(3, 0, dtype=dtype), "rows of no elements")


def _quietly(examiner: SoftmaxExaminer, call: Call, what: str) -> None:
    before = np.geterr()
    with warnings.catch_warnings(), np.errstate(all="raise"):
        warnings.simplefilter("error")
        examiner.cases += 1
        try:
            examiner.everything(call)
            if call.x.size and examiner.offers("jacobian"):
                for row in range(len(call.x)):
                    examiner.function("jacobian")(examiner.forward(call)[1], row=row)
        except (Warning, FloatingPointError) as error:
            raise ViolationError(f"{what}: {type(error).__name__}: {error}") from error
        kept = set(np.geterr().values()) == {"raise"}
    examiner.hold(kept and np.geterr() == before, f"{what}: the error state was changed")


OWN = (
    signatures,
    results_alone,
    values,
    axis_unfit,
    jacobian_form,
    absent_cotangent,
    cotangents_unfit,
    layouts,
    out_in_a_tuple,
    out_unfit,
    empty,
    one_element,
    rows_alone,
    infinities,
    shifts_change_nothing,
    huge_rows,
    long_columns,
    no_warning,
)
SHARED = (
    contract_calls.staged_form,
    contract_calls.absent_parameters,
    contract_calls.absent_tangents,
    contract_calls.cache_outlives_y,
    contract_calls.backward_repeats,
    contract_calls.cache_holds_no_copy,
    contract_arrays.dtypes,
    contract_arrays.bfloat16,
    contract_arrays.other_dtypes,
    contract_arrays.gradient_shapes,
    contract_arrays.tangent_shapes,
    contract_arrays.zero_strides,
    contract_arrays.inputs_untouched,
    contract_edges.out_is_returned,
    contract_edges.out_replaces_input,
    contract_edges.out_overlaps,
)
CLAUSES: tuple[Clause, ...] = (
    *OWN,
    *SHARED,
    contract_large_rows.little_memory,
)

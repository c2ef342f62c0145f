"""The clauses of the kernel contract about ``out``, empty and single rows, eps, NaN and warnings.

Each clause is a function whose docstring is the promise; it raises ViolationError where the kernel
breaks it.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from verify.accuracy_cases import Array
from verify.examiner import Call, Examiner, ViolationError

# --- out ------------------------------------------------------------------------------------------


def out_is_returned(examiner: Examiner) -> None:
    """out, an array or a tuple of them in any layout, is filled and returned itself"""
    for shape in ((6, 4), (3, 4, 5)):
        call = examiner.call(*shape)
        expected = examiner.everything(call)
        _, cache = examiner.forward(call)
        for what, out in targets(call.x):
            y, _ = examiner.forward(call, out=out)
            examiner.hold(y is out, f"forward does not return out ({what})")
            examiner.close(out, expected["y"], f"y in out, {what}")
        for what, out in targets(call.x):
            dx = examiner.kernel.backward(call.dy, cache, out=out)[0]
            examiner.hold(dx is out, f"backward does not return out ({what})")
            examiner.close(out, expected["dx"], f"dx in out, {what}")
        for what, out in targets(call.x):
            outs = (out, *_parameter_targets(examiner, shape))
            given = examiner.kernel.backward(call.dy, cache, out=outs)
            for name, array, target in zip(examiner.gradients, given, outs, strict=True):
                examiner.hold(array is target, f"backward does not return out's {name} ({what})")
                examiner.close(target, expected[name], f"{name} in out, {what}")


def _parameter_targets(examiner: Examiner, shape: tuple[int, ...]) -> list[Array]:
    """Arrays for the gradients of parameters, filled with NaN; the second has strides."""
    vector = examiner.vector(shape)
    wide = np.full((*vector, 2), np.nan, np.float32)
    return [np.full(vector, np.nan, np.float32), wide[..., 0]][: len(examiner.learnt)]


def targets(like: Array) -> Iterator[tuple[str, Array]]:
    """Arrays to write into, filled with NaN."""
    yield "C order", np.full(like.shape, np.nan, like.dtype)
    yield "Fortran order", np.full(like.shape, np.nan, like.dtype, order="F")
    yield "a slice", np.full((*like.shape, 2), np.nan, like.dtype)[..., 0]
    yield "negative strides", np.full(like.shape, np.nan, like.dtype)[::-1]


def out_replaces_input(examiner: Examiner) -> None:
    """out may be exactly the input it replaces: x in forward, dy in backward"""
    for dtype in (np.float16, np.float32, np.float64):
        for shape in ((6, 3), (3, 4, 5)):
            call = examiner.call(*shape, dtype=dtype)
            expected = examiner.everything(call)
            _, cache = examiner.forward(call)
            for what, alias in aliases(call.x):
                source = call.but(x=alias)
                y, _ = examiner.forward(source, out=alias if what == "itself" else alias[...])
                examiner.close(y, expected["y"], f"out=x, {what}")
            for what, alias in aliases(call.dy):
                out = alias if what == "itself" else alias[...]
                dx, *_ = examiner.kernel.backward(alias, cache, out=out)
                examiner.close(dx, expected["dx"], f"out=dy, {what}")
            for what, alias in aliases(call.dy):
                vector = examiner.vector(shape)
                outs = (alias, *(np.empty(vector, dtype) for _ in examiner.learnt))
                given = examiner.kernel.backward(alias, cache, out=outs)
                for name, array in zip(examiner.gradients, given, strict=True):
                    examiner.close(array, expected[name], f"{name}, out=(dy, …), {what}")


def aliases(array: Array) -> Iterator[tuple[str, Array]]:
    """Copies to be overwritten, in several layouts."""
    yield "itself", array.copy()
    yield "another view of it", array.copy()
    yield "a view of a slice", np.repeat(array, 2, axis=0)[::2]
    yield "a view in Fortran order", array.copy(order="F")


def out_overlaps(examiner: Examiner) -> None:
    """out that overlaps an input or another out in part is a ValueError; interleaving is fine"""
    call = examiner.call(4, 4)
    expected = examiner.everything(call)
    _, cache = examiner.forward(call)
    backward = examiner.kernel.backward
    for what, x, out in overlapping(call.x):
        what = f"forward into x, {what}"
        examiner.refuses(ValueError, what, examiner.forward, call.but(x=x), out=out)
    for what, dy, out in overlapping(call.dy):
        examiner.refuses(ValueError, f"backward into dy, {what}", backward, dy, cache, out=out)
    dy, vector = call.dy.copy(), np.empty(4, np.float32)
    for parts in _with_one(examiner, dy[1], vector):
        what = "backward with a parameter's out in dy"
        outs = (np.empty_like(dy), *parts)
        examiner.refuses(ValueError, what, backward, dy, cache, out=outs)
    for argument in examiner.learnt:
        out = np.empty_like(call.x)
        what = f"forward with {argument} in out"
        within = call.but(**{argument: out[1]})
        examiner.refuses(ValueError, what, examiner.forward, within, out=out)
    what = "backward into x, which the cache holds"
    examiner.refuses(ValueError, what, backward, call.dy, cache, out=call.x)
    shared, same = np.empty_like(dy), [vector for _ in examiner.learnt]
    overlaps = [*_with_one(examiner, shared[1], vector), *([same] if len(same) > 1 else [])]
    for parts in overlaps:
        what = "backward into results that overlap each other"
        examiner.refuses(ValueError, what, backward, call.dy, cache, out=(shared, *parts))
    both = np.repeat(call.x, 2, axis=1)
    y, _ = examiner.forward(call.but(x=both[:, ::2]), out=both[:, 1::2])
    examiner.close(y, expected["y"], "out between the elements of x")
    both = np.repeat(call.dy, 2, axis=0)
    dx, *_ = backward(both[::2], cache, out=both[1::2])
    examiner.close(dx, expected["dx"], "out between the rows of dy")


def _with_one(examiner: Examiner, one: Any, vector: Array) -> list[list[Any]]:
    """Arrays like ``vector`` for the gradients of the parameters, each once replaced by ``one``."""
    places = range(len(examiner.learnt))
    return [[one if k == place else vector.copy() for k in places] for place in places]


def overlapping(array: Array) -> Iterator[tuple[str, Array, Array]]:
    """(what, input, out): square arrays that share memory, but not element for element."""
    rows = np.concatenate([array, array])
    yield "one row further", rows[:4], rows[1:5]
    yield "one row back", rows[1:5], rows[:4]
    copy = array.copy()
    yield "reversed", copy, copy[::-1]
    copy = array.copy()
    yield "transposed", copy, copy.T
    rows = np.concatenate([array, array])
    yield "other strides", rows[::2], rows[:4]


def out_unfit(examiner: Examiner) -> None:
    """out unfit in shape, strides or permission is a ValueError, in dtype or type a TypeError"""
    call = examiner.call(4, 3)
    _, cache = examiner.forward(call)
    backward = examiner.kernel.backward
    dx, vector = np.empty((4, 3), np.float32), np.empty(3, np.float32)
    for what, kind, out in unfit(4, 3):
        examiner.refuses(kind, f"forward: out {what}", examiner.forward, call, out=out)
        for outs in (out, (out, *(vector.copy() for _ in examiner.learnt))):
            examiner.refuses(kind, f"backward: out {what}", backward, call.dy, cache, out=outs)
    for what, kind, out in unfit(3):
        for parts in _with_one(examiner, out, vector):
            what = f"backward: a parameter's out {what}"
            examiner.refuses(kind, what, backward, call.dy, cache, out=(dx, *parts))
    what = "backward: a tuple too short"
    short = (dx, *(vector.copy() for _ in examiner.learnt[1:]))
    examiner.refuses(ValueError, what, backward, call.dy, cache, out=short)


def unfit(*shape: int) -> Iterator[tuple[str, type[Exception], Any]]:
    """(what, error, out) for results of this shape and float32."""
    for other in ((1,), (7,), (*shape[:-1], 1), (5, *shape[1:]), (1, *shape), shape[::-1]):
        if other != shape:
            yield f"of shape {other}", ValueError, np.empty(other, np.float32)
    for dtype in (np.float64, np.float16, np.int32):
        yield f"of dtype {np.dtype(dtype)}", TypeError, np.empty(shape, dtype)
    locked = np.empty(shape, np.float32)
    locked.flags.writeable = False
    yield "that is read-only", ValueError, locked
    yield "that is a list", TypeError, np.empty(shape).tolist()
    single = np.empty(1, np.float32)
    spread = np.lib.stride_tricks.as_strided(single, shape, [0 for _ in shape])
    yield "whose elements share memory", ValueError, spread


# --- Sizes ----------------------------------------------------------------------------------------


def empty(examiner: Examiner) -> None:
    """m = 0 or C = 0: empty y, dx and y_dot, zero parameter gradients"""
    for shape in ((0, 3), (4, 0), (0, 0), (0, 3, 2, 2), (2, 3, 0, 4), (2, 0, 3)):
        for dtype in (np.float16, np.float32, np.float64):
            call = examiner.call(*shape, dtype=dtype)
            for name, array in examiner.everything(call).items():
                vector = name.split()[0] in ("dgamma", "dbeta")
                due = shape[1:2] if vector else shape
                examiner.like(array, due, dtype, f"{name} of x {shape}")
                if vector:
                    examiner.hold(not array.any(), f"{name} of x {shape} is not zero")
            out = np.empty(shape, dtype)
            y, cache = examiner.forward(call, out=out)
            examiner.hold(y is out, f"forward does not return out for x {shape}")
            if shape[1] and examiner.offers("jacobian"):
                jacobian = examiner.function("jacobian")(cache)
                examiner.like(jacobian, (0, 0), dtype, "jacobian")


def one_element(examiner: Examiner) -> None:
    """m = 1 in training: y = beta, dx = dgamma = 0, dbeta = dy and y_dot = beta_dot, exactly"""
    for shape in ((1, 5), (1, 5, 1, 1)):
        for dtype in (np.float16, np.float32, np.float64):
            call = examiner.call(*shape, dtype=dtype)
            large = np.array([0.1, 3e4, 0.0, -7.0, 1e-7]).astype(dtype).reshape(shape)
            call = call.but(x=large)
            given = examiner.training(call)
            expected = {"y": call.beta, "dx": 0, "dgamma": 0, "dbeta": call.dy.ravel()}
            expected["y_dot"] = call.beta_dot
            for name, array in given.items():
                value = expected[name.removesuffix(" staged")]
                right = np.array_equal(array.ravel(), np.broadcast_to(value, 5))  # type: ignore[arg-type] # value is a scalar here
                examiner.hold(right, f"{name} of x {shape} is {array.ravel()}, not {value}")
            y, cache = examiner.forward(call.but(beta=None))
            examiner.hold(not y.any(), f"y of x {shape} without beta is not zero")
            if examiner.offers("jacobian"):
                jacobian = examiner.function("jacobian")(cache)
                examiner.hold(not jacobian.any(), "the jacobian is not [[0]]")


# --- eps ------------------------------------------------------------------------------------------


def eps_as_given(examiner: Examiner) -> None:
    """eps is used as given, whatever real number it is and however small"""
    call = examiner.call(8, 3)
    narrow = call.but(x=call.x * np.float32(1e-6))
    for eps in (1, 2.5, 1e-3, np.float32(1e-3), np.float64(1e-7), np.int64(2), 1e-12, 1e-300, 0.0):
        for data in (call, narrow):
            chosen = data.but(eps=eps)
            examiner.exact(chosen, examiner.everything(chosen), f"eps={eps!r}")
    wide = call.but(x=call.x * 40, eps=-0.25)
    examiner.exact(wide, examiner.everything(wide), "eps=-0.25 with a larger variance")
    half = examiner.call(8, 3, dtype=np.float16)
    # In float16 an eps of 1e-8 would be zero.  1/sqrt(eps) is 1e4, so keep the results finite.
    flat = half.but(x=np.ones_like(half.x), dy=half.dy / 4, x_dot=half.x_dot / 4, eps=1e-8)
    examiner.exact(flat, examiner.everything(flat), "float16 constant columns, eps=1e-8")


NOT_REAL: tuple[Any, ...] = (
    None,
    "1e-5",
    1e-5j,
    np.complex64(1e-5),
    [1e-5],
    np.full(3, 1e-5),
    object(),
)


def eps_not_real(examiner: Examiner) -> None:
    """eps that is not a real number is a TypeError"""
    call = examiner.call(6, 3)
    for eps in NOT_REAL:
        what, wrong = f"eps of type {type(eps).__name__}", call.but(eps=eps)
        examiner.refuses(TypeError, what, examiner.forward, wrong)
        if examiner.offers("infer"):
            examiner.refuses(TypeError, f"infer: {what}", examiner.infer, wrong)
        if examiner.offers("infer_backward"):
            examiner.refuses(TypeError, f"infer_backward: {what}", examiner.infer_backward, wrong)


def var_plus_eps_not_positive(examiner: Examiner) -> None:
    """where var + eps <= 0 in training the IEEE result stays in its own channel"""
    call = examiner.call(8, 3)
    for what, column, eps in (
        ("a constant column, eps=0", np.full(8, 3.0), 0.0),
        ("var + eps = 0", np.tile([0.5, -0.5], 4), -0.25),
        ("var + eps < 0", np.tile([0.5, -0.5], 4), -1.0),
    ):
        # The other channels' variances exceed the negative eps.
        healthy = call.but(x=call.x * 8, eps=eps)
        given = examiner.training(with_column(healthy, column))
        only_channel_one(examiner, given, examiner.training(healthy), what)
        _not_hidden(examiner, given, ("y",), what)


def with_column(call: Call, column: Array) -> Call:
    x = call.x.copy()
    x[:, 1] = column
    return call.but(x=x)


def only_channel_one(
    examiner: Examiner, given: dict[str, Array], expected: dict[str, Array], what: str
) -> None:
    """All channels but 1 are as expected."""
    for name, array in expected.items():
        axis = 1 if array.ndim > 1 else 0
        others, due = (np.delete(side, 1, axis) for side in (given[name], array))
        examiner.close(others, due, f"{what}: {name} of the other channels")


def _not_hidden(
    examiner: Examiner, given: dict[str, Array], names: tuple[str, ...], what: str
) -> None:
    """Nothing in channel 1 of these results is finite."""
    for name in (name for name in names if name in given):
        part = given[name][:, 1] if given[name].ndim > 1 else given[name][1]
        examiner.hold(not np.isfinite(part).any(), f"{what}: {name} is finite, which hides it")


# --- NaN, infinity, warnings ----------------------------------------------------------------------


REACHED = {
    "x": ("y", "dx", "dgamma", "dx staged", "dgamma staged", "y_dot"),
    "dy": ("dx", "dgamma", "dbeta", "dx staged", "dgamma staged", "dbeta staged"),
    "gamma": ("y", "dx", "dx staged", "y_dot"),
    "beta": ("y",),
    "x_dot": ("y_dot",),
    "gamma_dot": ("y_dot",),
    "beta_dot": ("y_dot",),
}


def nan_stays_in_channel(examiner: Examiner) -> None:
    """NaN or infinity in one channel of any input of training stays there and is not hidden"""
    for shape in ((8, 3), (2, 3, 4, 2)):
        call = examiner.call(*shape)
        expected = examiner.training(call)
        for argument, reached in REACHED.items():
            for bad in (np.nan, np.inf, -np.inf):
                for place in (0, -1):
                    array = getattr(call, argument).copy()
                    array[(place, 1) + (place,) * (array.ndim - 2) if array.ndim > 1 else 1] = bad
                    given = examiner.training(call.but(**{argument: array}))
                    what = f"{bad} in {argument}, x {shape}"
                    only_channel_one(examiner, given, expected, what)
                    _not_hidden(examiner, given, reached, what)


def no_warning(examiner: Examiner) -> None:
    """no warning escapes, even where NumPy is told to raise; NumPy's error state is kept"""
    for what, call in _alarming(examiner):
        before = np.geterr()
        with warnings.catch_warnings(), np.errstate(all="raise"):
            warnings.simplefilter("error")
            examiner.cases += 1
            try:
                _, cache = examiner.forward(call)
                examiner.derivatives(call, cache)
                if examiner.groups(call) and examiner.offers("jacobian"):
                    examiner.function("jacobian")(cache)
                examiner.inference(call)
            except (Warning, FloatingPointError) as error:
                raise ViolationError(f"{what}: {type(error).__name__}: {error}") from error
            kept = set(np.geterr().values()) == {"raise"}
        examiner.hold(kept and np.geterr() == before, f"{what}: the error state was changed")


def _alarming(examiner: Examiner) -> Iterator[tuple[str, Call]]:
    """Batches on which careless arithmetic warns."""
    for dtype in (np.float16, np.float32, np.float64):
        name = str(np.dtype(dtype))
        call = examiner.call(6, 3, dtype=dtype)
        largest = np.finfo(dtype).max
        for value in (np.nan, np.inf, -np.inf, largest, np.finfo(dtype).smallest_subnormal):
            yield f"{name}: {value} in x", with_column(call, np.array([value, *[1.0] * 5], dtype))
            dy = call.dy.copy()
            dy[2, 1] = value
            yield f"{name}: {value} in dy", call.but(dy=dy, x_dot=dy)
        ones = with_column(call, np.ones(6, dtype))
        yield f"{name}: var + eps = 0", ones.but(eps=0.0)
        yield f"{name}: var + eps < 0", ones.but(eps=-1.0)
        yield f"{name}: tiny eps", ones.but(eps=1e-300)
        yield f"{name}: large x", call.but(x=np.sign(call.x) * largest)
        yield f"{name}: var + eps <= 0", call.but(var=call.var * [0, -1, 1])
        yield f"{name}: var not finite", call.but(var=call.var * [np.nan, np.inf, -np.inf])
        yield f"{name}: large gamma", call.but(gamma=np.full(3, largest, dtype))
        for shape in ((0, 3), (4, 0), (1, 3), (2, 3, 0)):
            yield f"{name}: x {shape}", examiner.call(*shape, dtype=dtype)


EDGE_CLAUSES = (
    out_is_returned,
    out_replaces_input,
    out_overlaps,
    out_unfit,
    empty,
    one_element,
    eps_as_given,
    eps_not_real,
    var_plus_eps_not_positive,
    nan_stays_in_channel,
    no_warning,
)

"""The clauses of the kernel contract about names, signatures and the cache.

Each clause is a function whose docstring is the promise; it raises ViolationError where the kernel
breaks it.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np

from verify.accuracy_cases import Array
from verify.examiner import Examiner, ViolationError

SIGNATURES = {
    "forward": "(x, gamma=None, beta=None, *, eps=1e-05, axis=1, out=None)",
    "backward": "(dy, cache, *, out=None)",
    "backward_staged": "(dy, cache)",
    "jvp": "(x_dot, gamma_dot, beta_dot, cache)",
    "jacobian": "(cache, channel=0)",
    "double_backward": "(v_dx, v_dgamma, v_dbeta, dy, cache)",
    "infer": "(x, gamma, beta, mean, var, *, eps=1e-05, axis=1, out=None)",
    "infer_backward": "(dy, x, gamma, mean, var, *, eps=1e-05, axis=1)",
    "running_update": "(mean, var, cache, *, momentum=0.1, unbiased=True)",
    "population_statistics": "(means, variances, m)",
    "fold": "(gamma, beta, mean, var, *, eps=1e-05)",
    "fold_linear": "(weight, bias, gamma, beta, mean, var, *, eps=1e-05)",
}
REQUIRED = ("forward", "backward")
OPTIONAL = tuple(name for name in SIGNATURES if name not in REQUIRED)


def signatures(examiner: Examiner) -> None:
    """the functions take the contract's arguments, in its order and with its defaults"""
    for name in REQUIRED:
        examiner.hold(examiner.offers(name), f"there is no function {name}")
    for name, expected in SIGNATURES.items():
        if not examiner.offers(name):
            continue
        try:
            found = inspect.signature(examiner.function(name))
        except (TypeError, ValueError) as error:
            raise ViolationError(f"{name} shows no signature: {error}") from error
        known = re.findall(r"\w+", expected)
        bare = [
            parameter.replace(annotation=inspect.Parameter.empty)
            for parameter in found.parameters.values()
            if parameter.name in known or parameter.default is inspect.Parameter.empty
        ]  # more options, with a default, do no harm
        shown = str(found.replace(parameters=bare, return_annotation=inspect.Signature.empty))
        examiner.hold(shown == expected, f"{name}{shown} should be {name}{expected}")


def result_tuples(examiner: Examiner) -> None:
    """forward gives (y, cache), cache a NamedTuple; each backward gives dx, dgamma and so on"""
    call = examiner.call(6, 3)
    pair = examiner.forward(call)
    examiner.hold(isinstance(pair, tuple) and len(pair) == 2, "forward gives no pair (y, cache)")
    y, cache = pair
    named = isinstance(cache, tuple) and hasattr(cache, "_fields")
    examiner.hold(named, f"the cache is a {type(cache).__name__}, not a NamedTuple")
    examiner.like(y, (6, 3), np.float32, "y")
    given = {"backward": examiner.kernel.backward(call.dy, cache)}
    if examiner.offers("backward_staged"):
        given["backward_staged"] = examiner.function("backward_staged")(call.dy, cache)
    if examiner.offers("infer_backward"):
        given["infer_backward"] = examiner.infer_backward(call)
    for name, found in given.items():
        due = examiner.gradients
        complete = isinstance(found, tuple) and len(found) == len(due)
        examiner.hold(complete, f"{name} gives no tuple ({', '.join(due)})")
        for what, array in zip(due, found, strict=True):
            shape = (6, 3) if what == "dx" else (3,)
            examiner.like(array, shape, np.float32, f"{what} of {name}")


def values(examiner: Examiner) -> None:
    """every axis but the channel axis is reduced, for x of 2 to 5 dimensions"""
    for shape in ((7, 3), (4, 3, 5), (2, 3, 4, 5), (2, 4, 3, 2, 3)):
        call = examiner.call(*shape)
        for axis in (1, -1, 0, -len(shape) + 1):
            moved = call.on_axis(axis)
            what = f"x {moved.x.shape}, axis {axis}"
            examiner.exact(moved, examiner.everything(moved), what)
        examiner.exact(call, {"y": examiner.forward(call, axis=1)[0]}, f"x {shape}, axis=1")
    odd = examiner.call(11, 2, 61).on_axis(-1)  # whose positions cannot be cut evenly
    examiner.exact(odd, examiner.everything(odd), f"x {odd.x.shape}, axis -1")


def staged_form(examiner: Examiner) -> None:
    """backward_staged gives what backward gives"""
    examiner.function("backward_staged")
    for dtype in (np.float32, np.float64):
        call = examiner.call(9, 4, 3, dtype=dtype)
        _, cache = examiner.forward(call)
        every = examiner.derivatives(call, cache)
        staged = {name: array for name, array in every.items() if name.endswith(" staged")}
        examiner.exact(call, staged, "staged form")


def jacobian_form(examiner: Examiner) -> None:
    """jacobian(cache, channel) is the (m, m) matrix uR in x's dtype, with dx = dy @ uR"""
    jacobian = examiner.function("jacobian")
    for axis in (1, -1):
        call = examiner.call(3, 2, 3).on_axis(axis)
        _, cache = examiner.forward(call)
        matrices = [jacobian(cache, channel=channel) for channel in range(2)]
        default = jacobian(cache)
        examiner.hold(np.array_equal(default, matrices[0]), "jacobian(cache) is not of channel 0")
        for channel, matrix in enumerate(matrices):
            what = f"jacobian of channel {channel}, axis {axis}"
            examiner.like(matrix, (9, 9), call.x.dtype, what)
        for dy in (call.dy, *_unit_cotangents(call.dy, axis)):
            flat = np.moveaxis(dy, axis, 0).reshape(2, 9).astype(np.float64)
            dx = np.stack(
                [
                    row @ matrix.astype(np.float64)
                    for row, matrix in zip(flat, matrices, strict=True)
                ]
            )
            shaped = np.moveaxis(dx.reshape(2, 3, 3), 0, axis).astype(np.float32)
            examiner.exact(call.but(dy=dy), {"dx": shaped}, f"dy @ jacobian, axis {axis}")


def _unit_cotangents(like: Array, axis: int) -> Iterator[Array]:
    """1 at one element of every channel, 0 elsewhere: dx is then one row of the Jacobian."""
    rows = like.size // like.shape[axis]
    for row in range(rows):
        flat = np.zeros((like.shape[axis], rows), like.dtype)
        flat[:, row] = 1
        moved_shape = np.moveaxis(like, axis, 0).shape
        yield np.moveaxis(flat.reshape(moved_shape), 0, axis)


def absent_parameters(examiner: Examiner) -> None:
    """gamma or beta None means 1 or 0; their gradients are returned all the same"""
    call = examiner.call(8, 3)
    one, zero = np.ones(3, np.float32), np.zeros(3, np.float32)
    explicit = {"gamma": one, "beta": zero}
    for chosen in some_of(examiner.learnt):
        absent = examiner.everything(call.but(**dict.fromkeys(chosen)))
        given = examiner.everything(call.but(**{name: explicit[name] for name in chosen}))
        examiner.same(absent, given, f"{' and '.join(chosen)} None")
    bare = call.but(gamma=None, beta=None)
    y, _ = examiner.forward_alone(bare)
    examiner.exact(bare, {"y": y}, "forward(x)")


def some_of(names: tuple[str, ...]) -> list[tuple[str, ...]]:
    """Every choice of one or more."""
    return [some for k in range(1, len(names) + 1) for some in combinations(names, k)]


def absent_tangents(examiner: Examiner) -> None:
    """a tangent None in jvp means zero"""
    examiner.function("jvp")
    call = examiner.call(8, 3)
    _, cache = examiner.forward(call)
    for chosen in some_of(tuple(f"{name}_dot" for name in examiner.learnt)):
        still = call.but(**dict.fromkeys(chosen))
        examiner.exact(still, {"y_dot": examiner.jvp(still, cache)}, f"{' and '.join(chosen)} None")
    still = call.but(x_dot=np.zeros_like(call.x))
    y_dot = examiner.jvp(call.but(x_dot=None), cache)
    examiner.exact(still, {"y_dot": y_dot}, "x_dot None")


def cache_outlives_y(examiner: Examiner) -> None:
    """the cache stays valid when y, gamma or beta is overwritten, or y was written over x"""
    for dtype in (np.float32, np.float64):
        call = examiner.call(8, 3, 2, dtype=dtype)
        expected = examiner.derivatives(call, examiner.forward(call)[1])
        for what in ("y overwritten", "y in out, overwritten", "out=x", "out=x, overwritten"):
            x = call.x.copy()
            out = x if "=x" in what else np.empty_like(x) if "out" in what else None
            y, cache = examiner.forward(call.but(x=x), **({} if out is None else {"out": out}))
            if "overwritten" in what:
                y[...] = np.nan
            examiner.same(examiner.derivatives(call, cache), expected, what)
        for name in examiner.learnt:
            parameter = getattr(call, name).copy()
            _, cache = examiner.forward(call.but(**{name: parameter}))
            parameter[...] = np.nan
            examiner.same(examiner.derivatives(call, cache), expected, f"{name} overwritten")


def backward_repeats(examiner: Examiner) -> None:
    """backward and jvp may be called again on one cache, with the same bits as the first time"""
    for dtype in (np.float16, np.float32, np.float64):
        call = examiner.call(8, 3, 2, dtype=dtype)
        _, cache = examiner.forward(call)
        first = {name: array.copy() for name, array in examiner.derivatives(call, cache).items()}
        examiner.derivatives(call.but(dy=call.x_dot, x_dot=call.dy), cache)
        if examiner.offers("jacobian"):
            examiner.function("jacobian")(cache)
        for name, array in examiner.derivatives(call, cache).items():
            same = array.tobytes() == first[name].tobytes()
            examiner.hold(same, f"{name} differs the second time ({np.dtype(dtype)})")


def cache_holds_no_copy(examiner: Examiner) -> None:
    """the cache holds no copy of x that is not needed"""
    for dtype in (np.float32, np.float64):
        call = examiner.call(8, 3, 2, dtype=dtype)
        _, cache = examiner.forward(call)
        ordered = np.sort(call.x, axis=None)
        for array in _arrays(cache):
            copied = (
                array.size == call.x.size
                and not np.shares_memory(array, call.x)
                and np.array_equal(np.sort(array, axis=None), ordered)
            )
            examiner.hold(not copied, f"the cache holds a {array.dtype} copy of x")


def _arrays(value: Any) -> Iterator[Array]:
    if isinstance(value, np.ndarray):
        yield value
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _arrays(item)


CALL_CLAUSES = (
    signatures,
    result_tuples,
    values,
    staged_form,
    jacobian_form,
    absent_parameters,
    absent_tangents,
    cache_outlives_y,
    backward_repeats,
    cache_holds_no_copy,
)

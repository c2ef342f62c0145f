"""The clauses of the kernel contract that test mode has for itself: out, single rows, NaN.

In test mode the statistics are given, so every element stands alone: what is not finite reaches
fewer results than in training.  The dtypes, shapes, layouts and values of infer and infer_backward
are held together with those of training, by :mod:`verify.contract_arrays` and
:mod:`verify.contract_calls`.

Each clause is a function whose docstring is the promise; it raises ViolationError where the kernel
breaks it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from verify.accuracy_cases import Array
from verify.contract_edges import (
    aliases,
    only_channel_one,
    overlapping,
    targets,
    unfit,
)
from verify.examiner import Call, Examiner


def infer_out(examiner: Examiner) -> None:
    """out of infer, in any layout, is filled and returned itself; it may be exactly x"""
    for dtype in (np.float16, np.float32, np.float64):
        for shape in ((6, 4), (3, 4, 5)):
            call = examiner.call(*shape, dtype=dtype)
            expected = examiner.infer(call)
            for what, out in targets(call.x):
                y = examiner.infer(call, out=out)
                examiner.hold(y is out, f"infer does not return out ({what})")
                examiner.close(out, expected, f"y in out, {what}")
            for what, alias in aliases(call.x):
                out = alias if what == "itself" else alias[...]
                y = examiner.infer(call.but(x=alias), out=out)
                examiner.close(y, expected, f"out=x, {what}")
                examiner.hold(y is out, f"infer does not return out=x ({what})")


def infer_out_refused(examiner: Examiner) -> None:
    """out of infer that overlaps an input in part, or does not fit, is refused as forward's is"""
    call = examiner.call(4, 4)
    expected = examiner.infer(call)
    for what, x, out in overlapping(call.x):
        what = f"infer into x, {what}"
        examiner.refuses(ValueError, what, examiner.infer, call.but(x=x), out=out)
    for argument in ("gamma", "beta", "mean", "var"):
        out = np.ones_like(call.x)
        within = call.but(**{argument: out[1]})
        what = f"infer with {argument} in out"
        examiner.refuses(ValueError, what, examiner.infer, within, out=out)
    both = np.repeat(call.x, 2, axis=1)
    y = examiner.infer(call.but(x=both[:, ::2]), out=both[:, 1::2])
    examiner.close(y, expected, "out between the elements of x")
    for what, kind, out in unfit(4, 4):
        examiner.refuses(kind, f"infer: out {what}", examiner.infer, call, out=out)


def infer_one_element(examiner: Examiner) -> None:
    """m = 1 in test mode is no special case"""
    examiner.function("infer")
    for shape in ((1, 5), (1, 5, 1, 1)):
        for dtype in (np.float16, np.float32, np.float64):
            call = examiner.call(*shape, dtype=dtype)
            examiner.exact(call, examiner.inference(call), f"{np.dtype(dtype)} x {shape}")


def infer_mean_zero(examiner: Examiner) -> None:
    """a mean of zero, which a kernel need not subtract, is no special case"""
    examiner.function("infer")
    for shape in ((6, 4), (3, 4, 5)):
        for dtype in (np.float16, np.float32, np.float64):
            call = examiner.call(*shape, dtype=dtype)
            call = call.but(mean=np.zeros_like(call.mean))
            examiner.exact(call, examiner.inference(call), f"{np.dtype(dtype)} x {shape}")


# What is not finite where one element of an argument is not.
REACHED = {
    "x": ("y infer", "dgamma infer"),
    "dy": ("dx infer", "dgamma infer", "dbeta infer"),
    "gamma": ("y infer", "dx infer"),
    "beta": ("y infer",),
    "mean": ("y infer", "dgamma infer"),
    "var": ("y infer", "dx infer", "dgamma infer"),
}


def infer_not_finite(examiner: Examiner) -> None:
    """in test mode NaN, infinity and var + eps <= 0 stay in their channel and are not hidden"""
    examiner.function("infer")
    call = examiner.call(8, 3)
    for what, bad, reached in _not_finite(call):
        given, expected = examiner.inference(bad), examiner.inference(call.but(eps=bad.eps))
        only_channel_one(examiner, given, expected, what)
        for name in (name for name in reached if name in given):
            finite = np.isfinite(_channel_one(given[name])).all()
            examiner.hold(not finite, f"{what}: {name} is finite, which hides it")


def _not_finite(call: Call) -> Iterator[tuple[str, Call, tuple[str, ...]]]:
    """(what, the call with one value of channel 1 replaced, the results that it reaches)."""
    for argument, reached in REACHED.items():
        for bad in (np.nan, np.inf, -np.inf):
            array = getattr(call, argument).copy()
            array[(0, 1) if array.ndim > 1 else 1] = bad
            # 1/√∞ = 0, so that an infinite variance rightly gives finite results.
            hidden = argument == "var" and bad == np.inf
            what = f"{bad} in {argument}"
            yield what, call.but(**{argument: array}), () if hidden else reached
    for what, value, eps in (("var + eps = 0", -0.25, 0.25), ("var + eps < 0", 0.25, -0.5)):
        var = call.var.copy()
        var[1] = value
        yield what, call.but(var=var, eps=eps), REACHED["var"]


def _channel_one(array: Array) -> Array:
    return array[:, 1] if array.ndim > 1 else array[1:2]


INFERENCE_CLAUSES = (
    infer_out,
    infer_out_refused,
    infer_one_element,
    infer_mean_zero,
    infer_not_finite,
)

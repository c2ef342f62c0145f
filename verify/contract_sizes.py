"""The kernel contract's clause on arrays that no kernel takes at once.

Kernels cut large arrays into parts and blocks, at sizes that small arrays never reach.
"""

from __future__ import annotations

import numpy as np

from verify.examiner import Examiner

SHAPES = ((4, 2, 40_000), (2500, 40))


def large_arrays(examiner: Examiner) -> None:
    """arrays of 100,000 elements and more are as accurate as others, in out too"""
    for shape in SHAPES:
        call = examiner.call(*shape)
        y, cache = examiner.forward(call, out=np.full_like(call.x, np.nan))
        dx, *_ = examiner.kernel.backward(call.dy, cache, out=np.full_like(call.x, np.nan))
        found = {"y": y, **examiner.derivatives(call, cache)}
        examiner.exact(call, found, f"x {shape}")
        examiner.hold(np.array_equal(dx, found["dx"]), f"x {shape}: dx in out is another")


SIZE_CLAUSES = (large_arrays,)

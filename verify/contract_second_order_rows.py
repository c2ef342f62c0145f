"""The clauses about double_backward for layers that reduce rows.

Those of :mod:`verify.contract_second_order` that do not speak of channels hold as they are.  Values
are held to exact arithmetic (:mod:`verify.exact_rows`).
"""

from __future__ import annotations

import numpy as np

from verify import contract_second_order as shared
from verify.accuracy_cases import Array
from verify.accuracy_rows import RowReference
from verify.contract_rows import RowCall, RowExaminer
from verify.contract_second_order import RESULTS, Use, argument_of, use_of, with_argument
from verify.exact_batch_norm import Affine
from verify.exact_rows import Normalised, Row
from verify.examiner import or_full


def double_backward_values(examiner: RowExaminer) -> None:
    """double_backward is right for every shape and dtype; results have x's dtype"""
    for dtype in (np.float16, np.float32, np.float64):
        for call in examiner.varied(dtype):
            _exact(examiner, _of_call(examiner, call), f"{call.x.dtype} x {call.x.shape}")


def double_backward_hard_batches(examiner: RowExaminer) -> None:
    """double_backward keeps its digits where the mean is large beside the spread"""
    for mean, std in ((1e4, 1e-2), (1e6, 1.0), (0.0, 1e15), (0.0, 1e-15), (1e10, 1e3)):
        call = examiner.wide()
        x = (mean + std * examiner.rng.normal(size=call.x.shape)).astype(np.float32)
        hard = call.but(x=x, dy=(call.dy + 100).astype(np.float32))
        _exact(examiner, _of_call(examiner, hard), f"mean {mean:g} std {std:g}")


def _of_call(examiner: RowExaminer, call: RowCall) -> Use:
    examiner.function("double_backward")
    return Use(call, call.x_dot, call.gamma_dot, call.beta_dot)


def _exact(examiner: RowExaminer, use: Use, what: str) -> None:
    call = use.call
    assert isinstance(call, RowCall)
    found, reference = use.results(examiner), _reference(examiner, use)
    for name, array in found.items():
        vector = name == "g_gamma"
        due = call.shape.vector if vector else call.x.shape
        examiner.like(array, due, call.x.dtype, f"{what}: {name}")
        lined_up = array if vector else call.lined_up(array)
        examiner.near(reference, name, lined_up, f"{what}: {name}")


def _reference(examiner: RowExaminer, use: Use) -> RowReference:
    call = use.call
    assert isinstance(call, RowCall)
    assert use.v_dx is not None
    shape, sets = call.shape, call.shape.sets
    x, dy, v_dx = (shape.table(call.lined_up(a)) for a in (call.x, call.dy, use.v_dx))
    beta = use.v_dbeta if "beta" in examiner.learnt else None
    vectors = (or_full(call.gamma, shape.vector, 1.0), use.v_dgamma, beta)
    full = [or_full(vector, shape.vector, 0.0) for vector in vectors]
    gamma, v_dgamma, v_dbeta = ([Row.of(v) for v in shape.spread(vector)] for vector in full)
    g_dy, g_x, added, condition = [], [], [], 1.0
    for k, row in enumerate(x):
        own = k % sets
        normalised = Normalised.of(
            row, gamma[own], v_dbeta[own], float(call.eps), centres=examiner.centres
        )
        condition = max(condition, normalised.condition)
        one, two, three = normalised.double_backward(dy[k], v_dx[k], v_dgamma[own], v_dbeta[own])
        g_dy.append(one)
        g_x.append(two)
        added.append([(factor, term.folded(shape.shared)) for factor, term in three])
    g_gamma = [
        Affine(tuple(term for terms in added[own::sets] for term in terms)) for own in range(sets)
    ]
    return RowReference({"g_dy": g_dy, "g_x": g_x, "g_gamma": g_gamma}, condition)


def double_backward_small(examiner: RowExaminer) -> None:
    """no elements give zero g_gamma; one in a row, less its mean, g_dy = v_dbeta and zero others"""
    for shape in ((0, 4), (4, 0), (0, 0), (2, 4, 0)):
        use = use_of(examiner, *shape)
        call = use.call
        assert isinstance(call, RowCall)
        found = use.results(examiner)
        for name in ("g_dy", "g_x"):
            examiner.like(found[name], shape, np.float32, f"x {shape}: {name}")
        due = np.zeros(call.shape.vector, np.float32)
        examiner.close(found["g_gamma"], due, f"x {shape}: g_gamma")
    if not examiner.centres:
        return
    for call in examiner.single():
        use = _of_call(examiner, call)
        found, v_dbeta = use.results(examiner), use.v_dbeta
        assert v_dbeta is not None
        spread = call.shape.spread(v_dbeta)
        rows = np.concatenate([spread[k % call.shape.sets] for k in range(call.rows)])
        expected = {
            "g_dy": rows.reshape(call.x.shape),
            "g_x": np.zeros(call.x.shape, np.float32),
            "g_gamma": np.zeros(call.shape.vector, np.float32),
        }
        examiner.same(found, expected, f"x {call.x.shape}")


def double_backward_rows_alone(examiner: RowExaminer) -> None:
    """NaN and infinity stay in their row of g_dy and g_x, and are not hidden in them or g_gamma"""
    use = _of_call(examiner, examiner.wide())
    call = use.call
    assert isinstance(call, RowCall)
    expected = use.results(examiner)
    for argument, reached in (("x", RESULTS), ("dy", RESULTS[1:]), ("v_dx", RESULTS)):
        for bad in (np.nan, np.inf, -np.inf):
            array = argument_of(use, argument).copy()
            array.reshape(-1)[-1] = bad  # of the last row
            found = with_argument(use, argument, array).results(examiner)
            what = f"{bad} in {argument}"
            for name in ("g_dy", "g_x"):
                others, due = (_but_last(call, side[name]) for side in (found, expected))
                examiner.close(others, due, f"{what}: {name} of the other rows")
            for name in reached:
                whole = found[name]
                part = whole if name == "g_gamma" else call.shape.table(call.lined_up(whole))[-1]
                hidden = np.isfinite(part).all()
                examiner.hold(not hidden, f"{what}: {name} is finite, which hides it")


def _but_last(call: RowCall, array: Array) -> Array:
    return call.shape.table(call.lined_up(array))[:-1]


SECOND_ORDER_CLAUSES = (
    double_backward_values,
    double_backward_hard_batches,
    shared.double_backward_absent,
    shared.double_backward_refuses,
    shared.double_backward_layouts,
    double_backward_small,
    double_backward_rows_alone,
    shared.double_backward_no_warning,
)

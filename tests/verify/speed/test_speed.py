"""The benchmark's parts: what is timed computes the right thing, and figures are what they say."""

from __future__ import annotations

import math
import os
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import pytest

from derive.errors import InputError
from verify.speed import measurement, worker
from verify.speed.errors import worst_errors
from verify.speed.floor import floor, second_level_cache
from verify.speed.implementations import BACKENDS, COPY, TEXTBOOK, available, makers
from verify.speed.measurement import WorkerError, count, measure
from verify.speed.problem import LAYERS, axes_of, groups_of, make, shape_of
from verify.speed.worker import Request, Timing

SHAPES = {
    "batch_norm": (6, 5, 3),
    "instance_norm": (3, 5, 4, 2),
    "group_norm": (3, 48, 5),
    "layer_norm": (4, 3, 8),
    "rms_norm": (5, 8),
    "softmax": (5, 8),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_all_implementations_compute_the_same(layer: str) -> None:
    given = make(layer, SHAPES[layer], "float64")
    found = {name: create(given) for name, create in makers(layer, available(BACKENDS)).items()}
    del found[COPY]
    right = found[TEXTBOOK].forward(), *found[TEXTBOOK].backward()
    assert len(right) == 2 + len(given.learnt)
    for calls in found.values():
        for result, expected in zip((calls.forward(), *calls.backward()), right, strict=True):
            np.testing.assert_allclose(result, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("layer", [layer for layer in LAYERS if layer != "softmax"])
def test_a_wrong_implementation_shows_in_the_errors(
    layer: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With another ε, which softmax has not."""
    assert worst_errors(layer, ("numpy",), "float32")["numpy"] < 8
    monkeypatch.setattr("verify.speed.textbook.EPS", 0.1)
    assert worst_errors(layer, ("numpy",), "float32")[TEXTBOOK] > 1e4


def test_groups_are_the_usual_number_or_what_divides_it() -> None:
    assert groups_of("group_norm", (8, 256, 14, 14)) == 32
    assert groups_of("group_norm", (8, 48, 14, 14)) == 16
    assert groups_of("group_norm", (8, 7)) == 1
    assert groups_of("batch_norm", (8, 256)) == 0
    assert axes_of("group_norm", (8, 48, 14)) == ((8, 16, 3, 14), (2, 3), (1, 2))


def test_results_go_into_the_arrays_given() -> None:
    given = make("batch_norm", (6, 5), "float32")
    calls = makers("batch_norm", ("numpy",))["numpy, out="](given)
    assert calls.forward() is calls.forward()
    assert calls.backward()[0] is calls.backward()[0]


def test_the_floor_counts_readings_and_writings() -> None:
    image, matrix, cache = (32, 64, 56, 56), (8192, 1024), 2**20
    assert floor("batch_norm", image, 4, "forward", cache) == 1.0
    assert floor("batch_norm", image, 4, "backward", cache) == 1.5
    assert floor("batch_norm", matrix, 4, "forward", cache) == 1.5
    assert floor("batch_norm", matrix, 4, "backward", cache) == 2.5
    assert floor("batch_norm", (256, 64, 112, 112), 4, "forward", cache) == 1.5
    assert floor("layer_norm", matrix, 4, "backward", cache) == 1.5
    assert floor("group_norm", image, 4, "backward", cache) == 1.5
    assert floor("group_norm", (2, 32, 1024, 1024), 4, "backward", cache) == 2.5
    assert floor("instance_norm", (2, 32, 256, 256), 4, "forward", cache) == 1.0
    assert second_level_cache() >= 2**15


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("8192", "is not sizes with x between them, like 8192x1024"),
        ("axb", "is not sizes"),
        ("8x-2", "is not sizes"),
        ("8x0", "has no elements"),
        ("99999x99999", "9,999,800,001 elements; at most"),
        ("٣x٣", "is not sizes"),
    ],
)
def test_a_shape_that_is_none(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        shape_of(text)


def request(*shapes: str, backends: tuple[str, ...] = ("numpy",)) -> Request:
    return Request("batch_norm", backends, shapes, ("float32",), 1, spent=0.0)


def test_a_worker_times_everything_in_its_own_setting() -> None:
    told: list[Timing] = []
    asked = request("8x4", "4x3x2")
    figures = list(measure(asked, measurement.KEPT, told.append))
    assert len(told) == count(asked) == 16
    assert {f.implementation for f in figures} == {TEXTBOOK, "numpy, out=", "numpy"}
    assert {f.function for f in figures} == {"forward", "backward"}
    for figure in figures:
        assert figure.minimum is not None
        assert figure.median is not None
        assert 0 < figure.minimum <= figure.median
        assert figure.copies is not None
        assert figure.copies > 0
        if figure.implementation == TEXTBOOK:
            assert figure.faster == 1.0


def test_what_an_implementation_refuses_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(_: object) -> None:
        raise RuntimeError("not implemented for 'Half'\nmore")

    monkeypatch.setattr(worker, "makers", lambda *_: {COPY: refusing})
    timings: list[Timing] = []
    worker.run(request("4x3"), timings.append)
    assert [(t.median, t.refused) for t in timings] == [(None, "not implemented for 'Half'")] * 2


def test_a_worker_that_dies_is_reported() -> None:
    broken = Request("no_such_layer", ("numpy",), ("4x3",), ("float33",), 1)
    with pytest.raises(WorkerError, match=r"ended early: TypeError: .*float33"):
        list(measure(broken, measurement.DEFAULT, lambda _: None))


def test_samples_are_taken_in_turn(monkeypatch: pytest.MonkeyPatch) -> None:
    order: list[str] = []
    calls: dict[str, Callable[[], Any]] = {n: partial(order.append, n) for n in "ab"}
    monkeypatch.setattr(worker, "SHORTEST", 0.0)
    samples = worker.interleaved(calls, 0.0)
    assert "".join(order) == "aaabbb" + "ab" * worker.ROUNDS[0]  # how long each takes, first
    assert {len(found) for found in samples.values()} == {worker.ROUNDS[0]}
    assert all(math.isfinite(s) for found in samples.values() for s in found)


def test_what_is_repeated_is_called_once_before() -> None:
    order: list[str] = []
    worker._once(partial(order.append, "a"), 3)
    assert len(order) == 4


def test_the_kept_setting_is_offered_under_glibc_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.libc_ver", lambda: ("", ""))
    assert measurement.settings() == (measurement.DEFAULT,)
    monkeypatch.setattr("platform.libc_ver", lambda: ("glibc", "2.36"))
    assert measurement.settings() == (measurement.DEFAULT, measurement.KEPT)


def test_the_machine_is_named() -> None:
    named = measurement.machine()
    assert named["numpy"] == np.__version__
    assert named["cores"] == str(os.cpu_count())
    assert named["processor"]

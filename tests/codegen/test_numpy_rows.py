"""Modules whose layers reduce each row: blocks of whole rows, axes, and other definitions."""

from __future__ import annotations

from dataclasses import replace
from math import prod
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sympy import sqrt

from codegen.backends import BACKENDS, numpy_rows_support
from codegen.backends.numpy_rows_support import _cut, _layout, _learnt
from codegen.pipeline import build
from derive.derivation import derive
from derive.expr import Definition, Var
from derive.layer import Layer
from derive.layers.layer_norm import LAYER_NORM, beta, eps, gamma, mu, n, var, x, x_hat, y
from tests.codegen.machine import each
from verify.loading import load

STD = Var("std", n)


def altered(name: str, *definitions: Definition, learnt: tuple[Var, ...]) -> Layer:
    return replace(LAYER_NORM, name=name, learnt=learnt, definitions=definitions)


MU, VAR, X_HAT, _ = LAYER_NORM.definitions
LAYERS = (
    LAYER_NORM,
    altered("bare", MU, VAR, Definition(y, (x - mu) / sqrt(var + eps)), learnt=()),
    altered("twice", MU, VAR, X_HAT, Definition(y, gamma * x_hat**2 + beta), learnt=(gamma, beta)),
    altered(
        "outside",
        MU,
        VAR,
        Definition(STD, sqrt(var) + eps),
        Definition(y, gamma * (x - mu) / STD),
        learnt=(gamma,),
    ),
)


# --- Layouts and blocks --------------------------------------------------------------------------


@settings(max_examples=120, deadline=None)
@given(st.lists(st.integers(0, 5), min_size=1, max_size=4), st.integers(1, 60), st.data())
def test_blocks_meet_every_row_once_and_whole(
    shape: list[int], size: int, data: st.DataObject
) -> None:
    features = data.draw(st.integers(1, len(shape)))
    layout = _layout(np.empty(shape), range(-features, 0))
    met = np.zeros(shape, int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_rows_support, "_BLOCK", size)
        blocks = list(layout.blocks())
    for block in blocks:
        met[block] += 1
        assert met[block].shape[-features:] == layout.features
        assert met[block].size <= max(size, layout.m)
    assert (met == 1).all()
    room = met.size // max(layout.m, 1) * (layout.m + 2)
    assert len(blocks) <= max(1, 2 * room / size + 1) or 2 * layout.m + 4 > size or not met.size


@settings(max_examples=120, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(1, 30), st.data())
def test_pieces_meet_every_element_of_a_row_once(
    shape: list[int], size: int, data: st.DataObject
) -> None:
    features = data.draw(st.integers(1, len(shape)))
    layout = _layout(np.empty(shape), range(-features, 0))
    values = np.arange(prod(shape), dtype=np.float32).reshape(shape)
    met = np.zeros(shape, int)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_rows_support, "_BLOCK", size)
        for row in layout.blocks():
            pieces = list(layout.pieces(row))
            for piece in pieces:
                met[piece] += 1
                assert met[piece].size <= size
                assert _cut(values, piece).tolist() == values[piece].tolist()
                assert _cut(values, piece).dtype == np.float64
                learnt = values[(slice(1),) * (len(shape) - features)]
                assert (_cut(np.zeros_like(learnt), piece) + met[piece]).shape == met[piece].shape
            assert len(pieces) <= max(1, 2 * met[row].size / size + 1)
    assert (met == 1).all()


@settings(max_examples=120, deadline=None)
@given(st.lists(st.integers(1, 5), min_size=1, max_size=4), st.integers(1, 40), st.data())
def test_parts_of_large_rows_have_few_parameters(
    shape: list[int], size: int, data: st.DataObject
) -> None:
    features = data.draw(st.integers(1, len(shape)))
    layout = _layout(np.empty(shape), range(-features, 0))
    met, few = np.zeros(shape, int), data.draw(st.integers(1, 40))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_rows_support, "_BLOCK", size)
        patch.setattr(numpy_rows_support, "_ROW", few)
        for part in layout.parts():
            own = layout.zeros(part)
            assert own.size <= max(few, 1)
            for block in layout.within(part):
                met[block] += 1
                assert met[block].size <= max(size, few)
                assert layout.over_rows(met[block]).shape == own.shape
    assert (met == 1).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.data())
def test_totals_are_sums(shape: list[int], data: st.DataObject) -> None:
    features = data.draw(st.integers(1, len(shape)))
    axes = data.draw(st.permutations(range(len(shape) - features, len(shape))))
    values = np.arange(prod(shape), dtype=float).reshape(shape)
    layout = _layout(values, axes)
    flat = values.reshape(-1, layout.m)
    assert (layout.total(values).ravel() == flat.sum(axis=1)).all()
    assert (layout.over_rows(values).ravel() == flat.sum(axis=0)).all()
    assert layout.total(values).shape == layout.per_row().shape
    assert layout.over_rows(values).shape == layout.zeros(layout.whole).shape


@pytest.mark.parametrize(
    ("axes", "error", "said"),
    [
        ((0,), ValueError, "axes is (0,); some of the last axes of x, each once, are needed, "
         "and x has shape (2, 3)"),
        ((-1, -1), ValueError, "axes is (-1, -1); some of the last axes of x, each once, are "
         "needed, and x has shape (2, 3)"),
        ((2,), ValueError, "axis 2 of axes is out of range for x of shape (2, 3)"),
        (-1, TypeError, "axes is -1; a tuple of integers is needed"),
    ],
)  # fmt: skip
def test_other_axes_are_refused(axes: Any, error: type[Exception], said: str) -> None:
    with pytest.raises(error) as raised:
        _layout(np.empty((2, 3)), axes)
    assert str(raised.value) == said


def test_a_parameter_has_exactly_the_shape_of_the_features() -> None:
    layout = _layout(np.empty((4, 2, 3)), (-2, -1))
    assert _learnt("gamma", np.ones((2, 3)), layout).shape == (1, 2, 3)
    assert _learnt("gamma", None, layout, 1).tolist() == [[[1.0] * 3] * 2]
    with pytest.raises(ValueError, match=r"gamma has shape \(3,\); \(2, 3\) is needed for x"):
        _learnt("gamma", np.ones(3), layout)


# --- Modules -------------------------------------------------------------------------------------


def module_of(layer: Layer) -> ModuleType:
    return load(BACKENDS["numpy"].render(build(derive(layer))), layer.name)


@pytest.mark.parametrize("block", [2**16, 3])  # rows of 8 in one block, and in pieces
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_other_definitions_have_kernels_too(layer: Layer, block: int) -> None:
    """Against central differences, and one form of the gradients against the others."""
    module: Any = module_of(layer)
    module._BLOCK, module._ROW = block, block // 2
    rng, shape = np.random.default_rng(1), (3, 2, 4)
    names = [var.label for var in layer.learnt]
    values = [rng.normal(size=shape), *(rng.normal(size=(2, 4)) for _ in names)]
    dots = [rng.normal(size=value.shape) for value in values]
    dy, options = rng.normal(size=shape), {"axes": (-2, -1), "eps": 1e-3}
    _, cache = module.forward(*values, **options)
    up, down = (
        module.forward(*(v + s * 1e-6 * d for v, d in zip(values, dots, strict=True)), **options)[0]
        for s in (1, -1)
    )
    y_dot = module.jvp(*dots, cache)
    np.testing.assert_allclose(y_dot, (up - down) / 2e-6, rtol=1e-6, atol=1e-7)
    gradients = each(module.backward(dy, cache))
    pulled = sum((g * d).sum() for g, d in zip(gradients, dots, strict=True))
    np.testing.assert_allclose(pulled, (dy * y_dot).sum())
    for fast, staged in zip(gradients, each(module.backward_staged(dy, cache)), strict=True):
        np.testing.assert_allclose(fast, staged, atol=1e-12)
    for row in range(-3, 3):
        dx = dy[row].ravel() @ module.jacobian(cache, row=row)
        np.testing.assert_allclose(dx, gradients[0][row].ravel(), atol=1e-12)


def test_the_module_says_what_is_particular_to_rows() -> None:
    module = module_of(LAYER_NORM)
    said = " ".join((module.__doc__ or "").split())
    assert "for each row, mu_i = (1/m) sum_r x_ir" in said
    assert "sum_s gamma_s dl/dy_is" in said
    assert "(of all features, if it is in x) are NaN" in said
    assert "channel" not in BACKENDS["numpy"].render(build(derive(LAYER_NORM)))

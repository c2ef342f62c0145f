"""Modules whose layers reduce within a sample: layouts, blocks, one size, other definitions."""

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

from codegen.backends import (
    BACKENDS,
    numpy_group_support,
    numpy_instance_support,
    numpy_rows_support,
)
from codegen.backends.numpy_group_support import _grouped
from codegen.backends.numpy_one_size import with_one_size
from codegen.pipeline import build
from derive.derivation import derive
from derive.errors import InputError
from derive.expr import Definition, SumOver, Var, mean
from derive.layer import Layer
from derive.layers import group_norm as gn
from derive.layers import instance_norm as inn
from tests.codegen.machine import each
from verify.loading import load

# --- Layouts and blocks --------------------------------------------------------------------------


@settings(max_examples=150, deadline=None)
@given(st.data())
def test_blocks_meet_every_row_once_and_whole(data: st.DataObject) -> None:
    groups, each = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 3))
    shape = data.draw(st.lists(st.integers(0, 4), min_size=1, max_size=3))
    axis = data.draw(st.integers(1, len(shape)))
    shape.insert(axis, groups * each)
    x = np.arange(prod(shape), dtype=float).reshape(shape)
    layout = numpy_group_support._layout(
        x, groups, data.draw(st.sampled_from([axis, axis - x.ndim]))
    )
    view, met = _grouped(x, layout), np.zeros(layout.view, int)
    total, gradient = layout.per_row(), np.full(layout.spread, np.nan)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy_rows_support, "_BLOCK", data.draw(st.integers(1, 40)))
        patch.setattr(numpy_rows_support, "_ROW", data.draw(st.integers(1, 40)))
        whole = layout.m <= numpy_rows_support._ROW
        for row in layout.blocks():
            assert all(view[row].shape[k] == layout.view[k] for k in layout.reduced)
            total[row] = layout.total(view[row])
        for part in layout.parts():
            own = layout.zeros(part)
            for block in layout.within(part):
                met[block] += 1
                assert not whole or view[block].shape[-1] == view.shape[-1] or axis == x.ndim - 1
                own += layout.over_rows(view[block])
            gradient[part] = own
    assert (met == 1).all()
    assert (total == view.sum(axis=layout.reduced, keepdims=True)).all()
    others = tuple(k for k in range(x.ndim) if k != axis)
    assert (gradient.reshape(layout.features) == x.sum(axis=others)).all()


def test_splitting_the_channels_copies_nothing() -> None:
    for x in (np.zeros((2, 3, 6)), np.zeros((6, 2, 3)).T[::-1], np.zeros((4, 5, 12))[::2, :, ::2]):
        axis = x.shape.index(6)
        layout = numpy_group_support._layout(x, 3, axis)
        assert np.shares_memory(_grouped(x, layout), x)


@pytest.mark.parametrize(
    ("groups", "axis", "error", "said"),
    [
        (4, 1, ValueError, "groups is 4; a divisor of 6 is needed, the number of channels of x of "
         "shape (2, 6, 5)"),
        (0, 1, ValueError, "groups is 0; a divisor of 6 is needed, the number of channels of x of "
         "shape (2, 6, 5)"),
        (1.0, 1, TypeError, "groups is 1.0; an integer is needed"),
        (2, 0, ValueError, "axis 0 of x of shape (2, 6, 5) is that of the samples"),
        (2, -3, ValueError, "axis -3 of x of shape (2, 6, 5) is that of the samples"),
        (2, 3, ValueError, "axis 3 is out of range for x of shape (2, 6, 5)"),
        (2, None, TypeError, "axis is None; an integer is needed"),
    ],
)  # fmt: skip
def test_other_groups_and_axes_are_refused(
    groups: Any, axis: Any, error: type[Exception], said: str
) -> None:
    x = np.empty((2, 6, 5))
    with pytest.raises(error) as raised:
        numpy_group_support._layout(x, groups, axis)
    assert str(raised.value) == said


def test_samples_have_two_axes() -> None:
    with pytest.raises(ValueError, match=r"x has shape \(3,\); \(N, C, \*spatial\) is needed"):
        numpy_instance_support._layout(np.empty(3), 1)


# --- One size ------------------------------------------------------------------------------------


def test_the_sizes_of_a_group_are_one_number() -> None:
    kernels = with_one_size(build(derive(gn.GROUP_NORM)))
    programs = [kernels.forward, kernels.backward, kernels.backward_staged, kernels.jvp]
    for kernel in (*programs, kernels.jacobian):
        sizes = {str(s) for a in kernel.program.assigns for s in a.expr.atoms()} & {"C", "S", "m"}
        assert sizes == {"m"}
    rows, columns = kernels.jacobian.program.results[1].axes[:2]
    assert (rows.base, columns.base, str(rows.size)) == ("i", "i", "m")


def test_one_of_the_sizes_alone_is_refused() -> None:
    layer = altered(gn.GROUP_NORM, "alone", -1, Definition(gn.y, gn.x_hat * gn.c.size), learnt=())
    with pytest.raises(InputError, match="alone has the size C; a kernel knows only the product"):
        with_one_size(build(derive(layer)))


# --- Modules -------------------------------------------------------------------------------------


def altered(
    layer: Layer, name: str, place: int, *new: Definition, learnt: tuple[Var, ...]
) -> Layer:
    kept = layer.definitions[:place]
    return replace(layer, name=name, learnt=learnt, definitions=(*kept, *new))


ENERGY = Var("energy", inn.n, inn.c, nonnegative=True)
LAYERS = (
    gn.GROUP_NORM,
    inn.INSTANCE_NORM,
    altered(gn.GROUP_NORM, "bare", 2, Definition(gn.y, (gn.x - gn.mu) / sqrt(gn.var + gn.eps)),
            learnt=()),
    altered(gn.GROUP_NORM, "twice", 3, Definition(gn.y, gn.gamma * gn.x_hat**2 + gn.beta),
            learnt=(gn.gamma, gn.beta)),
    altered(inn.INSTANCE_NORM, "energy", 0, Definition(ENERGY, mean(inn.x**2, inn.s)),
            Definition(inn.y, inn.gamma * inn.x / sqrt(ENERGY + inn.eps)), learnt=(inn.gamma,)),
)  # fmt: skip


@pytest.mark.parametrize("block", [2**16, 2])  # whole rows, and pieces
@pytest.mark.parametrize("axis", [1, -1])
@pytest.mark.parametrize("layer", LAYERS, ids=lambda layer: layer.name)
def test_other_definitions_have_kernels_too(layer: Layer, axis: int, block: int) -> None:
    """Against central differences, and one form of the gradients against the others."""
    module: Any = module_of(layer)
    module._BLOCK, module._ROW = block, block // 2
    rng, shape = np.random.default_rng(1), (2, 4, 3) if axis == 1 else (2, 3, 4)
    values = [rng.normal(size=shape), *(rng.normal(size=4) for _ in layer.learnt)]
    dots = [rng.normal(size=value.shape) for value in values]
    grouped = len(layer.data.axes) == 4
    options = {"axis": axis, "eps": 1e-3} | ({"groups": 2} if grouped else {})
    dy = rng.normal(size=shape)
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
    rows = 2 if grouped else 4
    by_row = (2, rows, -1, 3) if axis == 1 else (2, 3, rows, -1)
    whole, back = (
        np.moveaxis(a.reshape(by_row), 1 if axis == 1 else 2, 1) for a in (dy, gradients[0])
    )
    for row in range(-2 * rows, 2 * rows):
        sample, own = divmod(row % (2 * rows), rows)
        dx = whole[sample, own].ravel() @ module.jacobian(cache, row=row)
        np.testing.assert_allclose(dx, back[sample, own].ravel(), atol=1e-12)


def module_of(layer: Layer) -> ModuleType:
    return load(BACKENDS["numpy"].render(build(derive(layer))), layer.name)


def test_a_sum_over_part_of_what_is_reduced_is_refused() -> None:
    part = Var("part", gn.n, gn.g, gn.c)
    sums = Definition(part, SumOver(gn.x, gn.s))
    layer = altered(gn.GROUP_NORM, "part", 2, sums, Definition(gn.y, gn.x / (part + 1)), learnt=())
    with pytest.raises(InputError, match="no array layout for part yet"):
        BACKENDS["numpy"].render(build(derive(layer)))


def test_the_module_says_what_is_particular_to_groups() -> None:
    module = module_of(gn.GROUP_NORM)
    said = " ".join((module.__doc__ or "").split())
    assert "for each group of a sample, mu_ir = 1/(C S) sum_p sum_a x_irpa" in said
    assert "(of its whole group, if it is in x) are NaN" in said

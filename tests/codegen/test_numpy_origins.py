"""Cores that choose origins: statements that write into scratch, by blocks and by pieces."""

from __future__ import annotations

import re
from dataclasses import replace

import numpy as np
import pytest
from sympy import tanh

from codegen.backends.numpy_origins import origin_core
from codegen.backends.numpy_origins_support import _at, _layout, _place, _Scratch
from codegen.emit import _kernels
from derive.layers.softmax import SOFTMAX

KERNELS = _kernels(SOFTMAX)
DATA = KERNELS.derivation.layer.data


def core(name: str, *outputs: str) -> str:
    return origin_core(getattr(KERNELS, name), DATA, outputs, "The closed forms")


@pytest.mark.parametrize(("name", "output"), [("backward", "dx"), ("jvp", "y_dot")])
def test_every_operation_on_a_block_has_room_to_write_into(name: str, output: str) -> None:
    text = core(name, output)
    assert len(re.findall(r"np\.\w+\(", text)) == text.count("out=")
    assert text.count("np.exp(") == 1 + 2  # of a block; and of a piece in each of two readings


def test_no_more_scratch_is_taken_than_is_used() -> None:
    for text in core("forward", "y").split("\n\n\n"):
        assert "scratch = _Scratch(1, layout)" in text
    whole, pieces = core("backward", "dx").split("\n\n\n")
    for text, count in ((whole, 3), (pieces, 2)):
        used = {int(k) for k in re.findall(r"scratch\.\w+\((\d)", text)}
        assert used == set(range(count))
        assert f"_Scratch({count}, layout)" in text


def test_a_node_that_is_not_known_is_refused() -> None:
    kernel = KERNELS.forward
    *before, last = kernel.program.assigns
    assigns = (*before, replace(last, expr=tanh(last.expr)))
    odd = replace(kernel, program=replace(kernel.program, assigns=assigns))
    with pytest.raises(TypeError, match="no code for tanh"):
        origin_core(odd, DATA, ("y",), "")


@pytest.mark.parametrize("axis", [0, 1, 2, -1])
def test_the_place_of_the_largest(axis: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """By pieces as at once; of several the first."""
    x = np.random.default_rng(0).integers(0, 9, (5, 6, 7)).astype(np.float32)
    layout, every = _layout(x, axis), (slice(None),) * 3
    due = np.argmax(x, axis=axis, keepdims=True)
    assert (_place(x, every, layout) == due).all()
    assert (_at(x, every, due, layout) == x.max(axis=axis, keepdims=True)).all()
    for block in (1, 2, 4):
        for module in ("numpy_origins_support", "numpy_rows_support"):
            monkeypatch.setattr(f"codegen.backends.{module}._BLOCK", block)
        assert (_place(x, every, layout) == due).all()


def test_scratch_is_as_large_as_a_block_at_most() -> None:
    layout = _layout(np.empty((3, 4)), -1)
    scratch = _Scratch(2, layout)
    assert scratch.room.shape == (2, 12)
    read = scratch.read(1, np.ones((2, 4), np.float16))
    assert read.dtype == np.float64
    assert read.shape == (2, 4)
    assert np.shares_memory(read, scratch.room[1])
    assert _Scratch(1, _layout(np.empty((2, 2**20)), -1)).room.shape == (1, 2**16)

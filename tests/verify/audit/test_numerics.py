"""The accuracy table and the contract ask other people's kernels what they can answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from verify.accuracy_cases import CASES
from verify.audit import numerics
from verify.audit.call_shapes import recognise
from verify.audit.shape import Mapped, Shape
from verify.audit.target import found

CORPUS = Path(__file__).parents[2] / "audit_corpus"
EASY = [case for case in CASES if case.name.startswith("well-conditioned")]


def shape_of(target: str) -> Shape:
    with found(str(CORPUS / target)) as (kernel, module):
        return recognise(kernel, module, Mapped())


@pytest.fixture(autouse=True)
def _few_cases(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(numerics, "CASES", tuple(EASY))
    monkeypatch.setattr(numerics, "LARGE", (64, 8))


@pytest.mark.parametrize(
    ("target", "eps", "ranks"),
    [
        ("staged.py:bn_backward", None, (2,)),
        ("staged.py:bn_backward_short", None, (2,)),  # dx alone
        ("images.py:spatial_backward", None, (4,)),
        ("images.py:caffe_backward", None, (4,)),  # without gamma
        ("images.py:darknet_backward", 1e-5, (3,)),
        ("images.py:mxnet_backward", None, (2, 3, 4)),
        ("classes.py:BatchNormalization", 1e-6, (2,)),
    ],
)
def test_right_kernels_on_easy_batches(
    target: str, eps: float | None, ranks: tuple[int, ...]
) -> None:
    """In float64, images too, whatever its rank, γ and ε."""
    shape = shape_of(target)
    results = [r for r in numerics.accuracy(shape, "batch_norm", eps, ranks) if "float64" in r.name]
    assert results
    assert all(result.ok for result in results), results
    assert numerics.speed(shape, "batch_norm", ranks)["kernel"] > 0


@pytest.mark.parametrize("layer", ["layer_norm", "rms_norm"])
def test_rows(layer: str) -> None:
    shape = shape_of(f"rows.py:{layer.replace('_', '')}_backward")
    results = numerics.accuracy(shape, layer, None, (2, 3, 4))
    assert [r.ok for r in results if "float64" in r.name] == [True]
    assert numerics.contract(shape, layer, None, (2, 3, 4)) == []


def test_a_wrong_kernel_is_inaccurate() -> None:
    shape = shape_of("one_line.py:batchnorm_backward_m_minus_1")
    results = numerics.accuracy(shape, "batch_norm", None, (2,))
    assert not any(result.ok for result in results)


def test_the_contract_of_a_kernel_for_matrices() -> None:
    """What it is not asked for is not held against it; what it breaks is."""
    shape = shape_of("one_line.py:batchnorm_backward_alt")
    results = {r.name: r for r in numerics.contract(shape, "batch_norm", None, (2,))}
    assert results["layouts"].ok
    assert results["zero strides"].ok
    assert not results["wider parameters"].ok
    assert numerics.contract(shape, "batch_norm", 1e-3, (2,)) == []


def test_ours_keeps_every_clause() -> None:
    with found("generated.numpy_kernels.batch_norm:backward") as (kernel, module):
        shape = recognise(kernel, module, Mapped())
        with np.errstate(all="raise"):
            results = numerics.contract(shape, "batch_norm", None, (2, 3, 4))
    assert all(result.ok for result in results), results

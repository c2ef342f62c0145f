"""PyTorch's own forward and backward kernels on the CPU, called without autograd between them.

Each function imports PyTorch, which need not be installed.  Two layers have no such kernels:
Instance Norm is Batch Norm of x seen as (1, N·C, *spatial), with γ and β repeated, as PyTorch's own
``instance_norm`` calls it; RMSNorm is a composition, whose backward is autograd's.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from math import prod
from typing import Any

from verify.speed.calls import Calls
from verify.speed.problem import BATCH, EPS, GROUP, INSTANCE, LAYER, RMS, SOFTMAX, Array, Problem

ALL = [True] * 3  # of dx, dγ and dβ
TRAINING = (None, None, True, 0.1, EPS)  # without running statistics


NOTES = {
    INSTANCE: "torch: its batch norm of x as (1, N*C, ...), which is what its instance norm calls.",
    RMS: "torch: a composition of operations, and its backward is autograd's.",
}


def pytorch(problem: Problem) -> Calls:
    """What is timed of PyTorch."""
    torch = importlib.import_module("torch")
    x, dy, *learnt = map(torch.from_numpy, (problem.x, problem.dy, *problem.learnt))
    return KERNELS[problem.layer](torch, problem, x, dy, *learnt)


def _batch_norm(torch: Any, _: Problem, x: Any, dy: Any, gamma: Any, beta: Any) -> Calls:
    kernel = torch.ops.aten.native_batch_norm_backward
    _, *saved = torch.native_batch_norm(x, gamma, beta, *TRAINING)
    return Calls(
        lambda: torch.native_batch_norm(x, gamma, beta, *TRAINING)[0].numpy(),
        lambda: _arrays(kernel(dy, x, gamma, None, None, *saved, True, EPS, ALL)),
    )


def _instance_norm(torch: Any, _: Problem, x: Any, dy: Any, gamma: Any, beta: Any) -> Calls:
    samples, channels, *places = shape = x.shape
    kernel = torch.ops.aten.native_batch_norm_backward
    x, dy = (a.view(1, samples * channels, *places) for a in (x, dy))

    def each(learnt: Any) -> Any:
        return learnt.repeat(samples)

    def forward() -> Any:
        return torch.native_batch_norm(x, each(gamma), each(beta), *TRAINING)

    _, *saved = forward()

    def backward() -> tuple[Array, ...]:
        dx, *sums = kernel(dy, x, each(gamma), None, None, *saved, True, EPS, ALL)
        return _arrays([dx.view(shape), *(s.view(samples, channels).sum(0) for s in sums)])

    return Calls(lambda: forward()[0].view(shape).numpy(), backward)


def _group_norm(torch: Any, problem: Problem, x: Any, dy: Any, gamma: Any, beta: Any) -> Calls:
    samples, channels, *places = x.shape
    sizes = samples, channels, prod(places), problem.groups
    kernel = torch.ops.aten.native_group_norm_backward
    _, *saved = torch.native_group_norm(x, gamma, beta, *sizes, EPS)
    return Calls(
        lambda: torch.native_group_norm(x, gamma, beta, *sizes, EPS)[0].numpy(),
        lambda: _arrays(kernel(dy, x, *saved, gamma, *sizes, ALL)),
    )


def _layer_norm(torch: Any, _: Problem, x: Any, dy: Any, gamma: Any, beta: Any) -> Calls:
    kernel, width = torch.ops.aten.native_layer_norm_backward, gamma.shape
    _, *saved = torch.native_layer_norm(x, width, gamma, beta, EPS)
    return Calls(
        lambda: torch.native_layer_norm(x, width, gamma, beta, EPS)[0].numpy(),
        lambda: _arrays(kernel(dy, x, width, *saved, gamma, beta, ALL)),
    )


def _rms_norm(torch: Any, _: Problem, x: Any, dy: Any, gamma: Any) -> Calls:
    rms_norm, inputs = torch.nn.functional.rms_norm, [x.requires_grad_(), gamma.requires_grad_()]
    y = rms_norm(x, gamma.shape, gamma, EPS)
    return Calls(
        lambda: rms_norm(x, gamma.shape, gamma, EPS).detach().numpy(),
        lambda: _arrays(torch.autograd.grad(y, inputs, dy, retain_graph=True)),
    )


def _softmax(torch: Any, problem: Problem, x: Any, dy: Any) -> Calls:
    kernel, dtype = torch.ops.aten._softmax_backward_data, x.dtype
    y = torch.softmax(x, -1)
    return Calls(
        lambda: torch.softmax(x, -1).numpy(),
        lambda: _arrays([kernel(dy, y, -1, dtype)]),
    )


KERNELS: dict[str, Callable[..., Calls]] = {
    BATCH: _batch_norm,
    INSTANCE: _instance_norm,
    GROUP: _group_norm,
    LAYER: _layer_norm,
    RMS: _rms_norm,
    SOFTMAX: _softmax,
}


def _arrays(tensors: Any) -> tuple[Array, ...]:
    return tuple(tensor.numpy() for tensor in tensors)

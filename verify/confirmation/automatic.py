"""Automatic differentiation by others: PyTorch's autograd and JAX's grad, in float64.

PyTorch is asked about its own layers where it has them (``torch.nn.functional.batch_norm``, whose
backward and double backward are written by hand), JAX about the formulas of ``FORWARDS``, and
PyTorch too where it has no such layer.  ``FORWARDS`` is written for arrays of any library and owes
nothing to derive/.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from verify.confirmation.ours import Answer
from verify.confirmation.problem import Problem

Arrays = Mapping[str, Any]
Forward = Callable[[Any, Arrays], Any]  # a library's functions, and the arrays by label


def _normalised(x: Any, eps: Any, *axes: int, centre: bool = True) -> Any:
    if centre:
        x = x - x.mean(axis=axes, keepdims=True)
    return x / ((x**2).mean(axis=axes, keepdims=True) + eps) ** 0.5


def _batch_norm(_: Any, a: Arrays) -> Any:
    others = (1, -1, *(1 for _ in a["x"].shape[2:]))
    x_hat = _normalised(a["x"], a["eps"], 0, *range(2, a["x"].ndim))
    return a["gamma"].reshape(others) * x_hat + a["beta"].reshape(others)


def _inference(_: Any, a: Arrays) -> Any:
    return a["gamma"] * (a["x"] - a["mean"]) / (a["variance"] + a["eps"]) ** 0.5 + a["beta"]


def _block(g: Callable[[Any, Any], Any], behind: bool = False) -> Forward:
    def forward(xp: Any, a: Arrays) -> Any:
        z = a["W"] @ a["A"] + a["b"][:, None]
        if behind:
            z = g(xp, z)
        y = a["gamma"][:, None] * _normalised(z, a["eps"], 1) + a["beta"][:, None]
        return y if behind else g(xp, y)

    return forward


def _softmax(xp: Any, a: Arrays) -> Any:
    e = xp.exp(a["x"])
    return e / e.sum(axis=1, keepdims=True)


def _any_function(_: Any, a: Any) -> Any:
    return a**3 + 2 * a


FORWARDS: dict[str, Forward] = {
    **{f"batch_norm{rank}": _batch_norm for rank in ("", "_1d", "_2d", "_3d")},
    "batch_norm_inference": _inference,
    "block": _block(_any_function),
    "block_identity": _block(lambda xp, a: a),
    "block_sigmoid": _block(lambda xp, a: 1 / (1 + xp.exp(-a))),
    "block_tanh": _block(lambda xp, a: xp.tanh(a)),
    "block_relu": _block(lambda xp, a: xp.where(a > 0, a, 0 * a)),
    "block_behind": _block(_any_function, behind=True),
    "layer_norm": lambda xp, a: a["gamma"] * _normalised(a["x"], a["eps"], 1) + a["beta"],
    "rms_norm": lambda xp, a: a["gamma"] * _normalised(a["x"], a["eps"], 1, centre=False),
    "group_norm": lambda xp, a: (
        a["gamma"][..., None] * _normalised(a["x"], a["eps"], 2, 3) + a["beta"][..., None]
    ),
    "instance_norm": lambda xp, a: (
        a["gamma"][:, None] * _normalised(a["x"], a["eps"], 2) + a["beta"][:, None]
    ),
    "l2_normalise": lambda xp, a: (
        a["x"] / ((a["x"] ** 2).sum(axis=1, keepdims=True) + a["eps"]) ** 0.5
    ),
    "weight_standardisation": lambda xp, a: _normalised(a["W"], a["eps"], 1),
    "softmax": _softmax,
    "log_softmax": lambda xp, a: xp.log(_softmax(xp, a)),
    "softmax_cross_entropy": lambda xp, a: -(a["t"] * xp.log(_softmax(xp, a))).sum(axis=1),
}


# PyTorch's own layers; ``f`` is torch.nn.functional.
def _own_batch_norm(f: Any, a: Arrays) -> Any:
    return f.batch_norm(
        a["x"], None, None, a["gamma"], a["beta"], training=True, eps=float(a["eps"])
    )


def _own_inference(f: Any, a: Arrays) -> Any:
    learnt = (a["gamma"], a["beta"])
    return f.batch_norm(a["x"], a["mean"], a["variance"], *learnt, eps=float(a["eps"]))


def _own_group_norm(f: Any, a: Arrays) -> Any:
    x = a["x"]
    learnt = (a["gamma"].reshape(-1), a["beta"].reshape(-1))
    y = f.group_norm(x.reshape(len(x), -1, x.shape[-1]), x.shape[1], *learnt, float(a["eps"]))
    return y.reshape(x.shape)


def _own_block(activation: str) -> Forward:
    def forward(f: Any, a: Arrays) -> Any:
        z = f.linear(a["A"].T, a["W"], a["b"])
        y = f.batch_norm(z, None, None, a["gamma"], a["beta"], training=True, eps=float(a["eps"]))
        return getattr(f, activation)(y).T

    return forward


OWN: dict[str, tuple[str, Forward]] = {
    **{f"batch_norm{rank}": ("batch_norm", _own_batch_norm) for rank in ("", "_1d", "_2d", "_3d")},
    "batch_norm_inference": ("batch_norm", _own_inference),
    "block_sigmoid": ("linear, batch_norm, sigmoid", _own_block("sigmoid")),
    "block_tanh": ("linear, batch_norm, tanh", _own_block("tanh")),
    "block_relu": ("linear, batch_norm, relu", _own_block("relu")),
    "layer_norm": (
        "layer_norm",
        lambda f, a: f.layer_norm(a["x"], a["x"].shape[1:], a["gamma"], a["beta"], float(a["eps"])),
    ),
    "rms_norm": (
        "rms_norm",
        lambda f, a: f.rms_norm(a["x"], a["x"].shape[1:], a["gamma"], float(a["eps"])),
    ),
    "group_norm": ("group_norm", _own_group_norm),
    "instance_norm": (
        "instance_norm",
        lambda f, a: f.instance_norm(
            a["x"], weight=a["gamma"], bias=a["beta"], eps=float(a["eps"])
        ),
    ),
    "softmax": ("softmax", lambda f, a: f.softmax(a["x"], dim=1)),
    "log_softmax": ("log_softmax", lambda f, a: f.log_softmax(a["x"], dim=1)),
    "softmax_cross_entropy": (
        "cross_entropy",
        lambda f, a: f.cross_entropy(a["x"], a["t"], reduction="none"),
    ),
}


class Torch:
    """PyTorch's autograd, on the CPU with one thread."""

    name = "PyTorch"

    def __init__(self) -> None:
        self.torch: Any = importlib.import_module("torch")
        self.torch.set_num_threads(1)

    def answers(self, problem: Problem) -> tuple[Answer, Answer]:
        """Of the first and of the second order; the second is empty where it is not asked for."""
        torch = self.torch
        arrays = {k: torch.tensor(v) for k, v in problem.given.items()}
        for label in problem.inputs:
            arrays[label].requires_grad_()
        dy = torch.tensor(problem.cotangent, requires_grad=True)
        name = problem.layer.name
        if name not in FORWARDS:
            return {}, {}
        if name in OWN:
            y = OWN[name][1](importlib.import_module("torch.nn.functional"), arrays)
        else:
            y = FORWARDS[name](torch, arrays)
        inputs = {label: arrays[label] for label in problem.inputs}
        again = problem.has_second
        found = torch.autograd.grad(y, [*inputs.values()], dy, create_graph=again)
        first = {k: g.detach().numpy() for k, g in zip(inputs, found, strict=True)}
        if not again:
            return first, {}
        by = {"cotangent": dy, **inputs}
        v = [torch.tensor(problem.second[label]) for label in inputs]
        twice = torch.autograd.grad(found, [*by.values()], v, materialize_grads=True)
        return first, {k: g.detach().numpy() for k, g in zip(by, twice, strict=True)}


class Jax:
    """JAX's reverse mode, of the formulas above."""

    name = "JAX"

    def __init__(self) -> None:
        self.jax: Any = importlib.import_module("jax")
        self.jax.config.update("jax_enable_x64", True)

    def answers(self, problem: Problem) -> tuple[Answer, Answer]:
        xp = importlib.import_module("jax.numpy")
        if problem.layer.name not in FORWARDS:
            return {}, {}
        forward = FORWARDS[problem.layer.name]
        fixed = {k: xp.asarray(v) for k, v in problem.given.items() if k not in problem.inputs}

        def loss(point: Arrays) -> Any:
            return (point["cotangent"] * forward(xp, {**fixed, **point})).sum()

        def along(point: Arrays) -> Any:
            gradients = self.jax.grad(loss)(point)
            return sum((gradients[k] * v).sum() for k, v in problem.second.items())

        point = {"cotangent": problem.cotangent, **problem.inputs}
        first = self._numbers(loss, point)
        first.pop("cotangent")
        return first, self._numbers(along, point) if problem.has_second else {}

    def _numbers(self, function: Callable[[Arrays], Any], point: Arrays) -> dict[str, Any]:
        gradient = self.jax.jit(self.jax.grad(function))(point)
        return {label: np.asarray(values) for label, values in gradient.items()}

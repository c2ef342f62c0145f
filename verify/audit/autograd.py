"""Kernels of PyTorch, called through autograd: functions, autograd.Functions and modules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from derive.errors import InputError
from verify.audit.roles import NAMES, Parameter, call, parameters
from verify.audit.shape import Shape, name_of


def pytorch() -> Any:
    try:
        import torch
    except ImportError:
        raise InputError(
            "it takes no dy, so its gradients are those of autograd, and PyTorch is not installed"
        ) from None
    return torch


def through_autograd(
    target: Callable[..., Any], takes: Sequence[Parameter], name: str = ""
) -> Shape:
    torch = pytorch()
    roles = {p.role for p in takes}

    def backward(values: Mapping[str, Any]) -> dict[str, Any]:
        leaves: dict[str, Any] = {
            role: values[role].clone().requires_grad_()
            for role in ("x", "gamma", "beta")
            if role in roles
        }
        y = call(target, takes, {**values, **leaves})
        y = y[0] if isinstance(y, tuple) else y
        return _gradients(torch, y, leaves, values["dy"])

    shown = ", ".join(p.name for p in takes)
    says = f"{name or name_of(target)}({shown}), through PyTorch's autograd"
    takes_gamma = "gamma" in roles
    return Shape(says, "eps" in roles, backward, (), tensors=True, takes_gamma=takes_gamma)


def nn_module(target: Any) -> Shape:
    torch = pytorch()
    init = parameters(target.__init__)[1:]

    def backward(values: Mapping[str, Any]) -> dict[str, Any]:
        layer = call(target, init, values).to(values["x"].dtype).train()
        leaves: dict[str, Any] = {"x": values["x"].clone().requires_grad_()}
        for role in ("gamma", "beta"):
            for name, parameter in layer.named_parameters():
                if name.rpartition(".")[2] in NAMES[role].split():
                    parameter.data = values[role].clone().reshape(parameter.shape)
                    leaves[role] = parameter
        return _gradients(torch, layer(leaves["x"]), leaves, values["dy"])

    says = f"module {name_of(target)}, through PyTorch's autograd"
    return Shape(says, any(p.role == "eps" for p in init), backward, (), tensors=True)


def _gradients(torch: Any, y: Any, leaves: Mapping[str, Any], dy: Any) -> dict[str, Any]:
    if not isinstance(y, torch.Tensor) or not y.requires_grad:
        raise InputError("its result has no gradient: it is no PyTorch function of x")
    found = torch.autograd.grad(y, [*leaves.values()], dy, allow_unused=True)
    pairs = zip(leaves, found, strict=True)
    return {f"d{role}": gradient for role, gradient in pairs if gradient is not None}

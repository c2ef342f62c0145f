"""How a kernel that somebody else wrote is called: recognised by what it is and takes.

* ``backward(dy, x, gamma, mean, var, eps)``, or with any other saved quantities, in any order;
* ``backward(dy, cache)`` with the ``forward`` beside it that makes the cache;
* a class with ``forward`` and ``backward``, which keeps what it needs and its gradients;
* a ``torch.autograd.Function``, a ``torch.nn.Module`` and a PyTorch function of (x, gamma, beta),
  all three through autograd.

A kernel may return dx alone, a tuple, or a dictionary.  NumPy's arrays are passed, or PyTorch's
tensors where the target's module has imported ``torch``.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import ModuleType
from typing import Any

import numpy as np

from derive.errors import InputError
from verify.audit.autograd import nn_module, through_autograd
from verify.audit.roles import NAMES, SETTLES_EPS, Parameter, call, parameters
from verify.audit.shape import Mapped, Shape, name_of, uses_torch

# What a kernel has γ from: itself, a dictionary, or, as ones of its own, the number of features.
HOLDS_GAMMA = frozenset({"gamma", "param", "features"})
FORWARD = (("backward", "forward"), ("bwd", "fwd"), ("bprop", "fprop"), ("grad", "forward"))


def recognise(target: Any, module: ModuleType, mapped: Mapped) -> Shape:
    """How the target is called.  Raises InputError that says what is missing."""
    if inspect.isclass(target):
        return _class(target, module, mapped)
    if not callable(target):
        raise InputError(f"it is a {type(target).__name__}, not a function or a class")
    takes = parameters(target, mapped.args)
    roles = [p.role for p in takes]
    if "dy" in roles:
        return _function(target, takes, module, mapped)
    if "x" in roles:
        return through_autograd(target, takes)
    shown = ", ".join(p.name for p in takes) or "nothing"
    raise InputError(
        f"it takes {shown}, of which none is recognised as dy or x: say with --args what its "
        f"arguments are, of {', '.join(NAMES)}"
    )


# --- Functions ------------------------------------------------------------------------------------


def _function(
    target: Callable[..., Any], takes: Sequence[Parameter], module: ModuleType, mapped: Mapped
) -> Shape:
    unknown = [p for p in takes if p.required and p.role in ("", "cache")]
    names = ", ".join(p.name for p in takes)
    tensors = uses_torch(module)
    if unknown or mapped.forward:
        return _pair(target, takes, module, mapped)
    roles = {p.role for p in takes}
    return Shape(
        f"{name_of(target)}({names})",
        bool(roles & SETTLES_EPS),
        lambda values: call(target, takes, values),
        mapped.returns,
        given={"x", "mean"} <= roles,
        takes_gamma="gamma" in roles,
        tensors=tensors,
    )


def _pair(
    target: Callable[..., Any], takes: Sequence[Parameter], module: ModuleType, mapped: Mapped
) -> Shape:
    forward = _forward_of(target, module, mapped)
    if forward is None:
        unknown = next(p.name for p in takes if p.required and p.role in ("", "cache"))
        raise InputError(
            f"it takes {unknown}, and no forward is found that makes it: name that with --forward, "
            f"or say with --args what the arguments are, of {', '.join(NAMES)}"
        )
    inputs = parameters(forward)

    def backward(values: Mapping[str, Any]) -> Any:
        made = call(forward, inputs, values)
        if not isinstance(made, tuple) or len(made) < 2:
            raise InputError(f"{name_of(forward)} returns no (y, cache)")
        own = _saved(made[1:], takes)
        filled = [replace(p, role=p.name) if p.name in own else p for p in takes]
        return call(target, filled, {**values, **own})

    roles = {p.role for p in inputs} | {p.role for p in takes}
    shown = ", ".join(p.name for p in takes)
    given = ", ".join(p.name for p in inputs)
    says = f"{name_of(target)}({shown}), after {name_of(forward)}({given})"
    tensors = uses_torch(module)
    return Shape(
        says,
        bool(roles & SETTLES_EPS),
        backward,
        mapped.returns,
        tensors=tensors,
        takes_gamma=bool(roles & HOLDS_GAMMA),
    )


def _saved(saved: tuple[Any, ...], takes: Sequence[Parameter]) -> dict[str, Any]:
    """What forward returned behind y, for the parameters that it is for: all but dy if there are as
    many, else those whose names say nothing; a single one takes all of it."""
    others = [p.name for p in takes if p.required and p.role != "dy"]
    unknown = [p.name for p in takes if p.required and p.role in ("", "cache")]
    if len(saved) == 1 and len(unknown) > 1 and isinstance(saved[0], (tuple, list)):
        saved = tuple(saved[0])
    if len(saved) == len(others):
        return dict(zip(others, saved, strict=True))
    if len(unknown) == 1:
        return {unknown[0]: saved[0] if len(saved) == 1 else saved}
    return dict(zip(unknown, saved, strict=False))


def _forward_of(
    target: Callable[..., Any], module: ModuleType, mapped: Mapped
) -> Callable[..., Any] | None:
    if mapped.forward:
        found = getattr(module, mapped.forward, None)
        if not callable(found):
            raise InputError(f"there is no function {mapped.forward}, which --forward names")
        return found
    name = name_of(target)
    for back, ahead in FORWARD:
        stem, found_back, rest = name.partition(back)
        if not found_back:
            continue
        while True:  # batchnorm_backward_alt goes with batchnorm_forward
            found = getattr(module, f"{stem}{ahead}{rest}", None)
            if callable(found):
                return found
            if not rest:
                break
            rest = rest.rpartition("_")[0]
    return None


# --- Classes --------------------------------------------------------------------------------------


def _class(target: Any, module: ModuleType, mapped: Mapped) -> Shape:
    torch = sys.modules.get("torch")
    if torch is not None and issubclass(target, torch.autograd.Function):
        takes = parameters(target.forward, mapped.args)
        if takes and takes[0].role in ("cache", ""):  # ctx
            takes = takes[1:]
        return through_autograd(target.apply, takes, name_of(target))
    if torch is not None and issubclass(target, torch.nn.Module):
        return nn_module(target)
    for name in ("forward", "backward"):
        if not callable(getattr(target, name, None)):
            raise InputError(
                f"class {name_of(target)} has no {name}; forward and backward are needed"
            )
    return _layer_class(target, module, mapped)


def _layer_class(target: Any, module: ModuleType, mapped: Mapped) -> Shape:
    def own(name: str) -> tuple[Parameter, ...]:
        if name == "__init__" and target.__init__ is object.__init__:
            return ()
        bound = isinstance(inspect.getattr_static(target, name), (staticmethod, classmethod))
        return parameters(getattr(target, name))[0 if bound else 1 :]

    init, ahead, back = own("__init__"), own("forward"), own("backward")
    roles = {p.role for p in (*init, *ahead, *back)}

    def backward(values: Mapping[str, Any]) -> Any:
        layer = call(target, init, values)
        _set(layer, {role: values[role] for role in ("gamma", "beta", "eps") if role not in roles})
        made = call(layer.forward, ahead, values)
        rest = [*made[1:]] if isinstance(made, tuple) else []
        saved = {"cache": rest[0] if len(rest) == 1 else tuple(rest)} if rest else {}
        returned = call(layer.backward, back, {**values, **saved})
        return returned if isinstance(returned, (tuple, list, dict)) else _kept(layer, returned)

    has_eps = any(hasattr(target, name) for name in ("eps", "epsilon"))
    says = f"class {name_of(target)} with forward and backward"
    return Shape(
        says,
        bool(roles & SETTLES_EPS) or has_eps,
        backward,
        mapped.returns,
        tensors=uses_torch(module),
        takes_gamma=bool(roles & HOLDS_GAMMA),
    )


def _set(layer: Any, values: Mapping[str, Any]) -> None:
    """Values by role that the class holds as attributes, or in a dictionary ``params``."""
    for role, value in values.items():
        for name in NAMES[role].split():
            if hasattr(layer, name) and not callable(getattr(layer, name)):
                current = getattr(layer, name)
                shaped = np.shape(current) if isinstance(current, np.ndarray) else None
                fits = shaped is not None and np.size(current) == np.size(value)
                setattr(layer, name, np.reshape(value, shaped) if fits else value)
                break
            if name in (held := getattr(layer, "params", {})) and isinstance(held, dict):
                held[name] = np.reshape(value, np.shape(held[name]))
                break


def _kept(layer: Any, dx: Any) -> dict[str, Any]:
    """dx with the gradients that the layer keeps as attributes or in a dictionary."""
    found = {"dx": dx}
    grads = getattr(layer, "grads", {})
    for label in ("gamma", "beta"):
        for name in NAMES[label].split():
            for attribute in (f"d{name}", f"d_{name}", f"grad_{name}", f"{name}_grad"):
                if getattr(layer, attribute, None) is not None:
                    found.setdefault(f"d{label}", getattr(layer, attribute))
            if isinstance(grads, dict) and name in grads:
                found.setdefault(f"d{label}", grads[name])
    return found

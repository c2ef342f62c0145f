"""A kernel whose call is known, and what a user may say about the call."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from derive.errors import InputError
from verify.audit.roles import GRADIENTS, NAMES


@dataclass(frozen=True)
class Mapped:
    """What a user says about a kernel: the roles of its arguments, what it returns, and the name
    of its forward."""

    args: tuple[str, ...] = ()
    returns: tuple[str, ...] = ()
    forward: str = ""

    def __post_init__(self) -> None:
        for kind, given, known in (
            ("--args", self.args, (*NAMES,)),
            ("--returns", self.returns, (*GRADIENTS, "_")),
        ):
            if unknown := [name for name in given if name not in known]:
                raise InputError(f"{kind} knows {', '.join(known)}, not {unknown[0]!r}")


@dataclass(frozen=True)
class Shape:
    """A recognised kernel: ``says`` how it is called, ``takes_eps`` whether ε reaches it, and
    ``given`` whether it is given x, the mean and the variance one by one, ``tensors`` whether its
    arrays are PyTorch's.  Without ``takes_gamma`` the scale is a layer of its own.
    """

    says: str
    takes_eps: bool
    backward: Callable[[Mapping[str, Any]], Any]
    returns: tuple[str, ...] = ()
    given: bool = False
    tensors: bool = False
    takes_gamma: bool = True


def name_of(target: Any) -> str:
    """What a function or class is called."""
    return getattr(target, "__name__", type(target).__name__)


def uses_torch(module: ModuleType) -> bool:
    """Whether the module has imported PyTorch by its name."""
    torch = sys.modules.get("torch")
    return torch is not None and any(value is torch for value in vars(module).values())

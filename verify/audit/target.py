"""The function or class that a user names: ``file.py:function`` or ``package.module:function``."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from derive.errors import InputError
from verify.contract_target import opened

DEFAULT = "backward"  # what is meant where a module alone is named


@contextmanager
def found(target: str) -> Iterator[tuple[Any, ModuleType]]:
    """The object and its module, which is imported, and so executed.

    Raises InputError with one line where there is no such thing.
    """
    place, colon, name = target.rpartition(":")
    drive = set("/\\") & set(name)  # the colon is that of C:\\kernels.py
    if not (colon and place and name) or drive:
        place, name = target.removesuffix(":"), DEFAULT
    with opened(place) as module:
        value: Any = module
        for part in name.split("."):
            try:
                value = getattr(value, part)
            except AttributeError:
                raise InputError(f"{place} has no {name}; {_offers(module)}") from None
        yield value, module


def _offers(module: ModuleType) -> str:
    own = [
        name
        for name, value in vars(module).items()
        if callable(value) and getattr(value, "__module__", None) == module.__name__
    ]
    shown = ", ".join(own[:8])
    return f"it has {shown}" if own else "it has no function of its own"

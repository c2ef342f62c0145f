"""What every implementation offers to be timed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

Function = Callable[[], Any]


class Calls(NamedTuple):
    """``forward`` gives y; ``backward``, called after it, dx and what γ and β get."""

    forward: Function
    backward: Function

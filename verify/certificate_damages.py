"""Damages to a certificate, each of which the checker has to refuse.

Every field is changed, every item of a list and every field of an object left out, and a field that
does not belong is added.  What carries no claim, and what damages do not touch for that reason, is
:data:`WORDS`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

Json = Any
Path = tuple[str | int, ...]

# Fields that are for readers: nothing follows from them.
WORDS = {
    "layer": "the name of the layer",
    "title": "its title",
    "source": "where its definition comes from",
    "note": "what a definition is, in words",
    "rule": "the name of the rule by which a step was found",
    "why": "the reason of a step, in words and formulas",
    "says": "a fact in words",
    "axes": "what the size of an axis is called: formulas say size of n",
}


@dataclass(frozen=True)
class Damage:
    """A certificate with one thing changed: what and where, and the whole."""

    path: Path
    what: str
    data: Json

    @property
    def name(self) -> str:
        return f"{'.'.join(map(str, self.path)) or 'certificate'}: {self.what}"

    @property
    def in_formula(self) -> bool:
        """Whether it is a part of a formula, and not a field by itself."""
        return len(self.path) > 2 and isinstance(self.path[-1], int)


def damages(data: Json) -> Iterator[Damage]:
    """Every damage, in the order of the fields."""
    for path, value in _nodes(data, ()):
        for what, changed in _changes(value, data):
            yield Damage(path, what, _with(data, path, changed))


def _nodes(value: Json, path: Path) -> Iterator[tuple[Path, Json]]:
    """Every part of a certificate that carries a claim."""
    yield path, value
    if isinstance(value, dict):
        for key, item in value.items():
            # With one more sign assumed it would be another theorem, and the sign is printed.
            if key not in WORDS and not (key == "sign" and item is None):
                yield from _nodes(item, (*path, key))
    elif isinstance(value, list):
        for place, item in enumerate(value):
            yield from _nodes(item, (*path, place))


def _changes(value: Json, data: Json) -> Iterator[tuple[str, Json]]:
    if isinstance(value, dict):
        for key in value:
            yield f"{key} left out", {name: item for name, item in value.items() if name != key}
        yield "a field added", {**value, "extra": 0}
    elif isinstance(value, list):
        for place in range(len(value)):
            yield f"item {place} left out", value[:place] + value[place + 1 :]
    elif value is None:
        yield "something", "positive"
    elif isinstance(value, str):
        yield "another name", _other(value, data)
        yield "no name", "?"
    else:
        yield "1 more", value + 1
        yield "its negative", -value or 7


def _other(name: str, data: Json) -> str:
    """What could stand in the place of a name: the next of its kind."""
    quantities = [part["name"] for kind in _DECLARED for part in data[kind]]
    for kind in (quantities, [*data["axes"]], _FUNCTIONS, _OPERATIONS, _SIGNS, _COORDINATES):
        if name in kind and len(kind) > 1:
            return str(kind[(kind.index(name) + 1) % len(kind)])
    return name + "x"


_DECLARED = ("inputs", "parameters", "definitions")
_FUNCTIONS = ["exp", "log", "sigmoid", "tanh", "abs", "sign", "relu", "step"]
_OPERATIONS = ["add", "mul"]
_SIGNS = ["positive", "nonnegative"]
_COORDINATES = ["root", "solved", "unfolded", "named"]


def _with(data: Json, path: Path, changed: Json) -> Json:
    """The same data but for one place; what is beside it is shared."""
    if not path:
        return changed
    first, rest = path[0], path[1:]
    inner = _with(data[first], rest, changed)
    if isinstance(first, str):
        return {**data, first: inner}
    return [*data[:first], inner, *data[first + 1 :]]

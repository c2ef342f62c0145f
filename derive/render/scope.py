"""The letters of indices.

The axes that stay free in the whole equation get theirs first, by level; a bound axis then gets the
first letter that is not in use where it stands.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain, count

from derive.expr import Axis, Var, sorted_axes
from derive.render.notation import Notation


@dataclass(frozen=True)
class Scope:
    """The letters in use at one place of an equation; an axis without an alphabet is hidden.

    ``wrt`` is what tangents are derivatives with respect to, where that is a single element.
    """

    notation: Notation
    alphabets: Mapping[str, str]
    letters: Mapping[Axis, str]
    used: frozenset[str] = frozenset()
    wrt: Var | None = None

    def bind(self, axis: Axis, *, summed: bool = False) -> Scope:
        """The scope in which ``axis`` has the first letter of its alphabet that is free; an index
        of summation first tries those that the notation keeps for sums."""
        if axis.base not in self.alphabets:
            raise ValueError(f"the axis {axis.base} is summed or compared, so it must be shown")
        alphabet = self.alphabets[axis.base]
        first = [letter for letter in alphabet if summed and letter in self.notation.for_sums]
        letters = chain(first, alphabet, (f"{alphabet[0]}{number}" for number in count(2)))
        letter = next(letter for letter in letters if letter not in self.used)
        return replace(self, letters={**self.letters, axis: letter}, used=self.used | {letter})

    def letter(self, axis: Axis) -> str:
        if axis not in self.letters:
            raise ValueError(f"the axis {axis.base} is summed or compared, so it must be shown")
        return self.letters[axis]

    def index(self, axes: Iterable[Axis]) -> tuple[str, ...]:
        """The letters of those axes that are shown."""
        return tuple(self.letter(axis) for axis in axes if axis.base in self.alphabets)


def scope_of(free: frozenset[Axis], notation: Notation, shown: Sequence[str]) -> Scope:
    """The scope of an equation with these free axes; ``shown`` are the bases of printed axes.

    Raises ValueError if too many axes are to be shown, or one that has two indices is not.
    """
    if len(set(shown)) != len(shown) or len(shown) > len(notation.alphabets):
        raise ValueError(
            f"up to {len(notation.alphabets)} different axes can be shown, not {list(shown)}"
        )
    scope = Scope(notation, dict(zip(shown, notation.alphabets, strict=False)), {})
    for axis in sorted_axes(free):
        if axis.base in shown:
            scope = scope.bind(axis)
        elif axis.level:
            raise ValueError(f"the axis {axis.base} has two indices, so it must be shown")
    return scope

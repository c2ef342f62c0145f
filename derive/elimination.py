"""In which order a sum over several axes is taken apart, one axis at a time.

The order is fixed by the summand itself, so that equal sums come to the same: the axis that
entangles the fewest others goes first (Σₙ꜀ γ꜀gₙ꜀ = Σ꜀ γ꜀ Σₙ gₙ꜀), then those that the identities
speak of.
"""

from __future__ import annotations

from collections.abc import Sequence

from derive.chart import Chart
from derive.expr import Axis, free_axes, rename
from derive.polynomial import Monomial


def elimination_order(axes: tuple[Axis, ...], powers: Monomial, chart: Chart) -> Sequence[Axis]:
    """The axes, the first to be eliminated first."""
    if len(axes) == 1:
        return axes

    def key(axis: Axis) -> tuple[int, bool, str, list[str], str]:
        around = [(g, p) for g, p in powers if axis in free_axes(g)]
        entangled = {a for g, _ in around for a in free_axes(g)} & set(axes)
        named = any(axis.base in identity.bound for identity in chart.identities)
        occurs: list[str] = []
        if sum(other.base == axis.base for other in axes) > 1:
            # Where it occurs tells apart two indices over one range, whatever they are called.
            others = {a: Axis(f"({a.base})", a.size.name) for a in entangled}
            marked = {**others, axis: Axis("(this)", axis.size.name)}
            occurs = sorted(f"{rename(g, marked)} ** {p}" for g, p in around)
        return len(entangled), not named, axis.base, occurs, axis.name

    return sorted(axes, key=key)

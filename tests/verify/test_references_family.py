"""The rational points of the family: every root and logarithm exists there, and groups differ."""

from __future__ import annotations

from fractions import Fraction
from random import Random

import pytest

from derive.layers import LAYERS
from verify.exact import Point, draw
from verify.fields import RATIONALS, Index
from verify.references import REFERENCES
from verify.references_family import groups

SCALED = ["group_norm", "instance_norm", "l2_normalise", "weight_standardisation"]
SOFTMAX = ["log_softmax", "softmax_cross_entropy"]


def rational_point(name: str, m: int) -> Point:
    return draw(LAYERS[name], REFERENCES[name], RATIONALS, m, Random(f"{name} {m}"))


@pytest.mark.parametrize("name", SCALED)
@pytest.mark.parametrize("m", [2, 3, 7])
def test_every_group_has_a_root_of_its_own(name: str, m: int) -> None:
    point = rational_point(name, m)
    statistics = point.traced["square_norm" if name == "l2_normalise" else "var"]
    eps = point.given["eps"][()]
    roots = {RATIONALS.sqrt(value + eps) for value in statistics.values()}
    assert len(roots) == len(statistics) >= 2
    assert eps > 0


@pytest.mark.parametrize("name", SOFTMAX)
@pytest.mark.parametrize("m", [1, 2, 3, 12])
def test_every_probability_is_a_power_of_two(name: str, m: int) -> None:
    point = rational_point(name, m)
    for p in groups(point.traced["p"], 1).values():
        assert sum(p.values()) == 1
        assert len(p) == m
        assert all(value.numerator == 1 for value in p.values())
        assert m < 3 or len(set(p.values())) > 1
    if name == "log_softmax":
        assert all(
            Fraction(2) ** int(y) == point.traced["p"][at] for at, y in point.traced["y"].items()
        )


def test_a_group_is_told_by_its_first_indices() -> None:
    x: dict[Index, int] = {
        (i, j, k): 4 * i + 2 * j + k for i in range(2) for j in range(2) for k in range(2)
    }
    assert groups(x, 1)[1,] == {at: value for at, value in x.items() if at[0] == 1}
    assert list(groups(x, 2)) == [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert groups(x, 2)[0, 1] == {(0, 1, 0): 2, (0, 1, 1): 3}

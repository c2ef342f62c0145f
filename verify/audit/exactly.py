"""Batches of rational numbers, their true gradients, and how a kernel's compare: *exact*.

The truth comes from a separately written definition, run on dual numbers (:mod:`verify.exact`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cache
from random import Random
from typing import Any

from derive.expr import Var
from derive.layers import LAYERS
from verify.exact import Point, draw
from verify.fields import RATIONALS
from verify.references import REFERENCES

SIZES = (2, 3, 4, 5)


@cache
def _points(layer: str) -> tuple[Point, ...]:
    rng = Random(f"audit {layer}")
    return tuple(draw(LAYERS[layer], REFERENCES[layer], RATIONALS, m, rng) for m in SIZES)


def batches(layer: str) -> list[dict[str, Any]]:
    """The inputs of every batch, as text, for the kernel's own process."""
    return [_written(point) for point in _points(layer)]


def _written(point: Point) -> dict[str, Any]:
    x = point.given["x"]
    rows, columns = (1 + max(at[k] for at in x) for k in (0, 1))
    learnt = len(point.given["gamma"])

    def matrix(entries: Mapping[Any, Any]) -> list[list[str]]:
        return [[str(entries[n, c]) for c in range(columns)] for n in range(rows)]

    def vector(label: str) -> list[str]:
        entries = point.given.get(label, {})
        return [str(entries.get((c,), 0)) for c in range(learnt)]

    return {
        "x": matrix(x),
        "dy": matrix(point.directions["dy"]),
        "gamma": vector("gamma"),
        "beta": vector("beta"),
        "eps": str(point.given["eps"][()]),
    }


def compared(layer: str, results: Sequence[Mapping[str, Sequence[str]]]) -> tuple[int, bool]:
    """How many numbers a kernel gave, and whether all of them are equal to the true ones."""
    count, equal = 0, True
    for point, found in zip(_points(layer), results, strict=True):
        for label, numbers in found.items():
            of = point.layer.data if label == "dx" else _learnt(point, label)
            indices = sorted(point.given[of.label])
            due = [point.adjoint(of.label, at) for at in indices]
            equal &= [Fraction(number) for number in numbers] == due
            count += len(due)
    return count, equal


def _learnt(point: Point, label: str) -> Var:
    return next(var for var in point.layer.learnt if f"d{var.label}" == label)

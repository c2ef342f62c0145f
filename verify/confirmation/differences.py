"""Finite differences of the references in extended precision: no rule of differentiation at all.

With 80 digits and a step of 10⁻²⁰, (f(x + h) − f(x − h))/2h is off by h² ~ 10⁻⁴⁰, and a difference
of differences by as much, with 40 digits left.  The second order takes the gradients all together,
along their cotangents: Σ v·∂ℓ/∂u is one directional derivative D of the loss, so that its
derivatives are differences of D.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from verify.confirmation.ours import Answer, reals
from verify.confirmation.problem import Problem
from verify.exact import run
from verify.fields import Scalar
from verify.precise import entries
from verify.references import REFERENCES

STEP = 20  # digits
Point = Mapping[str, Any]  # arrays of numbers: each input, parameter and the cotangent


def first(problem: Problem) -> Answer:
    return _gradient(problem, _loss, list(problem.inputs))


def second(problem: Problem) -> Answer:
    return _gradient(problem, _along, ["cotangent", *problem.inputs])


def _gradient(
    problem: Problem, function: Callable[[Problem, Point], Scalar], labels: list[str]
) -> Answer:
    point, h = _point(problem), _step()
    found: dict[str, Any] = {}
    for label in labels:
        found[label] = np.empty(point[label].shape, dtype=object)
        for at in np.ndindex(point[label].shape):
            there = (function(problem, _moved(point, label, at, s * h)) for s in (1, -1))
            up, down = there
            found[label][at] = (up - down) / (2 * h)
    return found


def _step() -> Scalar:
    return reals().number(10) ** -STEP


def _point(problem: Problem) -> Point:
    numbers = reals()

    def array(values: Any) -> Any:
        result = np.empty(values.shape, dtype=object)
        for at, value in entries(numbers, values).items():
            result[at] = value
        return result

    given = {label: array(values) for label, values in problem.given.items()}
    return {**given, "cotangent": array(problem.cotangent)}


def _moved(point: Point, label: str, at: tuple[int, ...], by: Scalar) -> Point:
    array = point[label].copy()
    array[at] = array[at] + by
    return {**point, label: array}


def _loss(problem: Problem, point: Point) -> Scalar:
    """Σ cotangent·output."""
    given = {
        label: {at: array[at] for at in np.ndindex(array.shape)}
        for label, array in point.items()
        if label != "cotangent"
    }
    *_, output = run(REFERENCES[problem.layer.name].forward, reals(), given).values()
    return sum(point["cotangent"][at] * value for at, value in output.items())


def _along(problem: Problem, point: Point) -> Scalar:
    """Σ second·gradient: the loss along the second cotangents."""
    h = _step()

    def there(sign: int) -> Scalar:
        moved = {k: point[k] + sign * h * v for k, v in problem.second.items()}
        return _loss(problem, {**point, **moved})

    return (there(1) - there(-1)) / (2 * h)

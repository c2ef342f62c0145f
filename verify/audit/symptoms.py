"""How wrong a gradient is, and where: on which probes it is right all the same."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from verify.audit.probes import GROWING, SPECIAL, scales, truth
from verify.audit.sample import Sample

GROWTH = 0.4  # the power of m from which an error is said to depend on it
# What counts as right, relative to what is added up, by the dtype of the result.
RIGHT = {"float64": 1e-9, "float32": 3e-5, "float16": 5e-2}
# Where a gradient is 0 itself, so that being right there says nothing.
VANISHES = {"dgamma": "sum dy x_hat = 0", "dbeta": "sum dy = 0"}
ROUNDED = 2e-5  # an error everywhere below this, in float64, is that of float32


@dataclass(frozen=True)
class Gradient:
    """One result: its largest error on each probe by name, relative to what is added up.

    ``limit`` is the largest that counts as right.
    """

    name: str
    errors: Mapping[str, float]
    limit: float

    @property
    def worst(self) -> float:
        return max(self.errors.values())

    @property
    def typical(self) -> float:
        """The worst error where x is of the size of its deviation; if there is none, of all."""
        usual = [e for name, e in self.errors.items() if not name.startswith("var ")]
        return max(usual) if max(usual) > self.limit else self.worst

    @property
    def right(self) -> bool:
        return self.worst <= self.limit

    @property
    def rounded(self) -> bool:
        """Wrong, but nowhere by more than single precision."""
        return not self.right and self.worst <= ROUNDED


def gradients(samples: Sequence[Sample]) -> tuple[Gradient, ...]:
    """Every gradient that the kernel gave on all probes."""
    names = [n for n in samples[0].results if all(n in s.results for s in samples)]
    return tuple(
        Gradient(
            name,
            {s.probe.name: error(s, name) for s in samples},
            max(limit(s, name) for s in samples),
        )
        for name in names
    )


def error(sample: Sample, name: str) -> float:
    """The largest error of a gradient, relative to what is added up in it; infinite for NaN."""
    got, due = sample.results[name], truth(sample.probe)[name]
    worst = float(abs(got - due).max()) / scales(sample.probe)[name]
    return worst if math.isfinite(worst) else math.inf


def limit(sample: Sample, name: str) -> float:
    """What counts as right for the dtype of the result."""
    return RIGHT.get(sample.results[name].dtype.name, RIGHT["float16"])


def where(gradient: Gradient) -> str:
    """Where a wrong gradient is wrong, in a sentence; empty where it is so everywhere."""
    errors, right = gradient.errors, _right(gradient)
    if "plain" in right:
        return _where_at_all(gradient, right)
    own = VANISHES.get(gradient.name)
    only = [says for name, (says, _) in SPECIAL.items() if name in right and name != own]
    said = f"{gradient.name} is wrong only where {', and '.join(only)}." if only else ""
    growing = [errors[name] for m in GROWING if (name := f"m = {m}") in errors]
    if len(growing) == len(GROWING) and all(0 < e < math.inf for e in growing):
        said = f"{said} {_growth(gradient.name, growing)}".strip()
    return said


def _right(gradient: Gradient) -> frozenset[str]:
    return frozenset(name for name, e in gradient.errors.items() if e <= gradient.limit)


def _where_at_all(gradient: Gradient, right: frozenset[str]) -> str:
    """For a gradient that is right on the plainest batch."""
    wrong = [name for name in gradient.errors if name not in right]
    if wrong and all(name.startswith("rank") for name in wrong):
        rank = "rank 3 and above" if "rank 3" in wrong else "rank 4"
        return f"{gradient.name} is wrong only for {rank}: where x has positions, too."
    return f"{gradient.name} is right on most batches, and wrong where {', '.join(wrong)}."


def _growth(name: str, growing: Sequence[float]) -> str:
    power = math.log(growing[-1] / growing[0]) / math.log(GROWING[-1] / GROWING[0])
    if power > GROWTH:
        return f"The relative error of {name} grows with m, about as m^{power:.1f}."
    if power < -GROWTH:
        return f"The relative error of {name} falls as m grows, about as m^{power:.1f}."
    return f"The relative error of {name} is about the same for every m."

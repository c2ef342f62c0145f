"""The block's kernel in floating point, against the references in fifty digits.

Every result (A_out, dA, dW, db, dγ, dβ) of both placements with every activation that goes by name
is compared with :mod:`verify.references` run on dual numbers over mpmath, at the exact value of ε.
Inputs have eight significant bits, which every dtype holds, so that one reference serves all. db
before the activation has to be exactly zero. Behind it, its terms may cancel as well (they do where
ReLU lets a channel pass whole), without the kernel's knowing: there db is held to the size of dW
too, which is the same sum with weights.

Scaled errors and limits are those of :mod:`verify.accuracy`: 8u for float32, 2 ulp for float16 and
bfloat16, and 64κu for float64.  Here κ is 1 + max (|W||A| + |b|)/√(σ²+ε), since that is by how much
the rounding inside the matrix product is magnified; the second batch, whose data have a mean ten
times their deviation, has a large one.  (Its b takes that mean out of Z: an activation behind which
everything is saturated has lost its digits before Batch Norm sees them.)

A second check knows no reference: the gradients along a random direction against central
differences of the module's own forward, in float64, away from ReLU's kink.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from types import ModuleType
from typing import Any

import numpy as np
from mpmath import MPContext
from numpy.typing import NDArray

from codegen.block import ACTIVATIONS
from verify.accuracy import PRECISIONS, Precision
from verify.exact import run
from verify.exact_block import BACKWARD, VARIANTS, Variant
from verify.precise import Reals, entries, high_precision_gradients
from verify.references import Reference
from verify.report import Result

Array = NDArray[Any]

CHANNELS, FEATURES, SAMPLES = 2, 3, 8
EPS = 1e-3
BATCHES: Mapping[str, float] = {"centred data": 0.0, "data of mean 10": 10.0}
NOISE = 1e-40  # below this a reference of fifty digits means zero
STEP = 1e-6
PART = 1e-9  # of Σ|gradient·direction|: the unit of errors of central differences
PARTS = 100.0
KINK = 1e-3


@dataclass(frozen=True)
class Batch:
    """Inputs by their names, and the cotangent of A_out."""

    inputs: dict[str, Array]
    cotangent: Array

    @classmethod
    def draw(cls, rng: np.random.Generator, mean: float) -> Batch:
        inputs = {"A": rng.normal(mean, size=(FEATURES, SAMPLES))}
        inputs["W"] = rng.normal(size=(CHANNELS, FEATURES))
        inputs |= {name: rng.normal(size=CHANNELS) for name in ("b", "gamma", "beta")}
        inputs["b"] -= mean * inputs["W"].sum(axis=1)
        cotangent = rng.normal(size=(CHANNELS, SAMPLES))
        return cls({n: _eight_bits(v) for n, v in inputs.items()}, _eight_bits(cotangent))

    def of(self, dtype: Any) -> Batch:
        """The same numbers in another format."""
        inputs = {name: value.astype(dtype) for name, value in self.inputs.items()}
        return Batch(inputs, self.cotangent.astype(dtype))


def _eight_bits(values: Array) -> Array:
    mantissa, exponent = np.frexp(values)
    return np.ldexp(np.round(mantissa * 256) / 256, exponent)


def run_checks(module: ModuleType, *, seed: int = 0) -> list[Result]:
    """One result for each dtype, with its worst error over all variants and batches, and one for
    the central differences of each activation."""
    cases = _cases(seed)
    found = [_of_dtype(module, name, cases) for name in PRECISIONS]
    return [*found, *(_differences(module, name, seed) for name in ACTIVATIONS)]


# --- Against the references -----------------------------------------------------------------------


@dataclass(frozen=True)
class _Case:
    title: str
    variant: Variant
    batch: Batch
    exact: dict[str, Array]


def _cases(seed: int) -> list[_Case]:
    rng = np.random.default_rng(seed)
    named = (variant for variant in VARIANTS if variant.activation in ACTIVATIONS)
    drawn = [(v, title, Batch.draw(rng, mean)) for v in named for title, mean in BATCHES.items()]
    return [
        _Case(f"{variant.name}, {title}", variant, batch, _exact(variant.reference, batch))
        for variant, title, batch in drawn
    ]


@dataclass(frozen=True)
class _Error:
    what: str
    error: float
    limit: float

    @property
    def share(self) -> float:
        return self.error / self.limit


def _of_dtype(module: ModuleType, name: str, cases: list[_Case]) -> Result:
    dtype = _dtype(name)
    if dtype is None:
        why = f"{name} needs ml_dtypes, which is not installed"
        return Result("checked", f"kernel {name}", why, 0, None, None, False, skipped=why)
    precision = PRECISIONS[name]
    errors = [error for case in cases for error in _errors(module, case, dtype, precision)]
    worst = max(errors, key=lambda error: error.share)
    detail = f"worst of {len(errors)} arrays: {worst.what}"
    ok = all(error.share <= 1 for error in errors)
    return Result(
        *("checked", f"kernel {name}", detail, len(errors), worst.error, worst.limit, ok),
        unit=precision.unit,
    )


def _dtype(name: str) -> Any:
    if name != "bfloat16":
        return np.dtype(name)
    try:
        import ml_dtypes
    except ImportError:
        return None
    return np.dtype(ml_dtypes.bfloat16)


def _errors(module: ModuleType, case: _Case, dtype: Any, precision: Precision) -> Iterator[_Error]:
    variant, exact = case.variant, case.exact
    results, cache = _results(module, variant, case.batch.of(dtype))
    limit = precision.limit * (_condition(case.batch, cache) if precision.bits == 53 else 1)
    for label, due in exact.items():
        behind = label == "db" and variant.placement == "behind"
        scale = np.append(due, exact["dW"]) if behind else due
        error = _scaled(results[label], due, scale, precision)
        yield _Error(f"{label}, {case.title}", error, limit)


def _results(module: ModuleType, variant: Variant, batch: Batch) -> tuple[dict[str, Array], Any]:
    options = {"activation": variant.activation, "placement": variant.placement, "eps": EPS}
    out, cache = module.forward(**batch.inputs, **options)
    gradients = module.backward(batch.cotangent, cache)
    return {"A_out": out, **dict(zip(BACKWARD, gradients, strict=True))}, cache


def _condition(batch: Batch, cache: Any) -> float:
    given = {name: np.abs(value) for name, value in batch.inputs.items()}
    size = given["W"] @ given["A"] + given["b"][:, None]
    return float(1 + (size * cache.inv_std).max())


def _exact(reference: Reference, batch: Batch) -> dict[str, Array]:
    """Every result of the reference, rounded once to float64."""
    inputs, cotangent = batch.inputs, batch.cotangent
    found = high_precision_gradients(reference, inputs, EPS, cotangent)
    reals = Reals(MPContext())
    given = {name: entries(reals, value) for name, value in inputs.items()}
    values = run(reference.forward, reals, {**given, "eps": {(): reals.context.mpf(EPS)}})["A_out"]
    out = np.array([float(values[at]) for at in np.ndindex(cotangent.shape)])
    results = {f"d{name}": value for name, value in found.items()}
    return {"A_out": out.reshape(cotangent.shape), **results}


def _scaled(result: Array, exact: Array, scale: Array, precision: Precision) -> float:
    """max |result − exact| in units of max |scale|; infinite for another shape, for what is not
    finite, and for what is not zero where the scale is."""
    wide = result.astype(np.float64)
    if wide.shape != exact.shape or not np.isfinite(wide).all():
        return np.inf
    error, magnitude = float(abs(wide - exact).max()), float(abs(scale).max())
    if magnitude < NOISE:
        return np.inf if wide.any() else 0.0
    return error / float(precision.unit_at(Fraction(magnitude)))


# --- Against central differences ------------------------------------------------------------------


def _differences(module: ModuleType, activation: str, seed: int) -> Result:
    """The derivative of the loss along a random direction, twice for each placement."""
    rng = np.random.default_rng(seed)
    errors = []
    for placement in ("before", "behind"):
        options = {"activation": activation, "placement": placement, "eps": EPS}
        batch = _away_from_kinks(module, rng, placement)
        directions = {name: rng.normal(size=v.shape) for name, v in batch.inputs.items()}

        def loss(
            step: float, batch: Batch = batch, along: Any = directions, how: Any = options
        ) -> Any:
            moved = {name: value + step * along[name] for name, value in batch.inputs.items()}
            return (module.forward(**moved, **how)[0] * batch.cotangent).sum()

        _, cache = module.forward(**batch.inputs, **options)
        gradients = dict(zip(BACKWARD, module.backward(batch.cotangent, cache), strict=True))
        slopes = [gradients[f"d{name}"] * directions[name] for name in directions]
        size = sum(float(np.abs(slope).sum()) for slope in slopes)
        expected = (loss(STEP) - loss(-STEP)) / (2 * STEP)
        errors.append(abs(float(expected) - sum(float(slope.sum()) for slope in slopes)) / size)
    worst = max(errors) / PART
    return Result(
        "checked",
        f"central differences, {activation}",
        "along a random direction, both placements",
        len(errors),
        worst,
        PARTS,
        worst <= PARTS,
        "1e-9",
    )


def _away_from_kinks(module: ModuleType, rng: np.random.Generator, placement: str) -> Batch:
    while True:
        batch = Batch.draw(rng, 0.0)
        out, cache = module.forward(**batch.inputs, activation="identity", eps=EPS)
        seen = out if placement == "before" else cache.Z  # by the activation
        if abs(seen).min() > KINK and seen.max() > 0:
            return batch

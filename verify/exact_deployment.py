"""The cores beside training, run on exact numbers: test mode, its statistics, and folding.

As in :mod:`verify.kernel_exact`, what runs is the text that is shipped, on rationals and on
integers modulo p.  What it has to equal is written by hand:

* ``_infer`` and ``_infer_backward``: the reference's y and, by dual numbers, its derivatives for
  random cotangents;
* ``_fold`` and ``_fold_linear``: scale·x + shift has to be that y, and the folded layer's output
  that of the layer with test mode after it, for a matrix and for a convolution.  What scale, shift,
  weight and bias look like is left open;
* ``_running_biased``, ``_running_unbiased`` and ``_population``: the statistics of raw data, with
  their sums of squares over m and over m − 1.

Every variance is drawn as q² − ε, so that both fields have its root.  Such equalities hold at
sampled sizes and points: they are *exact*, not *proved*.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from derive.expr import adjoint
from derive.layers.batch_norm_inference import BATCH_NORM_INFERENCE
from verify.arrangements import arrangements
from verify.exact import Counterexample, Outcome, Point, run
from verify.fields import FIELDS, Field, Scalar
from verify.kernel_exact import BLOCK, table_of
from verify.kernel_numbers import Number, differences, on_objects
from verify.kernel_paths import ways
from verify.loading import load
from verify.references import REFERENCES, square_variances

Array = NDArray[Any]  # of objects: Number in what kernels see, bare scalars in what is expected

LAYER = BATCH_NORM_INFERENCE
REFERENCE = REFERENCES[LAYER.name]
CHANNELS, FEATURES, BATCHES = 2, 3, 3


@dataclass(frozen=True)
class Trial:
    """One call of a core.

    ``given`` are its arguments by name.  ``axis`` is that of the channels of x, for a core that is
    given a layout; it stores into the argument ``writes``, in the shape of x.  ``read`` makes of
    that array and of what is returned the results that are compared with ``due``, by claim.
    """

    core: str
    given: Mapping[str, Any]
    due: Mapping[str, Array]
    axis: int | None = None
    writes: str = ""
    read: Callable[..., tuple[Array, ...]] = lambda *results: results


@dataclass(frozen=True)
class Sample:
    """All trials over one field."""

    field: str
    trials: tuple[Trial, ...]


def check(source: str, *, sizes: Iterable[int] = range(2, 13), seed: int = 0) -> list[Outcome]:
    """Run the cores of a generated module on exact numbers: one outcome for each field and result.

    ``sizes`` are values of m, all at least 2.  What raises has failed.  Raises what the source
    raises on being loaded.
    """
    return compare(load(source, "exact deployment"), prepare(sizes=sizes, seed=seed))


def prepare(*, sizes: Iterable[int] = range(2, 13), seed: int = 0) -> tuple[Sample, ...]:
    """What any number of modules can be compared with, over each field."""
    sizes = list(sizes)
    samples = []
    for over in FIELDS:
        rng = Random(f"deployment {over.name} {seed}")
        trials = tuple(t for m in sizes for make in TRIALS for t in make(over, m, rng))
        samples.append(Sample(over.name, trials))
    return tuple(samples)


def compare(module: ModuleType, samples: Iterable[Sample]) -> list[Outcome]:
    """:func:`check` for a private copy of a module, which computes on objects from then on."""
    on_objects(module, BLOCK)
    outcomes = []
    for sample in samples:
        counts: dict[str, int] = {}
        misses: dict[str, list[Counterexample]] = {}
        for trial in sample.trials:
            for way in ways(module):
                with way:
                    results = _results(module, trial)
                for claim, got in results:
                    count, missed = differences(got, trial.due[claim])
                    counts[claim] = counts.get(claim, 0) + count
                    misses.setdefault(claim, []).extend(missed)
        for claim, count in counts.items():
            missed = misses[claim]
            first = missed[0] if missed else None
            outcomes.append(Outcome(claim, sample.field, count, len(missed), first))
    return outcomes


def _results(module: ModuleType, trial: Trial) -> list[tuple[str, Array | str]]:
    """Every result by claim; a message in the place of each if the core fails."""
    given, written = dict(trial.given), []
    try:
        if trial.axis is not None:
            given["layout"] = module._layout(given["x"], trial.axis)
            written.append(np.empty(given["x"].shape, object))
            given[trial.writes] = written[0]
        core = getattr(module, trial.core)
        made = core(**{name: given[name] for name in inspect.signature(core).parameters})
        results = [np.asarray(result) for result in trial.read(*written, *made)]
        return list(zip(trial.due, results, strict=True))
    except Exception as error:  # a damaged kernel may raise anything
        return [(claim, f"raised {type(error).__name__}: {error}") for claim in trial.due]


# --- Points ---------------------------------------------------------------------------------------


def _random(over: Field, rng: Random, *shape: int) -> Array:
    numbers = np.empty(shape, object)
    for at in np.ndindex(shape):
        numbers[at] = over.random(rng)
    return numbers


def _wrap(over: Field, values: Array) -> Array:
    """As kernels see them, and cannot write to them."""
    numbers: Array = np.asarray(np.frompyfunc(lambda value: Number(value, over), 1, 1)(values))
    numbers.flags.writeable = False
    return numbers


def _entries(values: Array) -> dict[tuple[int, ...], Scalar]:
    return dict(np.ndenumerate(values))


def _parameters(over: Field, rng: Random) -> dict[str, Array]:
    """γ, β, E[x], Var[x] and ε, by the layer's names."""
    drawn = {name: _random(over, rng, CHANNELS) for name in ("gamma", "beta", "mean", "variance")}
    drawn["eps"] = _random(over, rng)
    return drawn


def _point(over: Field, x: Array, parameters: Mapping[str, Array], rng: Random) -> Point:
    """The reference at x, (rows, C), whatever the statistics of x are."""
    named = {"x": x, **parameters}
    drawn = {name: _entries(values) for name, values in named.items()}
    given = square_variances(REFERENCE.forward, drawn, rng)
    sizes = {"m": len(x), "C": CHANNELS}
    cotangent = {adjoint(LAYER.output).label: _entries(_random(over, rng, *x.shape))}
    traced = run(REFERENCE.forward, over, given)
    return Point(LAYER, REFERENCE, over, sizes, given, traced, cotangent)


def _arguments(point: Point, shape: tuple[int, ...] = (CHANNELS,)) -> dict[str, Any]:
    """The parameters as a core takes them: in a shape that broadcasts, and ε a number."""
    over = point.over
    names = [var.label for var in (*LAYER.learnt, *LAYER.parameters) if var.axes]
    known = {var.label: var for var in (*LAYER.learnt, *LAYER.parameters)}
    arrays = {name: _wrap(over, table_of(point, known[name]).reshape(shape)) for name in names}
    return {**arrays, "eps": Number(point.given["eps"][()], over)}


# --- Test mode and folding ------------------------------------------------------------------------


def _test_mode(over: Field, m: int, rng: Random) -> Iterator[Trial]:
    """In every arrangement of m rows, and with a mean of zero, which need not be subtracted."""
    drawn = _parameters(over, rng)
    yield from _arranged(_random(over, rng, m, CHANNELS), drawn, over, rng)
    nothing = np.full(CHANNELS, over.number(0), object)
    yield from _arranged(_random(over, rng, m, CHANNELS), {**drawn, "mean": nothing}, over, rng)


def _arranged(
    x: Array, parameters: Mapping[str, Array], over: Field, rng: Random
) -> Iterator[Trial]:
    point = _point(over, x, parameters, rng)
    gradients = {f"infer_backward: d{v.label}": table_of(point, adjoint(v)) for v in LAYER.inputs}
    cotangent = table_of(point, adjoint(LAYER.output))
    for where in arrangements(len(x)):
        lay, axis = where.lay, where.axis
        given = {**_arguments(point, lay(x[0]).shape), "x": _wrap(over, lay(x))}
        y = {"infer: y": lay(table_of(point, LAYER.output))}
        yield Trial("_infer", given, y, axis, "y")
        due = {claim: lay(values) for claim, values in gradients.items()}
        dy = _wrap(over, lay(cotangent))
        yield Trial("_infer_backward", {**given, "dy": dy}, due, axis, "dx")


def _folding(over: Field, m: int, rng: Random) -> Iterator[Trial]:
    """The layer alone: one factor and one term for each channel."""
    x = _random(over, rng, m, CHANNELS)
    point = _point(over, x, _parameters(over, rng), rng)
    data = _wrap(over, x)

    def read(scale: Array, shift: Array) -> tuple[Array, ...]:
        return (scale * data + shift,)

    due = {"fold: scale x + shift": table_of(point, LAYER.output)}
    yield Trial("_fold", _arguments(point), due, read=read)


def _folding_linear(over: Field, m: int, rng: Random) -> Iterator[Trial]:
    """After a linear layer, (C, K), and after a convolution, (C, K, 2, 2)."""
    for what, kernel, image in (("linear layer", (), ()), ("convolution", (2, 2), (2, 3))):
        data = _random(over, rng, m, FEATURES, *image)
        weight = _random(over, rng, CHANNELS, FEATURES, *kernel)
        bias = _random(over, rng, CHANNELS)
        z = linear_layer(weight, bias, data)
        point = _point(over, z, _parameters(over, rng), rng)
        shape = (CHANNELS, *[1] * (weight.ndim - 1))
        given = {
            **_arguments(point, shape),
            "weight": _wrap(over, weight),
            "bias": _wrap(over, bias.reshape(shape)),
        }
        due = {f"fold_linear: {what}": table_of(point, LAYER.output)}
        seen = _wrap(over, data)

        def read(weight: Array, bias: Array, seen: Array = seen) -> tuple[Array, ...]:
            return (linear_layer(weight, bias.reshape(-1), seen),)

        yield Trial("_fold_linear", given, due, read=read)


def linear_layer(weight: Array, bias: Array, data: Array) -> Array:
    """Wa + b: (C, K) on data (N, K), or the convolution (C, K, *kernel) on (N, K, *image).

    Returns (rows, C), where the rows are the samples, at every place of the kernel in the image.
    """
    kernel = weight.shape[2:]
    places = [n - k + 1 for n, k in zip(data.shape[2:], kernel, strict=True)]
    rows = []
    for sample, *at in np.ndindex(len(data), *places):
        window = (slice(start, start + k) for start, k in zip(at, kernel, strict=True))
        seen = data[(sample, slice(None), *window)]
        rows.append([sum((w * seen).flat) + b for w, b in zip(weight, bias, strict=True)])
    return np.array(rows, object)


# --- Statistics -----------------------------------------------------------------------------------


def moments(batch: Array) -> tuple[Array, Array]:
    """Σx/m and Σ(x − Σx/m)² of each channel of (m, C)."""
    mu = np.add.reduce(batch) / len(batch)
    return mu, np.add.reduce((batch - mu) ** 2)


def _running(over: Field, m: int, rng: Random) -> Iterator[Trial]:
    """Averages one mini-batch further, in both conventions."""
    mu, squares = moments(_random(over, rng, m, CHANNELS))
    mean, variance = _random(over, rng, CHANNELS), _random(over, rng, CHANNELS)
    momentum = over.random(rng)
    arrays = {"mean": mean, "variance": variance, "mu": mu, "var": squares / m}
    wrapped = {name: _wrap(over, values) for name, values in arrays.items()}
    given = {**wrapped, "momentum": Number(momentum, over), "m": m}
    for core, seen in (("running_biased", squares / m), ("running_unbiased", squares / (m - 1))):
        due = {
            f"{core}: mean": mean + momentum * (mu - mean),
            f"{core}: var": variance + momentum * (seen - variance),
        }
        yield Trial(f"_{core}", given, due)


def _population(over: Field, m: int, rng: Random) -> Iterator[Trial]:
    """The mean over some mini-batches of m elements."""
    batches = [moments(_random(over, rng, m, CHANNELS)) for _ in range(BATCHES)]
    means = np.array([mu for mu, _ in batches], object)
    squares = np.array([total for _, total in batches], object)
    given = {
        "mu": _wrap(over, means),
        "var": _wrap(over, squares / m),
        "batches": BATCHES,
        "m": m,
    }
    due = {
        "population: mean": np.add.reduce(means) / BATCHES,
        "population: var": np.add.reduce(squares / (m - 1)) / BATCHES,
    }
    yield Trial("_population", given, due)


TRIALS = (_test_mode, _folding, _folding_linear, _running, _population)

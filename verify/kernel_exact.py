"""The generated kernel's own arithmetic, run on exact numbers.

A generated module computes in its cores (``_forward``, ``_backward``, …) in the type ``_WIDE``, and
writes no floating-point literal.  A private copy of it with ``_WIDE = object`` therefore computes
on rationals, or on integers modulo p, and its results must *equal* the values and derivatives of a
reference (:mod:`verify.references` on dual numbers, :mod:`verify.exact`).  What runs is the text
that is shipped, loops over blocks included; ``_BLOCK`` is small here, so that there are several.

**The mean in two parts.**  A kernel may hold μ as mean + mean_rest, where the mean is rounded.
Exact numbers are not, so the rest would be zero, and missed by nobody.  Therefore the sum Σx is
also made wrong by an arbitrary amount, as if by rounding, or where a kernel guesses the centre it
is given any number: the rest must make up for whatever it is, and every result must still be equal.

Such equalities hold at sampled sizes m and points: they are *exact*, not *proved*.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from math import prod
from random import Random
from types import ModuleType
from typing import Any

import numpy as np

from codegen.names import CENTRE, CODE_NAMES, REST, code_name
from codegen.passes import mean_of_data
from derive.expr import Axis, SumOver, Var, adjoint, tangent
from derive.layer import Layer
from derive.layers.batch_norm import BATCH_NORM
from verify.arrangements import (
    Arrangement,
    Array,
    arrangements,
    row_arrangements,
    sample_arrangements,
)
from verify.exact import Counterexample, Outcome, Point, draw
from verify.fields import FIELDS, Index, OutsideTheField, Scalar
from verify.kernel_lines import CHECKED, LINES, LineGuide, found_with_error
from verify.kernel_numbers import ExactNumPy, Number, differences, on_objects
from verify.kernel_paths import LEFT, PATHS, TWO_WAYS, Guide, guessed, whole_and_in_pieces
from verify.loading import load
from verify.references import Reference, extents

BLOCK = 5  # elements of a block: two rows or so, and often fewer in the last one
MEAN, MEAN_REST = CODE_NAMES[CENTRE], CODE_NAMES[REST]


# --- Points and what is true there ----------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """One point in one arrangement.

    ``given`` are the arguments of the cores by name, but for what other cores return; ``due`` are
    the results by claim; ``error`` is what the first sum is made wrong by.
    """

    where: Arrangement
    given: Mapping[str, Any]
    due: Mapping[str, Array]
    error: Array


@dataclass(frozen=True)
class Sample:
    """All cases over one field; ``skipped`` says why there are none."""

    field: str
    cases: tuple[Case, ...]
    skipped: str = ""


def prepare(
    layer: Layer, reference: Reference, *, sizes: Iterable[int] = range(2, 13), seed: int = 0
) -> tuple[Sample, ...]:
    """What any number of kernels of one layer can be compared with, over each field.

    ``sizes`` are values of m, all at least 1.  Raises InputError if the reference does not report a
    statistic of the layer.
    """
    sizes = list(sizes)
    samples = []
    for over in FIELDS:
        rng = Random(f"kernel {layer.name} {over.name} {seed}")
        try:
            points = [draw(layer, reference, over, m, rng) for m in sizes]
        except OutsideTheField as reason:
            samples.append(Sample(over.name, (), str(reason)))
        else:
            cases = tuple(case for point in points for case in _cases(point, rng))
            samples.append(Sample(over.name, cases))
    return tuple(samples)


def _due(layer: Layer) -> dict[str, Var]:
    """Every result that a kernel has to compute, in the order of the contract, by claim."""
    statistics = [definition.var for definition in layer if definition.expr.has(SumOver)]
    gradients = [adjoint(var) for var in layer.inputs]
    by_core = {
        "forward": [layer.output, *statistics],
        "backward": gradients,
        "backward_staged": gradients,
        "jvp": [tangent(layer.output)],
    }
    return {f"{core}: {var.label}": var for core, made in by_core.items() for var in made}


def _claims(layer: Layer, checked: Iterable[str]) -> list[str]:
    """What is compared; kernels that are ``checked`` look at what decides between two ways."""
    return [*_due(layer), *(f"{core}: checks" for core in checked), "jacobian: uR"]


def _cases(point: Point, rng: Random) -> Iterator[Case]:
    """One case for each arrangement; arrays are read-only, as several kernels may see them."""
    layer, over = point.layer, point.over
    wrap = np.frompyfunc(lambda value: Number(value, over), 1, 1)
    frozen = [var for var in layer.parameters if var.axes]
    tangents = [tangent(var) for var in layer.inputs]
    given = (*layer.inputs, *frozen, adjoint(layer.output), *tangents)
    x, table = layer.data, partial(_spread, point)
    tables = {code_name(var): wrap(table(var)) for var in given}
    scalars = {
        code_name(var): Number(point.given[var.label][()], over)
        for var in layer.parameters
        if not var.axes
    }
    due = {claim: table(var) for claim, var in _due(layer).items()}
    shape = tables[code_name(x)].shape
    kept = [k for k, axis in enumerate(x.axes) if axis not in layer.reduced_axes]
    rows = [n if k in kept else 1 for k, n in enumerate(shape)]
    draws = [over.random(rng) for _ in range(prod(rows))]
    errors = wrap(np.array(draws, object).reshape(rows))
    checks = {
        f"{core}: checks": np.full((2 * pairs, *shape[1:]), over.number(0), object)
        for core, pairs in LEFT.items()
    }
    by_rows = {f"{core}: checks": np.zeros(1, object) for core in CHECKED}
    fixed = checks if layer == BATCH_NORM else by_rows
    fixed["jacobian: uR"] = _jacobian(point, shape, kept)
    for where in arranged(shape, kept):
        arrays = {name: where.lay(array) for name, array in tables.items()}
        for array in arrays.values():
            array.flags.writeable = False
        yield Case(
            where,
            {**arrays, **scalars, "m": prod(shape) // prod(rows)},
            {**{claim: where.lay(table) for claim, table in due.items()}, **fixed},
            where.lay(errors),
        )


def arranged(shape: tuple[int, ...], kept: Sequence[int]) -> Sequence[Arrangement]:
    """The arrangements of tables of this shape, of which ``kept`` are the axes not reduced."""
    if len(shape) > 2:
        return sample_arrangements(shape[-1])
    return row_arrangements(*shape) if kept[0] == 0 else arrangements(shape[0])


def _spread(point: Point, var: Var) -> Array:
    """A table over the data's axes, with one entry for all of an axis that the quantity has not."""
    return spread(table_of(point, var), var.axes, point.layer.data.axes)


def spread(table: Array, have: Sequence[Axis], axes: Sequence[Axis]) -> Array:
    """A table over the axes ``have`` as one over ``axes``, with one entry for all of others."""
    own = sorted(have, key=axes.index)
    ordered = table.transpose([have.index(axis) for axis in own])
    return ordered.reshape([ordered.shape[own.index(a)] if a in own else 1 for a in axes])


def table_of(point: Point, var: Var) -> Array:
    """All entries of a value, an adjoint or a tangent."""
    return table_from(point.entries(var))


def table_from(entries: Mapping[Index, Scalar]) -> Array:
    """Entries by index as an array."""
    table = np.empty([len(positions) for positions in extents(entries)], object)
    for index, value in entries.items():
        table[index] = value
    return table


def _jacobian(point: Point, shape: tuple[int, ...], kept: list[int]) -> Array:
    """dy[i]/dx[j] of each group g as [g, i, j]; all count in C order, i and j over what is
    reduced."""
    x, y = point.layer.data.label, point.layer.output.label
    order = (*kept, *(k for k in range(len(shape)) if k not in kept))
    whole = list(np.ndindex(*(shape[k] for k in order)))  # the groups one after the other
    places = [tuple(at[order.index(k)] for k in range(len(shape))) for at in whole]
    groups = prod(shape[k] for k in kept)
    m = len(places) // groups
    table = np.empty((groups, m, m), object)
    for g, i, j in np.ndindex(table.shape):
        row, column = places[g * m + i], places[g * m + j]
        table[g, i, j] = point.duals.derivative(point.column(x, column)[y][row])
    return table


# --- Running a kernel -----------------------------------------------------------------------------


def check(
    source: str,
    layer: Layer,
    reference: Reference,
    *,
    sizes: Iterable[int] = range(2, 13),
    seed: int = 0,
) -> list[Outcome]:
    """Run a generated module's cores on exact numbers and compare every result with the reference.

    One outcome for each field and result ("backward: dx"); what raises has failed.
    :func:`verify.exact.confirmed` says whether they suffice: it refuses where nothing was compared.
    Raises what the source raises on being loaded, and InputError as :func:`prepare` does.
    """
    samples = prepare(layer, reference, sizes=sizes, seed=seed)
    return compare(load(source, f"exact {layer.name}"), layer, samples)


def compare(module: ModuleType, layer: Layer, samples: Iterable[Sample]) -> list[Outcome]:
    """:func:`check` for a private copy of a module, which computes on objects from then on."""
    kernel = _Kernel(module, layer)
    outcomes = []
    for sample in samples:
        counts = dict.fromkeys(kernel.claims, 0)
        misses: dict[str, list[Counterexample]] = {claim: [] for claim in counts}
        for case in sample.cases:
            for claim, got in kernel.run(case):
                count, missed = differences(got, case.due[claim])
                counts[claim] += count
                misses[claim] += missed
        for claim, count in counts.items():
            missed = misses[claim]
            first = missed[0] if missed else None
            outcomes.append(Outcome(claim, sample.field, count, len(missed), first, sample.skipped))
    return outcomes


class _Kernel:
    """The cores of a generated module, made to compute on objects."""

    def __init__(self, module: ModuleType, layer: Layer) -> None:
        on_objects(module, BLOCK)
        vars(module)["np"] = ExactNumPy()
        self.module, self.layer = module, layer
        other = {code_name(var) for var in (*layer.inputs, *layer.parameters)}
        other |= {"axis", "axes", "groups"}
        self.kept = [name for name in module.Cache._fields if name not in other]
        self.guide: Guide | LineGuide | None = None
        if hasattr(module, "_Work"):
            self.guide = Guide(module)
        self.lines = LineGuide(module) if hasattr(module, LINES) else None
        self.checks = hasattr(module, TWO_WAYS)
        checked = CHECKED if self.lines else LEFT if self.checks else ()
        self.claims = _claims(layer, checked)
        self.path = PATHS[0]

    def run(self, case: Case) -> Iterator[tuple[str, Array | str]]:
        """Every result by claim, some of them twice; a message in the place of one that failed."""
        given = dict(case.given)
        narrow: list[tuple[str, Callable[[Case, dict[str, Any]], tuple[Array, ...]]]] = [
            ("forward", self._forward),
            ("forward", self._forward_with_error),
            ("backward", self._backward),
            ("jvp", self._jvp),
        ]
        wide = [("backward_staged", self._backward_staged), ("jacobian", self._jacobian)]
        if self.lines:
            self.guide = self.lines
            for path in PATHS:
                self.path = path
                yield from self._run(case, given, narrow[:3])
                if not path.holds:
                    yield from self._run(case, given, [("jvp", self._jvp_again)])
            self.guide = None
            self.lines.leave()
        if self.guide is None:
            for _ in whole_and_in_pieces(self.module, given["m"]):
                yield from self._run(case, given, narrow)
        for path in PATHS if self.guide else ():
            self.path = path
            yield from self._run(case, given, narrow)
        yield from self._run(case, given, wide)

    def _run(
        self,
        case: Case,
        given: dict[str, Any],
        stages: Iterable[tuple[str, Callable[[Case, dict[str, Any]], tuple[Array, ...]]]],
    ) -> Iterator[tuple[str, Array | str]]:
        for core, stage in stages:
            due = [claim for claim in self.claims if claim.startswith(f"{core}: ")]
            claims = due if self.path.holds else [c for c in due if c != f"{core}: checks"]
            try:
                yield from list(zip(claims, stage(case, given), strict=True))
            except Exception as error:  # a damaged kernel may raise anything
                message = f"raised {type(error).__name__}: {error}"
                yield from ((claim, message) for claim in claims)

    def _call(self, core: str, given: Mapping[str, Any]) -> Any:
        function = getattr(self.module, core)
        if self.guide:
            self.guide.checked.clear()
        return function(**{name: given[name] for name in inspect.signature(function).parameters})

    def _made(self, var: Var, given: dict[str, Any]) -> Array:
        """An array for a core to write a result of x's shape into."""
        made = np.empty(given[code_name(self.layer.data)].shape, object)
        given[code_name(var)] = made
        return made

    def _lead(self, error: Array | None = None) -> None:
        if self.guide:
            self.guide.lead(self.path, error)

    def _with_checks(
        self, core: str, given: Mapping[str, Any], results: tuple[Array, ...]
    ) -> tuple[Array, ...]:
        """The results, and how what the core checked differs from what is true of them."""
        if not (self.guide and self.checks and self.path.holds):
            return results
        return *results, self.guide.difference(core, given, results)

    def _forward(self, case: Case, given: dict[str, Any]) -> tuple[Array, ...]:
        self._lead()
        given["layout"] = case.where.layout(self.module, given[code_name(self.layer.data)])
        y = self._made(self.layer.output, given)
        given |= dict(zip(self.kept, self._call("_forward", given), strict=True))
        whole = self.guide is not None or hasattr(self.module, "_near_mean")
        statistics = self._statistics(given, whole=whole and MEAN_REST in self.kept)
        return self._with_checks("forward", given, (y, *statistics))

    def _forward_with_error(self, case: Case, given: dict[str, Any]) -> tuple[Array, ...]:
        """Leaves the parts of the mean to the other cores as they come out here."""
        error = case.error if MEAN_REST in self.kept else 0 * case.error
        self._lead(error)
        wrong = given["layout"] if self.guide else case.where.wrong(given["layout"], error)
        y = self._made(self.layer.output, given)
        with guessed(self.module, error):
            values = self._call("_forward", {**given, "layout": wrong})
        given |= dict(zip(self.kept, values, strict=True))
        statistics = self._statistics(given, whole=MEAN_REST in self.kept)
        return self._with_checks("forward", given, (y, *statistics))

    def _statistics(self, kept: Mapping[str, Any], *, whole: bool) -> tuple[Array, ...]:
        if whole:
            kept = {**kept, MEAN: kept[MEAN] + kept[MEAN_REST]}
        mean = mean_of_data(self.layer)
        statistics = [d.var for d in self.layer if d.expr.has(SumOver)]
        centre = mean.var if mean and MEAN in self.kept else None
        return tuple(kept[MEAN if var == centre else code_name(var)] for var in statistics)

    def _backward(self, _: Case, given: dict[str, Any]) -> tuple[Array, ...]:
        dx = self._made(adjoint(self.layer.data), given)
        written = self._gradients(given)
        returned = self._call("_backward", given)
        return self._with_checks("backward", given, (dx, *(written or returned)))

    def _gradients(self, given: dict[str, Any]) -> list[Array]:
        """Arrays for gradients of parameters, if the core writes into such."""
        names = [code_name(adjoint(var)) for var in self.layer.learnt]
        taken = inspect.signature(self.module._backward).parameters
        made = [np.empty(given["layout"].spread, object) for name in names if name in taken]
        given |= dict(zip(names, made, strict=False))
        return made

    def _backward_staged(self, _: Case, given: dict[str, Any]) -> tuple[Array, ...]:
        return tuple(self._call("_backward_staged", given))

    def _jvp(self, _: Case, given: dict[str, Any]) -> tuple[Array, ...]:
        y_dot = self._made(tangent(self.layer.output), given)
        return self._with_checks("jvp", given, (y_dot, *self._call("_jvp", given)))

    def _jvp_again(self, case: Case, given: dict[str, Any]) -> tuple[Array, ...]:
        """With statistics found anew, of which the mean comes in two parts."""
        y_dot = self._made(tangent(self.layer.output), given)
        error = case.error if MEAN_REST in self.kept else 0 * case.error
        with found_with_error(self.module, error):
            self._call("_jvp_again", given)
        return (y_dot,)

    def _jacobian(self, case: Case, given: dict[str, Any]) -> tuple[Array, ...]:
        """[g, i, j]: the matrix of each group from that group's numbers alone."""
        shape = given[code_name(self.layer.data)].shape

        def own(value: Any, k: int) -> Any:
            return case.where.group(value, shape, k) if isinstance(value, np.ndarray) else value

        groups = range(len(case.due["jacobian: uR"]))
        found = [{name: own(v, k) for name, v in given.items()} for k in groups]
        return (np.stack([self._call("_jacobian", one) for one in found]),)

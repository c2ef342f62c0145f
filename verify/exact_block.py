"""The block's kernel on exact numbers: both placements, each with every activation.

As in :mod:`verify.kernel_exact`, what runs is the text that is shipped, with ``_WIDE = object``, on
rationals and on integers modulo p; matrix products too, since NumPy multiplies matrices of objects.
Every result has to *equal* the value or derivative of a reference (:mod:`verify.references` on dual
numbers).  Besides the module's own activations the cores are run with g(a) = a³ + 2a for "any g".

The integers modulo p have no order, and no rational points are known for exp(Z) in the placement
behind: such a pair of variant and field is skipped, and the other field confirms the variant.
These equalities hold at sampled sizes m and points: they are *exact*, not *proved*.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from random import Random
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from codegen.block import ACTIVATIONS
from derive.expr import Var, adjoint
from derive.layer import Layer
from derive.layers.block import BLOCK, BLOCK_BEHIND
from verify import references
from verify.exact import Counterexample, Outcome, Point, draw
from verify.fields import FIELDS, Field, OutsideTheField
from verify.kernel_exact import table_of
from verify.kernel_numbers import Number, differences
from verify.loading import load
from verify.references import REFERENCES, Reference, block_behind, shared_epsilon

Array = NDArray[Any]  # of objects: Number in what kernels see, bare scalars in what is expected

ANY = "any g"
FORWARD = ("Z", "mu", "var", "inv_std", "A_out")  # what the cores return, in order
BACKWARD = ("dA", "dW", "db", "dgamma", "dbeta")


def _some_function(a: Array) -> Array:
    return a**3 + 2 * a


def _some_slope(a: Array) -> Array:
    return 3 * a**2 + 2


_SOME = (_some_function, _some_slope)


@dataclass(frozen=True)
class Variant:
    """The block with Batch Norm in one place and one activation."""

    placement: str
    activation: str
    layer: Layer
    reference: Reference

    @property
    def name(self) -> str:
        return f"{self.placement} {self.activation}"


def _variants() -> tuple[Variant, ...]:
    before = {name: REFERENCES[f"block_{name}"] for name in ACTIVATIONS} | {
        ANY: REFERENCES["block"]
    }
    found = [Variant("before", name, BLOCK, reference) for name, reference in before.items()]
    for name in ACTIVATIONS:
        rational = None if name in ("sigmoid", "tanh") else shared_epsilon
        forward = block_behind(getattr(references, name))
        reference = Reference(f"block_behind with {name}", forward, rational)
        found.append(Variant("behind", name, BLOCK_BEHIND, reference))
    return (*found, Variant("behind", ANY, BLOCK_BEHIND, REFERENCES["block_behind"]))


VARIANTS = _variants()


@dataclass(frozen=True)
class Case:
    """One point: the arguments of the cores by name, and the results by name."""

    given: Mapping[str, Any]
    due: Mapping[str, Array]


@dataclass(frozen=True)
class Sample:
    """All cases of one variant over one field; ``skipped`` says why there are none."""

    variant: Variant
    field: str
    cases: tuple[Case, ...]
    skipped: str = ""


def prepare(*, sizes: Iterable[int] = range(2, 13), seed: int = 0) -> tuple[Sample, ...]:
    """What any module of the block can be compared with; ``sizes`` are values of m."""
    sizes = list(sizes)
    return tuple(_sample(variant, over, sizes, seed) for variant in VARIANTS for over in FIELDS)


def _sample(variant: Variant, over: Field, sizes: list[int], seed: int) -> Sample:
    rng = Random(f"block {variant.name} {over.name} {seed}")
    try:
        points = [draw(variant.layer, variant.reference, over, m, rng) for m in sizes]
    except OutsideTheField as reason:
        return Sample(variant, over.name, (), str(reason))
    return Sample(variant, over.name, tuple(_case(point) for point in points))


def _case(point: Point) -> Case:
    """Columns for what has one value for each channel; arrays are read-only, as several kernels may
    see them."""
    layer, over = point.layer, point.over
    wrap = np.frompyfunc(lambda value: Number(value, over), 1, 1)

    def entries(var: Var) -> Array:
        found = table_of(point, var)
        return found.reshape(-1, 1) if found.ndim == 1 else found

    given = {var.label: wrap(entries(var)) for var in (*layer.inputs, adjoint(layer.output))}
    for array in given.values():
        array.flags.writeable = False
    due = {label: entries(layer[label].var) for label in FORWARD if label != "inv_std"}
    due |= {adjoint(var).label: entries(adjoint(var)) for var in layer.inputs}
    root = np.frompyfunc(lambda value: 1 / over.sqrt(value), 1, 1)
    eps = point.given["eps"][()]
    due["inv_std"] = root(due["var"] + eps)
    return Case({**given, "eps": Number(eps, over)}, due)


def check(source: str, *, sizes: Iterable[int] = range(2, 13), seed: int = 0) -> list[Outcome]:
    """Run a generated module's cores on exact numbers; one outcome for each variant and field."""
    return [
        compare(load(source, "exact block"), sample) for sample in prepare(sizes=sizes, seed=seed)
    ]


def compare(module: ModuleType, sample: Sample) -> Outcome:
    """One variant over one field, by a private copy of a module, which computes on objects from
    then on; what raises has failed."""
    vars(module)["_WIDE"] = object
    cases, misses = 0, []
    for case in sample.cases:
        for label, got in _run(module, sample.variant, case).items():
            compared, missed = differences(got, case.due[label])
            cases += compared
            misses += [replace(miss, got=f"{label} is {miss.got}") for miss in missed]
    first: Counterexample | None = misses[0] if misses else None
    return Outcome(sample.variant.name, sample.field, cases, len(misses), first, sample.skipped)


def _run(module: ModuleType, variant: Variant, case: Case) -> dict[str, Array | str]:
    """Every result by name, or a message in its place."""
    given = dict(case.given)
    found: dict[str, Array | str] = {}
    for core, labels in (("forward", FORWARD), ("backward", BACKWARD)):
        try:
            if core == "forward":
                own = variant.activation != ANY
                functions = module._ACTIVATIONS[variant.activation] if own else _SOME
                over = case.given["eps"].over
                given |= {
                    name: _lifted(function, over)
                    for name, function in zip(("g", "slope"), functions, strict=True)
                }
            function = getattr(module, f"_{core}_{variant.placement}")
            wanted = inspect.signature(function).parameters
            results = function(**{name: given[name] for name in wanted})
            made = dict(zip(labels, results, strict=True))
        except Exception as error:  # a damaged kernel may raise anything
            made = dict.fromkeys(labels, f"raised {type(error).__name__}: {error}")
        given |= made
        found |= made
    return found


def _lifted(function: Callable[[Array], Array], over: Field) -> Callable[[Array], Array]:
    """The function with numbers of the field where it returns whole numbers, as relu does: those,
    divided by m, would be floats."""

    def lift(value: Number | int) -> Number:
        return value if isinstance(value, Number) else Number(over.number(value), over)

    each: Any = np.frompyfunc(lift, 1, 1)
    return lambda a: each(function(a))

"""The studies against oracles that know nothing of how they were derived.

* **folding** and **training_and_test** state derivatives and values of layers, so they become
  claims for :mod:`verify.exact`: compared with separately written definitions on dual numbers.
  Test mode at the batch's own statistics is a definition that computes them from x but holds them
  constant: it drops their infinitesimal parts.
* **running_statistics** states expectations: :mod:`verify.exact_samples` writes down every sample.
* **higher_orders** differentiates more than once: :mod:`verify.exact_orders` nests dual numbers.

Equalities have no tolerance.  They hold at sampled sizes m and points: *exact*, not *proved*.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import TypeAlias

from sympy import Expr

from derive.errors import InputError
from derive.expr import Definition, SumOver, Var, add, adjoint, mul, sorted_axes
from derive.expr import substitute as insert
from derive.layer import Layer
from derive.layers.batch_norm import BATCH_NORM
from derive.layers.batch_norm_inference import BATCH_NORM_INFERENCE
from derive.studies.folding import LINEAR_BATCH_NORM
from derive.study import Section, Study
from derive.trace import Fact, Result
from verify import exact, exact_orders, exact_samples
from verify.duals import Dual
from verify.exact import Claim, Outcome
from verify.fields import Arithmetic, Values
from verify.references import (
    REFERENCES,
    Node,
    Reference,
    extents,
    shared_epsilon,
    square_variances,
)

Sections: TypeAlias = Sequence[Section]
Oracle: TypeAlias = Callable[[Sections, Sequence[int], int], Iterable[Outcome]]

SIZES = range(2, 6)


def check(study: Study, *, sizes: Iterable[int] = SIZES, seed: int = 0) -> list[Outcome]:
    """Everything that a study states, for each field one outcome or several of one name.

    ``sizes`` are values of m, at least 2.  Raises InputError if no oracle is written for the study.
    """
    if study.name not in ORACLES:
        raise InputError(f"no oracle is written for {study.name}; there are {', '.join(ORACLES)}")
    return list(ORACLES[study.name](study.develop(), list(sizes), seed))


# --- Folding --------------------------------------------------------------------------------------


def linear_batch_norm(numbers: Arithmetic, given: Values, node: Node) -> None:
    """z = Wa + b, a[n, k], and Ioffe & Szegedy 2015, Algorithm 2, line 11 on it."""
    a, weight, eps = given["a"], given["W"], given["eps"][()]
    samples, features = extents(a)
    for n, c in product(samples, extents(weight)[0]):
        product_sum = sum(weight[c, k] * a[n, k] for k in features)
        z = node("z", (n, c), product_sum + given["b"][c,])
        std = numbers.sqrt(given["variance"][c,] + eps)
        x_hat = node("x_hat", (n, c), (z - given["mean"][c,]) / std)
        node("y", (n, c), given["gamma"][c,] * x_hat + given["beta"][c,])


FOLDED: tuple[tuple[Layer, Reference], ...] = (
    (BATCH_NORM_INFERENCE, REFERENCES[BATCH_NORM_INFERENCE.name]),
    (LINEAR_BATCH_NORM, Reference(LINEAR_BATCH_NORM.name, linear_batch_norm, square_variances)),
)


def _folding(sections: Sections, sizes: Sequence[int], seed: int) -> Iterator[Outcome]:
    for (layer, reference), section in zip(FOLDED, sections, strict=True):
        claims = list(_folding_claims(layer, section))
        yield from exact.check(layer, claims, reference, sizes=sizes, seed=seed)


def _folding_claims(layer: Layer, section: Section) -> Iterator[Claim]:
    """The definitions, the slopes, and y as factor · data + rest with every form of the rest."""
    factor, rest = section.conclusions
    summed = sorted_axes(set(layer.data.axes) - set(layer.output.axes))
    scaled = SumOver(mul(factor.expr, layer.data), *summed)
    table = {d.var.label: d for d in section.conclusions}
    where = f"{section.title}: "

    def folded(form: Expr) -> Claim:
        return Claim(f"{where}folded", layer.output, add(scaled, form))

    for entry in section.entries:
        if isinstance(entry, Fact):
            yield folded(rest.expr)
            yield _equal(f"{where}folded", layer.output, entry, table)
        elif isinstance(entry, Result):
            if (slope := entry.entry) is not None:
                name = f"{where}d{slope.of.label}/d{slope.wrt.label}"
                yield Claim(name, slope.of, entry.closed, slope.wrt)
            else:
                yield from map(folded, _forms(entry))
        elif entry.var.label not in table:
            yield Claim(f"{where}{entry.var.label}", entry.var, entry.expr)


def _forms(result: Result) -> list[Expr]:
    return [result.start, *(step.after for step in result.steps)]


def _equal(name: str, anchor: Var, fact: Fact, table: Mapping[str, Definition]) -> Claim:
    """lhs = rhs, as anchor = anchor + lhs − rhs: a claim is made about a quantity of the layer."""
    difference = add(insert(fact.lhs, table), mul(-1, insert(fact.rhs, table)))
    return Claim(name, anchor, add(anchor, difference))


# --- Training and test mode -----------------------------------------------------------------------


def held_statistics(numbers: Arithmetic, given: Values, node: Node) -> None:
    """Batch Norm whose μ and σ² are those of the batch, and constant: x moves, they do not."""
    x, eps = given["x"], given["eps"][()]
    batch, channels = extents(x)
    still = {at: value.re if isinstance(value, Dual) else value for at, value in x.items()}
    for c in channels:
        mu = node("mu", (c,), sum(still[n, c] for n in batch) / len(batch))
        var = node("var", (c,), sum((still[n, c] - mu) ** 2 for n in batch) / len(batch))
        std = numbers.sqrt(var + eps)
        for n in batch:
            x_hat = node("x_hat", (n, c), (x[n, c] - mu) / std)
            node("y", (n, c), given["gamma"][c,] * x_hat + given["beta"][c,])


HELD = Reference("batch_norm with held statistics", held_statistics, shared_epsilon)


def _training_and_test(sections: Sections, sizes: Sequence[int], seed: int) -> Iterator[Outcome]:
    test, training, meaning = sections
    dx = adjoint(BATCH_NORM.data)
    *definitions, frozen = (e for e in test.entries if isinstance(e, Definition))
    table = {frozen.var.label: frozen}
    forward = [Claim(f"test mode: {d.var.label}", d.var, d.expr) for d in definitions]
    claims: list[Claim] = []
    for entry in (*training.entries, *meaning.entries):
        if isinstance(entry, Definition):
            claims.append(Claim("training: dx", dx, entry.expr))
        elif isinstance(entry, Result):
            forms = (add(frozen.expr, insert(form, table)) for form in _forms(entry))
            claims += [Claim("training less test mode", dx, form) for form in forms]
        else:
            claims.append(_equal("sums of dx", dx, entry, table))
    (layer, reference), training_reference = FOLDED[0], REFERENCES[BATCH_NORM.name]
    yield from exact.check(layer, forward, reference, sizes=sizes, seed=seed)
    held = [Claim("test mode: dx", dx, frozen.expr)]
    yield from exact.check(BATCH_NORM, held, HELD, sizes=sizes, seed=seed)
    yield from exact.check(BATCH_NORM, claims, training_reference, sizes=sizes, seed=seed)


ORACLES: Mapping[str, Oracle] = {
    "folding": _folding,
    "training_and_test": _training_and_test,
    "running_statistics": exact_samples.check,
    "higher_orders": exact_orders.check,
}

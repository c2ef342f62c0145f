"""Verifying a layer: what is proved, what is exact, what is checked, in three separate groups.

* **proved**  by normal form, for every size: each step again, each fact, and each stage of the
  kernel's lowering;
* **exact**   by the independent oracle, at sampled sizes m = 2…12: equality in the rationals and in
  the field of integers modulo 2⁶¹ − 1, of the formulas and of the kernel's own arithmetic;
* **checked** in floating point, against exact values of the same inputs: the accuracy table, the
  kernel contract, and the user's data.

A check that could not run is reported as skipped, never as a pass.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from types import ModuleType

import numpy as np
from sympy import Expr

from codegen.block import build_block
from codegen.deployment import build_deployment
from codegen.origins import kernels_of
from codegen.second_order import LAYERS as SECOND_ORDER
from codegen.second_order import build_second_order
from derive.chart import NotNormalError
from derive.derivation import Derivation
from derive.expr import Definition
from derive.layer import Layer
from derive.layers.batch_norm import BATCH_NORM
from derive.layers.block import BLOCK, BLOCKS
from derive.layers.softmax import SOFTMAX
from derive.normal_form import NormalForm
from derive.trace import CertificationError
from derive.trace import Result as Derived
from verify import (
    accuracy,
    accuracy_block,
    accuracy_own,
    accuracy_rows,
    accuracy_softmax,
    contract,
    contract_by_row,
    contract_softmax,
    exact_block,
    exact_deployment,
    exact_family,
    exact_second_order,
    exact_softmax,
    kernel_exact,
)
from verify.accuracy_cases import Batch, Case
from verify.accuracy_rows import ROW_LAYERS
from verify.contract_block import BLOCK_CLAUSES
from verify.data import Matrix
from verify.definition import reference_of
from verify.exact import Claim, Outcome, check
from verify.loading import load
from verify.references import REFERENCES, Reference
from verify.report import Result, skipped

Progress = Callable[[str], None]
LARGEST = 1e150  # beyond it a variance overflows float64, the type of the computation


@dataclass(frozen=True)
class Subject:
    """What is verified: a derivation, and the text of the module generated from it, if any.

    ``own``: a user's layer, for which nobody has written a reference apart; that is then made of
    the definitions themselves (:mod:`verify.definition`).  ``no_kernel`` says why there is none.
    """

    derivation: Derivation
    source: str | None
    own: bool = False
    no_kernel: str = ""

    @property
    def reference(self) -> Reference | None:
        layer = self.derivation.layer
        return reference_of(layer) if self.own else REFERENCES.get(layer.name)

    def module(self) -> ModuleType | None:
        return None if self.source is None else load(self.source, self.derivation.layer.name)


def verify(
    subject: Subject,
    *,
    seed: int = 0,
    quick: bool = False,
    data: Matrix | None = None,
    progress: Progress = lambda _: None,
) -> list[Result]:
    """Every check of the three groups, in order; ``progress`` is told what comes next."""
    progress("proofs")
    results = proved(subject.derivation, lowered=subject.source is not None)
    orders = None if subject.own else exact_family.orders_to_verify(subject.derivation)
    if orders is not None:
        results.append(_lowered("higher orders", lambda: orders.steps, "each of their steps"))
    progress("exact equalities of the formulas")
    results += exact_formulas(subject.derivation, seed, subject.reference)
    if orders is not None:
        results += from_outcomes(exact_family.check(orders, seed=seed))
    progress("exact arithmetic of the kernel")
    results += exact_kernel(subject, seed)
    if subject.own:
        results = [_by_definition(result) for result in results]
    progress("accuracy in floating point")
    module = subject.module()
    if module is None:
        why = subject.no_kernel or no_kernel(subject.derivation.layer)
        return [*results, skipped("checked", "kernel", why)]
    layer = subject.derivation.layer
    if subject.own:
        results += accuracy_own.check(module, layer, reference_of(layer), seed)
        why = "a matrix of data is checked with batch_norm"
        return results if data is None else [*results, skipped("checked", data.name, why)]
    results += accuracy_results(module, layer, seed, quick=quick)
    progress("kernel contract")
    results += contract_results(module, layer, seed)
    if data is not None:
        progress(f"data: {data.name}")
        why = "a matrix of data is checked with batch_norm"
        other = layer in (BLOCK, SOFTMAX, *ROW_LAYERS)
        results += [skipped("checked", data.name, why)] if other else on_data(module, data, seed)
    return results


def _by_definition(result: Result) -> Result:
    """The same, and what an exact comparison was with."""
    if result.group != "exact" or result.skipped:
        return result
    return replace(result, detail=f"{result.detail}; the reference is the definition itself")


def no_kernel(layer: Layer) -> str:
    """Why a layer has no module."""
    if layer in BLOCKS:
        return f"the kernels of {layer.name} are in the module of {BLOCK.name}, and verified there"
    return f"no kernel is generated for {layer.name} yet"


# --- Proved ---------------------------------------------------------------------------------------


def proved(derivation: Derivation, *, lowered: bool) -> list[Result]:
    """Each certified step, proved again from its two sides; each fact; each lowering stage."""
    if derivation.unproved:
        return [skipped("proved", "gradients", derivation.unproved)]
    results = [_prove(name, pairs) for name, pairs in _proofs(derivation) if pairs]
    if lowered and derivation.layer == BLOCK:
        proofs = "kernel programs, both placements"
        results.append(_lowered(proofs, lambda: sum(p.proofs for p in build_block())))
    elif lowered:
        results.append(_lowered("kernel programs", lambda: kernels_of(derivation).proofs))
        if derivation.layer == BATCH_NORM:
            deployment = "programs beside training"
            results.append(_lowered(deployment, lambda: build_deployment().proofs))
        if derivation.layer in SECOND_ORDER:
            results.append(
                _lowered("double backward", lambda: build_second_order(derivation).proofs)
            )
    return results


def _lowered(
    name: str, proofs: Callable[[], int], detail: str = "each pass of the lowering keeps the value"
) -> Result:
    """How many results were proved to have kept their value while they were made."""
    try:
        count, ok = proofs(), True
    except CertificationError as error:
        count, detail, ok = 0, str(error), False
    return Result("proved", name, detail, count, None, None, ok)


Sides = tuple[NormalForm, Expr, Expr]


def _proofs(derivation: Derivation) -> Iterator[tuple[str, list[Sides]]]:
    known: dict[str, Definition] = {}
    for result in derivation.adjoints:
        yield _lhs(result), _steps(result, NormalForm(derivation.chart, known))
        known[result.var.label] = result.definition
    columns: dict[str, Definition] = {}
    for result in derivation.entries():
        yield _lhs(result), _steps(result, NormalForm(derivation.chart, columns))
        columns[result.var.label] = result.definition
    pushed, jacobian = derivation.tangent.definition, derivation.jacobian
    known[pushed.var.label] = pushed
    if jacobian is not None:
        known |= {"u": jacobian.u, "R": jacobian.R}
    everything = NormalForm(derivation.chart, known)
    facts: list[Sides] = [(everything, f.lhs, f.rhs) for f in derivation.all_facts()]
    facts += [(everything, s.before, s.after) for f in derivation.all_facts() for s in f.steps]
    if jacobian is not None:
        facts.append((everything, jacobian.entry.closed, jacobian.u.var * jacobian.R.var))
    yield "identities and facts", facts


def _lhs(result: Derived) -> str:
    if (entry := result.entry) is not None:
        return f"d{entry.of.label}/d{entry.wrt.label}"
    return f"dl/d{result.var.of}"


def _steps(result: Derived, normal_form: NormalForm) -> list[Sides]:
    return [(normal_form, step.before, step.after) for step in result.steps]


def _prove(name: str, pairs: list[Sides]) -> Result:
    try:
        wrong = [pair for pair in pairs if not pair[0].zero(pair[1] - pair[2])]
        detail = f"{wrong[0][1]} is not {wrong[0][2]}" if wrong else "every step, for every size"
    except NotNormalError as error:
        wrong, detail = pairs, str(error)
    return Result("proved", name, detail, len(pairs), None, None, not wrong)


# --- Exact ----------------------------------------------------------------------------------------


def claims(derivation: Derivation) -> list[Claim]:
    """Everything that a derivation says about derivatives, staged and closed."""
    layer = derivation.layer
    made = [Claim(d.var.label, d.var, d.expr) for d in layer]
    for result in derivation.adjoints:
        name = _lhs(result)
        made.append(Claim(name, result.var, result.closed))
        if result.staged != result.closed:
            made.append(Claim(f"{name} staged", result.var, result.staged))
    made.append(Claim("jvp", derivation.tangent.var, derivation.tangent.closed))
    for result in derivation.entries():
        assert result.entry is not None
        made.append(Claim(_lhs(result), result.entry.of, result.closed, result.entry.wrt))
    return made


def exact_formulas(
    derivation: Derivation, seed: int, reference: Reference | None = None
) -> list[Result]:
    """The formulas against the oracle, over both fields; by the written reference if none given."""
    reference = reference or REFERENCES.get(derivation.layer.name)
    if reference is None:
        return [skipped("exact", "formulas", "no reference is written for this layer")]
    return from_outcomes(check(derivation.layer, claims(derivation), reference, seed=seed))


def exact_kernel(subject: Subject, seed: int) -> list[Result]:
    """The kernel's own arithmetic, run on exact numbers."""
    layer = subject.derivation.layer
    reference = subject.reference
    if subject.source is None or reference is None:
        without = subject.no_kernel or no_kernel(layer)
        why = f"no reference for {layer.name} yet" if subject.source else without
        return [skipped("exact", "kernel", why)]
    own = {BLOCK: exact_block.check, SOFTMAX: exact_softmax.check}
    if layer in own:
        return from_outcomes(own[layer](subject.source, seed=seed), prefix="kernel ")
    outcomes = kernel_exact.check(subject.source, layer, reference, seed=seed)
    if layer == BATCH_NORM:
        outcomes += exact_deployment.check(subject.source, seed=seed)
    if layer in SECOND_ORDER:
        outcomes += exact_second_order.check(subject.source, layer, seed=seed)
    return from_outcomes(outcomes, prefix="kernel ")


def from_outcomes(outcomes: Iterable[Outcome], prefix: str = "") -> list[Result]:
    """One row for each claim, both fields together."""
    rows: dict[str, list[Outcome]] = {}
    for outcome in outcomes:
        rows.setdefault(outcome.claim, []).append(outcome)
    return [_row(prefix + name, group) for name, group in rows.items()]


def _row(name: str, group: list[Outcome]) -> Result:
    cases = sum(outcome.cases for outcome in group)
    failures = sum(outcome.failures for outcome in group)
    if not cases and not failures:
        return skipped("exact", name, "; ".join(dict.fromkeys(o.skipped for o in group)))
    fields = ", ".join(outcome.field for outcome in group if outcome.cases)
    detail = "; ".join(
        [f"over {fields}", *(f"not {o.field}: {o.skipped}" for o in group if o.skipped)]
    )
    for outcome in group:
        if outcome.counterexample is not None:
            c = outcome.counterexample
            where = ", ".join(f"{k} = {v}" for k, v in (*c.sizes, *c.index))
            detail = f"{outcome.field}, {where}: {c.got} instead of {c.expected}"
    return Result("exact", name, detail, cases, None, None, failures == 0)


# --- Checked --------------------------------------------------------------------------------------


def accuracy_results(
    module: ModuleType, layer: Layer, seed: int, *, quick: bool = False
) -> list[Result]:
    """The accuracy table of the layer, one row for each dtype and result."""
    if layer == BLOCK:
        return accuracy_block.run_checks(module, seed=seed)
    if layer == SOFTMAX:
        return summarised(accuracy_softmax.run(module, seed=seed, quick=quick))
    if layer in ROW_LAYERS:
        return summarised(accuracy_rows.run(module, layer, seed=seed, quick=quick))
    return summarised(accuracy.run(module, seed=seed, quick=quick))


def summarised(results: Iterable[Result]) -> list[Result]:
    """The accuracy table with one row for each dtype and result: the worst case decides."""
    rows: dict[tuple[str, str], list[Result]] = {}
    for result in results:
        dtype = result.name.split(":")[0]
        array = result.detail.split(":")[0]
        rows.setdefault((array, dtype), []).append(result)
    return [_worst(array, dtype, group) for (array, dtype), group in rows.items()]


def _worst(array: str, dtype: str, group: list[Result]) -> Result:
    worst = max(group, key=_share_of_limit)
    batch = worst.name.split(": ", 1)[1]
    detail = f"worst of {len(group)} batches: {batch}"
    if ": " in worst.detail:
        detail += f" ({worst.detail})"
    return Result(
        "checked",
        f"{array} {dtype}",
        detail,
        sum(r.cases for r in group),
        worst.worst,
        worst.limit,
        all(r.ok for r in group),
        worst.unit,
    )


def contract_results(module: ModuleType, layer: Layer, seed: int) -> list[Result]:
    """One row for the clauses that hold, and one for each that does not or was skipped."""
    if layer == BLOCK:
        found = contract.run(module, seed=seed, clauses=BLOCK_CLAUSES, optional=())
    elif layer == SOFTMAX:
        found = contract_softmax.run(module, seed=seed)
    elif layer in ROW_LAYERS:
        found = contract_by_row.run(module, layer, seed=seed)
    else:
        found = contract.run(module, seed=seed)
    held = [result for result in found if result.ok]
    cases = sum(result.cases for result in held)
    kept = f"{len(held)} of {len(found)} clauses hold"
    broken = [replace(r, group="checked", name=f"contract: {r.name}") for r in found if not r.ok]
    return [Result("checked", "contract", kept, cases, None, None, bool(held)), *broken]


def on_data(module: ModuleType, data: Matrix, seed: int) -> list[Result]:
    """The kernel on a user's matrix, in float64 and float32, with random cotangents.

    γ, β and dy are drawn; errors are relative to each column's own size.
    """
    return [_on_data(module, data, dtype, seed) for dtype in ("float64", "float32")]


def _on_data(module: ModuleType, data: Matrix, dtype: str, seed: int) -> Result:
    rows, columns = data.values.shape
    if rows < 3:
        why = "with m = 2 the terms of dx cancel to eps/(var + eps) of their size, in any kernel"
        return skipped("checked", f"{data.name} {dtype}", why)
    with np.errstate(over="ignore"):
        x = data.values.astype(dtype)
    if not np.isfinite(x).all():
        return skipped("checked", f"{data.name} {dtype}", f"its values overflow {dtype}")
    if np.abs(x, dtype=np.float64).max(initial=0) > LARGEST:
        return skipped("checked", f"{data.name} {dtype}", f"squares of its values overflow {dtype}")

    def make(rng: np.random.Generator) -> Batch:
        drawn = (
            rng.uniform(0.5, 2.0, (columns,)),
            rng.normal(size=(columns,)),
            rng.normal(size=(rows, columns)),
        )
        gamma, beta, dy = (array.astype(dtype) for array in drawn)
        return Batch(x, gamma, beta, dy)

    case = Case(data.name, make, dtype, "the user's data", by_channel=True)
    found = accuracy.run(module, seed=seed, cases=(case,))
    worst = max(found, key=_share_of_limit)
    detail = f"{rows} x {columns}; worst: {worst.detail}"
    cases, ok = sum(r.cases for r in found), all(r.ok for r in found)
    name = f"{data.name} {dtype}"
    return Result("checked", name, detail, cases, worst.worst, worst.limit, ok, worst.unit)


def _share_of_limit(result: Result) -> tuple[bool, float]:
    return not result.ok, (result.worst or 0.0) / (result.limit or 1.0)

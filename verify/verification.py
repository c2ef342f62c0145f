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
from pathlib import Path
from types import ModuleType

import numpy as np
from sympy import Expr

from codegen.pipeline import build
from derive.chart import NotNormalError
from derive.derivation import Derivation
from derive.expr import Definition
from derive.normal_form import NormalForm
from derive.trace import CertificationError
from derive.trace import Result as Derived
from verify import accuracy, contract, kernel_exact
from verify.accuracy_cases import Batch, Case
from verify.data import Matrix
from verify.exact import Claim, Outcome, check
from verify.loading import load
from verify.references import REFERENCES
from verify.report import Result

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Subject:
    """What is verified: a derivation, and the text of the module generated from it, if any."""

    derivation: Derivation
    source: str | None

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
    progress("exact equalities of the formulas")
    results += exact_formulas(subject.derivation, seed)
    progress("exact arithmetic of the kernel")
    results += exact_kernel(subject, seed)
    progress("accuracy in floating point")
    module = subject.module()
    if module is None:
        why = f"no kernel is generated for {subject.derivation.layer.name} yet"
        return [*results, skipped("checked", "kernel", why)]
    results += summarised(accuracy.run(module, seed=seed, quick=quick))
    progress("kernel contract")
    results += contract_results(module, seed)
    if data is not None:
        progress(f"data: {data.name}")
        results += on_data(module, data, seed)
    return results


# --- Proved ---------------------------------------------------------------------------------------


def proved(derivation: Derivation, *, lowered: bool) -> list[Result]:
    """Each certified step, proved again from its two sides; each fact; each lowering stage."""
    results = [_prove(name, pairs) for name, pairs in _proofs(derivation)]
    if lowered:
        try:
            kernels = build(derivation)
            count, detail, ok = kernels.proofs, "each pass of the lowering keeps the value", True
        except CertificationError as error:
            count, detail, ok = 0, str(error), False
        results.append(Result("proved", "kernel programs", detail, count, None, None, ok))
    return results


Sides = tuple[NormalForm, Expr, Expr]


def _proofs(derivation: Derivation) -> Iterator[tuple[str, list[Sides]]]:
    known: dict[str, Definition] = {}
    for result in derivation.adjoints:
        yield _lhs(result), _steps(result, NormalForm(derivation.chart, known))
        known[result.var.label] = result.definition
    columns: dict[str, Definition] = {}
    for result in (*derivation.jacobian.intermediate, derivation.jacobian.entry):
        yield _lhs(result), _steps(result, NormalForm(derivation.chart, columns))
        columns[result.var.label] = result.definition
    u, R = derivation.jacobian.u, derivation.jacobian.R  # noqa: N806 - R is its name
    pushed = derivation.tangent.definition
    everything = NormalForm(derivation.chart, {**known, "u": u, "R": R, pushed.var.label: pushed})
    facts: list[Sides] = [(everything, f.lhs, f.rhs) for f in derivation.all_facts()]
    facts.append((everything, derivation.jacobian.entry.closed, u.var * R.var))
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
    for result in (*derivation.jacobian.intermediate, derivation.jacobian.entry):
        assert result.entry is not None
        made.append(Claim(_lhs(result), result.entry.of, result.closed, result.entry.wrt))
    return made


def exact_formulas(derivation: Derivation, seed: int) -> list[Result]:
    """The formulas against the oracle, over both fields."""
    reference = REFERENCES.get(derivation.layer.name)
    if reference is None:
        return [skipped("exact", "formulas", "no reference is written for this layer")]
    return from_outcomes(check(derivation.layer, claims(derivation), reference, seed=seed))


def exact_kernel(subject: Subject, seed: int) -> list[Result]:
    """The kernel's own arithmetic, run on exact numbers."""
    layer = subject.derivation.layer
    reference = REFERENCES.get(layer.name)
    if subject.source is None or reference is None:
        why = "no kernel" if subject.source is None else "no reference"
        return [skipped("exact", "kernel", f"{why} for {layer.name} yet")]
    outcomes = kernel_exact.check(subject.source, layer, reference, seed=seed)
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
    detail = f"over {fields}"
    for outcome in group:
        if outcome.counterexample is not None:
            c = outcome.counterexample
            where = ", ".join(f"{k} = {v}" for k, v in (*c.sizes, *c.index))
            detail = f"{outcome.field}, {where}: {c.got} instead of {c.expected}"
    return Result("exact", name, detail, cases, None, None, failures == 0)


# --- Checked --------------------------------------------------------------------------------------


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


def contract_results(module: ModuleType, seed: int) -> list[Result]:
    """One row for the clauses that hold, and one for each that does not or was skipped."""
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
    with np.errstate(over="ignore"):
        x = data.values.astype(dtype)
    if not np.isfinite(x).all():
        return skipped("checked", f"{data.name} {dtype}", f"its values overflow {dtype}")

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


def skipped(group: str, name: str, why: str) -> Result:
    """A check that did not run."""
    return Result(group, name, why, 0, None, None, False, skipped=why)


def generated_source(folder: Path, layer: str) -> str | None:
    """The committed module of a layer, if there is one."""
    path = folder / "numpy_kernels" / f"{layer}.py"
    return path.read_text(encoding="utf-8") if path.exists() else None

"""``audit kernel``: from what was observed to a verdict with its reasons.

What is right comes from exact arithmetic (:mod:`verify.audit.probes`).  A kernel that runs in
floating point is *checked* against it, to nine digits; if it also computes with rational numbers,
and its results are equal, it is *exact* at a few sizes.  A kernel that did not get through every
matrix has no verdict.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from derive.errors import InputError
from derive.layers import LAYERS
from verify.audit.diagnosis import Diagnosis, diagnose
from verify.audit.exactly import batches, compared
from verify.audit.forms import Form, form_of
from verify.audit.probes import AGAIN, BATCH, KERNELS, Probe, at_eps, off_definition, probes
from verify.audit.sample import Sample
from verify.audit.sandbox import Attempt, Observed, Request, observe
from verify.audit.symptoms import Gradient, error, gradients, limit
from verify.report import Result

# ε that kernels have built in, the likeliest first; a wrong kernel is explained with the first few.
CONSTANTS = (1e-5, 1e-8, 1e-7, 1e-6, 1e-3, 1e-4, 1e-12, 1e-10, 1e-9, 1e-2, 0.0)
EXPLAINED = 3
IMAGES = "batch_norm_2d"
Progress = Callable[[str], None]


@dataclass(frozen=True)
class Report:
    """Everything that is said about a kernel.

    ``shape`` says how it is called; ``eps`` is the ε that it has built in, None where it takes one;
    ``diagnoses`` explain the wrong gradients; ``form`` is which of several equal formulas a right
    one computes, where that can be seen, ``layers`` are others that a wrong one is right for.
    ``exact`` counts numbers that were equal without a tolerance, if all of them were.
    ``warnings`` are no mistakes of the formula.
    ``accuracy`` and ``contract`` are rows of those tables, ``speed`` is in seconds.
    """

    request: Request
    shape: str
    eps: float | None
    gradients: tuple[Gradient, ...]
    diagnoses: tuple[Diagnosis, ...]
    warnings: tuple[str, ...]
    ranks: tuple[int, ...]
    form: Form | None = None
    layers: tuple[str, ...] = ()
    exact: int = 0
    accuracy: tuple[Result, ...] = ()
    contract: tuple[Result, ...] = ()
    speed: dict[str, Any] | None = None

    @property
    def right(self) -> bool:
        return all(gradient.right for gradient in self.gradients)

    @property
    def unexplained(self) -> tuple[str, ...]:
        """Wrong gradients without a diagnosis; single precision is one."""
        known = {name for diagnosis in self.diagnoses for name in diagnosis.outputs}
        return tuple(
            g.name for g in self.gradients if not (g.right or g.rounded or g.name in known)
        )


@dataclass(frozen=True)
class Setting:
    """What a kernel has built in: ε, where it takes none, and γ = 1."""

    eps: float | None
    takes_gamma: bool

    def of(self, probe: Probe) -> Probe:
        """The probe as the kernel sees it."""
        there = probe if self.eps is None else at_eps(probe, self.eps)
        return there if self.takes_gamma else there.unscaled


def audit(
    request: Request,
    tasks: Sequence[str] = (),
    eps: float | None = None,
    progress: Progress = lambda _: None,
) -> Report:
    """Try a kernel and say what is right, what is wrong and why.

    ``tasks`` are done for a right kernel (accuracy, contract, speed).  ``eps`` is what the user
    says is built in.  Raises InputError where there is no verdict: the target cannot be tried, did
    not end, raised, or gave what is no gradient.
    """
    progress(f"trying {request.target}")
    request = replace(request, exact=tuple(batches(request.layer)))
    report = judge(observe(request), request, eps)
    if not report.right or not tasks:
        return report
    progress(" and ".join(tasks))
    built_in = request.eps if report.eps is None else report.eps
    again = replace(request, tasks=tuple(tasks), eps=built_in, ranks=report.ranks)
    return _with_tasks(report, observe(again), tasks)


def judge(observed: Observed, request: Request, eps: float | None = None) -> Report:
    """The verdict on what was observed; ``eps`` and errors as in :func:`audit`."""
    if observed.refused or observed.ended:
        why = observed.refused or f"{observed.ended}; nothing is known about its results"
        place = request.target.rpartition(":")[0] or request.target
        raise InputError(why if why.startswith(place) else f"{request.target}: {why}")
    attempts = {attempt.name: attempt for attempt in observed.attempts}
    if missing := {AGAIN, *(p.name for p in probes(request.layer))} - set(attempts):
        raise InputError(f"{request.target}: {len(missing)} probes are missing; nothing is known")
    _check(attempts, request)
    shape = observed.events["shape"]
    constants = (None,) if shape["takes_eps"] else _constants(request, eps)
    settings = [Setting(constant, shape["takes_gamma"]) for constant in constants]
    every = {setting: _samples(attempts, request, setting) for setting in settings}
    setting = max(settings, key=lambda s: sum(g.right for g in gradients(every[s])))
    found = gradients(every[setting])
    diagnoses: tuple[Diagnosis, ...] = ()
    if not all(gradient.right for gradient in found):
        explained = ((s, _diagnoses(every[s], request)) for s in (setting, *settings[:EXPLAINED]))
        setting, diagnoses = next((pair for pair in explained if pair[1]), (setting, ()))
        found = gradients(every[setting])
    return Report(
        request,
        shape["says"],
        setting.eps,
        found,
        diagnoses,
        tuple(_warnings(observed, attempts)),
        _ranks(attempts),
        None if diagnoses else _form(attempts, request, setting),
        () if all(g.right for g in found) else tuple(_right_for(every[setting], request)),
        _exact(observed, request),
    )


def _exact(observed: Observed, request: Request) -> int:
    """How many results on rational numbers are equal to the true ones; 0 unless all are."""
    if "exact" not in observed.events:
        return 0
    count, equal = compared(request.layer, observed.events["exact"]["results"])
    return count if equal else 0


def _right_for(samples: Sequence[Sample], request: Request) -> Iterator[str]:
    """Other layers whose gradients these are, on matrices."""
    matrices = [sample for sample in samples if sample.probe.x.ndim == 2]
    for layer in (name for name in KERNELS if name != request.layer and matrices):
        moved = [replace(s, probe=replace(s.probe, layer=layer)) for s in matrices]
        common = {"dx", *_learnt(layer)} >= set(matrices[0].results)
        if common and all(gradient.right for gradient in gradients(moved)):
            yield layer


def _ranks(attempts: Mapping[str, Attempt]) -> tuple[int, ...]:
    """The ranks of x that the kernel takes."""
    taken = {2: attempts["plain"].more == 0}
    taken |= {rank: not attempts[f"rank {rank}"].raised for rank in (3, 4)}
    return tuple(rank for rank, takes in taken.items() if takes)


def _constants(request: Request, eps: float | None) -> tuple[float, ...]:
    if eps is not None:
        return (eps,)
    return (request.eps, *(constant for constant in CONSTANTS if constant != request.eps))


def _check(attempts: Mapping[str, Attempt], request: Request) -> None:
    """Every matrix has to give gradients, the plainest finite ones."""
    for probe in (probe for probe in probes(request.layer) if probe.x.ndim == 2):
        if raised := attempts[probe.name].raised:
            raise InputError(f"{request.target}: on x {probe.x.shape}: {raised}")
    plain = attempts["plain"]
    for name, array in plain.results.items():
        if not np.isfinite(array).all():
            shape = probes(request.layer)[0].x.shape
            raise InputError(
                f"{request.target}: {name} is not finite ({_first_bad(array)}) on a plain batch, "
                f"x {shape}"
            )
    if unknown := set(plain.results) - {"dx", *_learnt(request.layer)}:
        raise InputError(f"{request.target}: {request.layer} has no {sorted(unknown)[0]}")


def _learnt(layer: str) -> list[str]:
    return [f"d{var.label}" for var in LAYERS[layer].learnt]


def _first_bad(array: Any) -> str:
    return str(array[~np.isfinite(array)].flat[0])


def _samples(
    attempts: Mapping[str, Attempt], request: Request, setting: Setting
) -> tuple[Sample, ...]:
    """The probes that the kernel got through."""
    found = []
    for probe in probes(request.layer):
        attempt = attempts[probe.name]
        if not attempt.raised:
            sample = Sample(setting.of(probe), attempt.results)
            tolerance = max(limit(sample, name) for name in attempt.results)
            found.append(replace(sample, tolerance=tolerance))
    return tuple(found)


# --- Reasons --------------------------------------------------------------------------------------


def _diagnoses(samples: Sequence[Sample], request: Request) -> tuple[Diagnosis, ...]:
    """What explains the wrong gradients: on matrices, or if it is right there, on images."""
    wrong = [g.name for g in gradients(samples) if not g.right and not g.rounded]
    if not wrong:
        return ()

    def is_right(sample: Sample) -> bool:
        return all(error(sample, name) <= limit(sample, name) for name in wrong)

    # Where the kernel is wrong tells most: all hypotheses are tried on the first sample.
    told = sorted(samples, key=is_right)
    matrices = [sample for sample in told if sample.probe.x.ndim == 2]
    if not all(map(is_right, matrices)):
        layer = LAYERS[request.layer]
        first = [*matrices[:1], *(s for s in told if s is not matrices[0])]
        return diagnose(layer, first, wrong) or diagnose(layer, matrices, wrong)
    layer = LAYERS[IMAGES if request.layer == BATCH else request.layer]
    return diagnose(layer, sorted(told, key=lambda s: -s.probe.x.ndim), wrong)


def _form(attempts: Mapping[str, Attempt], request: Request, setting: Setting) -> Form | None:
    """Which of the equal formulas it is, where it was given other statistics than those of x."""
    probe, given = off_definition(request.layer)
    attempt = attempts.get(probe.name)
    if attempt is None or attempt.raised:
        return None
    return form_of(LAYERS[request.layer], setting.of(probe), given, attempt.results["dx"])


def _warnings(observed: Observed, attempts: Mapping[str, Attempt]) -> Iterator[str]:
    if changed := {name for attempt in attempts.values() for name in attempt.changed}:
        yield f"it writes to its arguments: {', '.join(sorted(changed))}"
    again, plain = attempts[AGAIN].results, attempts["plain"].results
    if again.keys() != plain.keys() or any((again[name] != plain[name]).any() for name in again):
        yield "it gives other results when it is called again with the same arguments"
    if observed.printed:
        yield f"it prints: {observed.printed}"
    if raised := [a for a in attempts.values() if a.raised and a.name.startswith("rank")]:
        names = " and ".join(attempt.name for attempt in raised)
        yield f"not tried for x of {names}: {raised[0].raised}"
    for name, array in plain.items():
        if array.dtype != np.float64:
            yield f"{name} is {array.dtype} for float64 arguments"
    missing = [name for name in ("dgamma", "dbeta") if name not in plain]
    if missing == ["dgamma", "dbeta"]:
        yield "it returns dx alone: dgamma and dbeta were not tried"
    if not observed.events["shape"]["takes_gamma"]:
        yield "it takes no gamma: it was tried with gamma = 1"


def _with_tasks(report: Report, observed: Observed, tasks: Sequence[str]) -> Report:
    """A report with what was measured; what could not be is a warning, never a pass."""
    events, warnings = observed.events, [*report.warnings]
    if problem := observed.refused or observed.ended:
        missing = [name for name in tasks if name not in events]
        warnings.append(f"not measured ({', '.join(missing)}): {problem}")
    if "contract" in events and not events["contract"]["results"]:
        warnings.append("the kernel contract has no clauses for it: another layer or epsilon")
    accuracy, contract = (
        tuple(Result(**result) for result in events.get(name, {}).get("results", ()))
        for name in ("accuracy", "contract")
    )
    speed = dict(events["speed"]) if "speed" in events else None
    return replace(
        report, warnings=tuple(warnings), accuracy=accuracy, contract=contract, speed=speed
    )


def worst_error(found: Gradient) -> str:
    """As a table shows it."""
    return "infinite" if math.isinf(found.typical) else f"{found.typical:.1e}"

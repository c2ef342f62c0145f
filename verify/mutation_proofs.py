"""Are damaged formulas and damaged certificates noticed, as damaged kernels are?

* A **formula** (each closed or staged form, each entry of the Jacobian, the definitions) with one
  thing changed (:mod:`verify.formula_damages`) is compared by the exact oracle.  One that the
  oracle finds equal has to be proved so by normal form; one that it finds different must not be.
* A **certificate** with one thing changed (:mod:`verify.certificate_damages`) is replayed.

Kernels are damaged in :mod:`verify.mutation`; :func:`kernels` brings that score into the same form.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from derive.chart import NotNormalError
from derive.derivation import Derivation
from derive.layer import Layer
from verify.certificate import certificate
from verify.certificate_damages import damages
from verify.checker.replay import FormatError, check
from verify.checker.sums import Sums
from verify.checker.terms import Expr, ProofError
from verify.exact import Claim
from verify.exact import check as compare
from verify.formula_damages import damaged
from verify.mutation import CHECKS, Score
from verify.references import Reference
from verify.verification import claims

INSIDE = 20  # of the parts within a certificate's formulas, one in so many is damaged

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Fate:
    """What became of one damage: ``caught_by`` a check, or harmless for a reason, or neither."""

    name: str
    caught_by: str = ""
    harmless: str = ""
    detail: str = ""

    @property
    def survived(self) -> bool:
        return not (self.caught_by or self.harmless)


@dataclass(frozen=True)
class Tally:
    """The fates of all damages of one kind, and the checks they were put to."""

    kind: str
    checks: tuple[str, ...]
    fates: tuple[Fate, ...]

    @property
    def by_check(self) -> dict[str, int]:
        """How many damages each check was the first to notice."""
        counts = Counter(fate.caught_by for fate in self.fates)
        return {name: counts[name] for name in self.checks}

    @property
    def caught(self) -> int:
        return sum(self.by_check.values())

    @property
    def harmless(self) -> tuple[Fate, ...]:
        return tuple(fate for fate in self.fates if fate.harmless)

    @property
    def survivors(self) -> tuple[Fate, ...]:
        return tuple(fate for fate in self.fates if fate.survived)


def kernels(score: Score) -> Tally:
    """The score of the damaged kernels."""
    fates = (
        Fate(
            verdict.mutant.name,
            verdict.killed_by,
            "" if verdict.killed_by else score.harmless.get(verdict.mutant.name, ""),
            verdict.detail,
        )
        for verdict in score.verdicts
    )
    return Tally("kernels", tuple(CHECKS), tuple(fates))


def formulas(derivation: Derivation, reference: Reference, *, seed: int = 0) -> Tally:
    """Every damage to every formula of a derivation, compared with the truth."""
    true = {claim.name: claim for claim in claims(derivation)}
    every = [
        (claim, replace(claim, name=f"{claim.name} := {other}", expr=other))
        for claim in true.values()
        for other in damaged(claim.expr)
    ]
    changed = [other for _, other in every]
    sizes = _sizes(derivation.layer)
    outcomes = compare(derivation.layer, changed, reference, sizes=sizes, seed=seed)
    seen: dict[str, str] = {}
    for outcome in outcomes:
        if outcome.counterexample is not None:
            found = outcome.counterexample
            seen.setdefault(outcome.claim, f"{found.got} instead of {found.expected}")
    return Tally("formulas", ("exact",), tuple(_fate(*pair, seen, derivation) for pair in every))


def _sizes(layer: Layer) -> tuple[int, ...]:
    """Of m; where several axes are reduced one that makes each of them longer than 1."""
    several = len(layer.reduced_axes) > 2
    return ((3 ** len(layer.reduced_axes) + 1) // 2,) if several else (3, 4)


def _fate(claim: Claim, other: Claim, seen: dict[str, str], derivation: Derivation) -> Fate:
    """An oracle and a prover that contradict each other have both failed."""
    try:
        known = derivation.normal_form.knowing(derivation.known)
        proved = known.zero(claim.expr - other.expr)
    except NotNormalError:
        proved = False
    if other.name in seen:
        return Fate(other.name, "" if proved else "exact", detail=seen[other.name])
    return Fate(other.name, harmless="proved equal, for every size" if proved else "")


def certificates(derivation: Derivation, *, progress: Progress = lambda done, total: None) -> Tally:
    """Damages to every field of a derivation's certificate, and to some parts of its formulas."""
    data = certificate(derivation)
    every = enumerate(damages(data))
    todo = [d for place, d in every if not d.in_formula or place % INSIDE == 0]
    sums, fates = remembering(), []
    for done, damage in enumerate(todo, start=1):
        refused = _refusal(damage.data, sums)
        fates.append(Fate(damage.name, "replay" if refused else "", detail=refused))
        progress(done, len(todo))
    return Tally("certificates", ("replay",), tuple(fates))


def _refusal(data: Any, sums: type[Sums]) -> str:
    try:
        check(data, sums)
    except (ProofError, FormatError) as error:
        return str(error)
    return ""


def remembering() -> type[Sums]:
    """The checker's normal form, for certificates that have most in common: what was decided
    before, from the same definitions, is not decided again."""
    known: dict[Any, bool] = {}

    class Remembering(Sums):
        def zero(self, expr: Expr) -> bool:
            key = expr, tuple(self.equal.items()), repr((self.identities, self.named))
            if key not in known:
                known[key] = super().zero(expr)
            return known[key]

    return Remembering

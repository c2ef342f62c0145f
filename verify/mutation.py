"""Does verification notice?  Each damage of :mod:`verify.damages` is put to every check.

The checks run from the fastest to the slowest, and the first that fails has *killed* the mutant:

* **exact**     the kernel's own arithmetic on exact numbers (:mod:`verify.kernel_exact`,
  :mod:`verify.exact_deployment`);
* **contract**  the clauses of the kernel contract (:mod:`verify.contract`);
* **accuracy**  the accuracy table without its two long batches (:mod:`verify.accuracy`).

The block and softmax have checks of their own under the same names (:mod:`verify.mutation_block`,
:mod:`verify.mutation_softmax`).

A mutant that no check kills has *survived*, and verification is too weak there, unless the mutant
keeps every promise that the source keeps: :data:`EQUIVALENT` says which do, and why.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from types import ModuleType

from codegen.second_order import LAYERS as SECOND_ORDER
from derive.errors import InputError
from derive.layer import Layer
from derive.layers.batch_norm import BATCH_NORM
from derive.layers.block import BLOCK
from derive.layers.group_norm import GROUP_NORM
from derive.layers.instance_norm import INSTANCE_NORM
from derive.layers.layer_norm import LAYER_NORM
from derive.layers.rms_norm import RMS_NORM
from derive.layers.softmax import SOFTMAX
from verify import (
    accuracy,
    accuracy_rows,
    contract,
    contract_by_row,
    exact_deployment,
    exact_second_order,
)
from verify.accuracy_cases import CASES, Case
from verify.accuracy_rows import ROW_LAYERS
from verify.contract import Clause
from verify.damages import Mutant, mutants
from verify.exact import Outcome
from verify.kernel_exact import compare, prepare
from verify.loading import load
from verify.mutation_block import BLOCK_CHECKS
from verify.mutation_softmax import SOFTMAX_CHECKS, WITHOUT_PARAMETERS
from verify.references import Reference
from verify.report import Result, failures

SIZES = (3, 4)  # of m; enough for several blocks of which the last is shorter
PIECE = 32  # elements of it: fewer than a row of LARGE_MEANS has
LARGE_MEANS = tuple(case for case in CASES if case.name == "mean 1e4 std 1e-2")

# What a check finds wrong with a source, in a few words; empty if nothing.
Check = Callable[[str], str]
Progress = Callable[[int, int], None]

IN_PIECES = "_in_pieces"

# What the double backward sums is centred twice over, against rounding; for the exact value one
# centred factor is enough: Σ(v + a)(x̂ + b) = Σ v x̂ where b = 0 and Σ x̂ = 0, or a = 0 and Σ v = 0.
CENTRED_TWICE = {
    f"{what} in _double_backward{way}: {left} - {right} → {changed}": (
        "of a product that is summed one factor has to be centred: the exact value is the same"
    )
    for way, left, right, turned in (
        ("", "v_dx_block", "mean_v_dx", "v_dx_block + mean_v_dx"),
        ("", "dy_block", "mean_dy", "dy_block + mean_dy"),
        ("", "x_block", "mean", "x_block + mean"),
        ("", "x_block - mean", "mean_rest", "(x_block - mean) + mean_rest"),
        (IN_PIECES, "v_dx_block", "mean_v_dx_row", "v_dx_block + mean_v_dx_row"),
        (IN_PIECES, "dy_block", "mean_dy_row", "dy_block + mean_dy_row"),
        (IN_PIECES, "dx_hat", "mean_dx_hat_row", "dx_hat + mean_dx_hat_row"),
        (IN_PIECES, "v_dgamma_dy", "mean_v_dgamma_dy_row", "v_dgamma_dy + mean_v_dgamma_dy_row"),
        (IN_PIECES, "x_block", "mean_row", "x_block + mean_row"),
        (IN_PIECES, "x_block - mean_row", "mean_rest_row", "(x_block - mean_row) + mean_rest_row"),
    )
    for what, changed in (
        ("sign flipped", turned),
        ("term dropped", f"({left})" if " " in left else left),
    )
}

CENTRED_TWICE |= {
    f"name confused in _double_backward{IN_PIECES}: {own} → {other}_row": (
        "what one factor is centred at, in the reading that sums the products: it may be any number"
    )
    for own, other in (
        *(("mean_dx_hat", "mean"), ("mean_rest", "mean_dx_hat"), ("mean_dy", "mean")),
        *(("mean_v_dgamma_dy", "mean_rest"), ("mean_v_dx", "mean_v_dgamma_dy")),
        *(("mean_rest", "mean_dy"), ("mean_v_dx", "mean_rest"), ("mean", "inv_std")),
    )
}

# Of one channel's positions the sum is that over all that shares its parameter.
ONE_CHANNEL = {
    f"sum in _backward{IN_PIECES}: layout.over_rows({summed}) → layout.total({changed})": (
        "in the piece of one channel of a sample both are sums of all elements"
    )
    for summed, changed in (
        ("dy_block * x_hat", "(dy_block * x_hat)"),
        ("dy_block", "dy_block"),
    )
}

# Of layers by rows.
OF_ROWS = {
    f"{what} in _backward: _ADDED * layout.alike → {changed}": (
        "rows of another length are computed in float64, which is always good enough"
    )
    for what, changed in (
        ("factor dropped", "_ADDED"),
        ("factor dropped", "(layout.alike)"),
        ("division", "_ADDED / (layout.alike)"),
    )
}

# Of those that are centred.
OF_CENTRED_ROWS = OF_ROWS | {
    "few elements never centred": (
        "where digits are lost so, too little is left of what is subtracted: it is float64 then"
    )
}

# Of those that learn a parameter for each element of a row.
OF_WHOLE_ROWS = {
    f"blocks in {core}: layout.parts() → [next(iter(layout.parts()))]": (
        "rows that are computed whole are one part: all of them have the same parameters"
    )
    for core in ("_forward_wide", "_statistics", "_backward_wide", "_jvp", "_double_backward")
}

# Of those whose rows are channels.
SUM_OF_GAMMA = (
    "layout.over_rows(_cut(inv_std, part) * (m * _cut(sum_dyc_vdxc, part)"
    " - _cut(sum_dyc_xhat, part) * _cut(sum_vdxc_xhat, part)) / m)"
)
OF_CHANNELS = {
    f"sum in _double_backward{IN_PIECES}: sum_expr_invrootvar += {SUM_OF_GAMMA} → "
    f"sum_expr_invrootvar = {SUM_OF_GAMMA}": "it is added to zeros of its shape, once"
}

# Mutants that break no promise, by name, and why.
EQUIVALENT = {
    "check left out in _result: not out.flags.writeable → False": (
        "NumPy refuses to write to a read-only array, with the same ValueError"
    ),
    "check left out in _results: len(outs) != len(shapes) → False": (
        "zip(..., strict=True) over outs raises the same ValueError before anything is written"
    ),
    "check left out in _checked: not isinstance(cache, Cache) → False": (
        "the contract has no promise for what is no cache; another error is raised"
    ),
    "check left out in _channel_axis: x.ndim < 2 → False": (
        "an axis that such an x does not have, or that of the samples, is the same ValueError"
    ),
    "check left out in jacobian: not -layout.channels <= channel < layout.channels → False": (
        "the contract has no promise for such a channel; NumPy raises IndexError"
    ),
    "results swapped in _statistics: return (mean, mean_rest, inv_std) "
    "→ return mean_rest, mean, inv_std": "both are taken from x, in float64: in either order",
    f"results swapped in _statistics{IN_PIECES}: return (mean, mean_rest, inv_std) "
    "→ return mean_rest, mean, inv_std": "the same",
    **{
        f"name confused in _backward_rows: {own} → dx_per_dx_hat": "one value under two names"
        for own in ("inv_std", "inv_rms")
    },
    **{
        f"size in _statistics{IN_PIECES}: m → {wrong}": (
            "what this mean leaves is found by the second reading, and rows in pieces are long"
        )
        for wrong in ("(m - 1)", "(m + 1)")
    },
    **CENTRED_TWICE,
    **ONE_CHANNEL,
}

# The same, of the kernels of some layers alone.
HARMLESS: Mapping[Layer, Mapping[str, str]] = {
    LAYER_NORM: OF_CENTRED_ROWS | OF_WHOLE_ROWS,
    RMS_NORM: OF_ROWS | OF_WHOLE_ROWS,
    GROUP_NORM: OF_CENTRED_ROWS,
    INSTANCE_NORM: OF_CENTRED_ROWS | OF_CHANNELS,
    SOFTMAX: WITHOUT_PARAMETERS,
}


@dataclass(frozen=True)
class Verdict:
    """What became of one mutant; ``killed_by`` is empty if it survived."""

    mutant: Mutant
    killed_by: str
    detail: str


@dataclass(frozen=True)
class Score:
    """All verdicts, in the order of the mutants; ``harmless`` says of some by name why they break
    no promise."""

    verdicts: tuple[Verdict, ...]
    harmless: Mapping[str, str] = field(default_factory=lambda: EQUIVALENT)

    @property
    def killed(self) -> int:
        return sum(bool(verdict.killed_by) for verdict in self.verdicts)

    @property
    def survivors(self) -> tuple[Mutant, ...]:
        """The mutants that break a promise and were killed by no check."""
        return tuple(m for m in self._unharmed() if m.name not in self.harmless)

    @property
    def equivalent(self) -> tuple[Mutant, ...]:
        """The mutants that no check killed, and need not."""
        return tuple(m for m in self._unharmed() if m.name in self.harmless)

    def _unharmed(self) -> Iterator[Mutant]:
        return (verdict.mutant for verdict in self.verdicts if not verdict.killed_by)

    @property
    def by_check(self) -> dict[str, int]:
        """How many mutants each check was the first to kill."""
        counts = Counter(verdict.killed_by for verdict in self.verdicts if verdict.killed_by)
        return {name: counts[name] for name in CHECKS}


def score(
    source: str,
    layer: Layer,
    reference: Reference,
    *,
    seed: int = 0,
    only: Iterable[Mutant] | None = None,
    checks: Iterable[str] = ("exact", "contract", "accuracy"),
    progress: Progress = lambda done, total: None,
) -> Score:
    """Put every mutant of a generated module, or ``only`` some, to the checks.

    ``checks`` are names of :data:`CHECKS`.
    ``progress`` is told how many mutants are done, and of how many.

    Raises InputError if the undamaged source fails one of them: a kill would then mean nothing.
    """
    own = {BLOCK: BLOCK_CHECKS, SOFTMAX: SOFTMAX_CHECKS}
    known = own.get(layer, CHECKS)
    chosen = {name: known[name](layer, reference, seed) for name in checks}
    for name, check in chosen.items():
        if wrong := check(source):
            raise InputError(f"the undamaged source fails the {name} check: {wrong}")
    todo = tuple(mutants(source) if only is None else only)
    verdicts = []
    for done, mutant in enumerate(todo, start=1):
        verdicts.append(_verdict(mutant, chosen))
        progress(done, len(todo))
    return Score(tuple(verdicts), {**EQUIVALENT, **HARMLESS.get(layer, {})})


def _verdict(mutant: Mutant, checks: Mapping[str, Check]) -> Verdict:
    for name, check in checks.items():
        try:
            wrong = check(mutant.source)
        except Exception as error:  # a damaged module may raise anything, on being loaded too
            wrong = f"raised {type(error).__name__}: {error}"
        if wrong:
            return Verdict(mutant, name, wrong)
    return Verdict(mutant, "", "")


# --- Checks: each stops at the first thing that is wrong ------------------------------------------


def _exact(layer: Layer, reference: Reference, seed: int) -> Check:
    samples = prepare(layer, reference, sizes=SIZES, seed=seed)
    single = [replace(sample, cases=(case,)) for sample in samples for case in sample.cases]
    if not single:
        raise InputError(f"{reference.name} has no exact points to compare {layer.name} at")
    one = SIZES[-1:]  # of m, for what the first case has let through
    deployed = exact_deployment.prepare(sizes=one, seed=seed) if layer == BATCH_NORM else ()
    twice = exact_second_order.prepare(layer, sizes=one, seed=seed) if layer in SECOND_ORDER else ()

    def outcomes(source: str) -> Iterator[Outcome]:
        module = load(source, f"exact {layer.name}")
        first, *others = single  # which most mutants fail
        yield from compare(module, layer, [first])
        yield from exact_deployment.compare(module, deployed)
        yield from exact_second_order.compare(module, twice)
        for sample in others:
            yield from compare(module, layer, [sample])

    def check(source: str) -> str:
        for outcome in outcomes(source):
            if outcome.counterexample:
                got, due = outcome.counterexample.got, outcome.counterexample.expected
                return f"{outcome.claim}: {got} instead of {due}"
        return ""

    return check


def _contract(layer: Layer, _: Reference, seed: int) -> Check:
    rows = layer in ROW_LAYERS

    def held(module: ModuleType, clause: Clause) -> list[Result]:
        if rows:
            return contract_by_row.run(module, layer, seed=seed, clauses=(clause,))
        return contract.run(module, seed=seed, clauses=(clause,))

    def check(source: str) -> str:
        module = load(source, layer.name)
        for clause in contract_by_row.clauses_of(layer) if rows else contract.CLAUSES:
            for broken in failures(held(module, clause)):
                return f"{broken.name}: {broken.detail}"
        return ""

    return check


def _accuracy(layer: Layer, _: Reference, seed: int) -> Check:
    def table(module: ModuleType, case: Case) -> list[Result]:
        if layer in ROW_LAYERS:
            return accuracy_rows.run(module, layer, seed=seed, cases=(case,), quick=True)
        return accuracy.run(module, seed=seed, cases=(case,), quick=True)

    def check(source: str) -> str:
        module = load(source, layer.name)
        for case in CASES:
            for wrong in failures(table(module, case)):
                return f"{wrong.name}: {wrong.detail}"
        # Rows one by one and in pieces, as the long batches would have been.
        for few in (("_BLOCK",), ("_BLOCK", "_ROW")) if layer in ROW_LAYERS else ():
            module = load(source, layer.name)
            vars(module).update(dict.fromkeys(few, PIECE))
            for wrong in (w for case in LARGE_MEANS for w in failures(table(module, case))):
                return f"{wrong.name}, a little at a time: {wrong.detail}"
        return ""

    return check


CHECKS: Mapping[str, Callable[[Layer, Reference, int], Check]] = {
    "exact": _exact,
    "contract": _contract,
    "accuracy": _accuracy,
}

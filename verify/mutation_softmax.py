"""The checks that a damaged module of softmax is put to; see :mod:`verify.mutation`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from derive.layer import Layer
from verify import accuracy_softmax, contract_softmax, exact_softmax
from verify.loading import load
from verify.references import Reference
from verify.report import failures

SIZES = (3, 4)  # of m; enough for several blocks of which the last is shorter

# Mutants that break no promise of softmax, by name, and why.
NO_PARAMETER = "softmax has no parameter, which it is about"
WITHOUT_PARAMETERS = {
    "mean in place of a sum": f"in over_rows: {NO_PARAMETER}",
    "results may overlap": "there is one result",
    "dy in a parameter's out": NO_PARAMETER,
    "one reduced axis counted": "there is one",
    "block not widened": "NumPy widens what is copied, and what is taken of a row",
    "one value cut": "values of rows have one element along the axis that no row is cut at",
}

Check = Callable[[str], str]


def _exact(layer: Layer, _: Reference, seed: int) -> Check:
    cases = exact_softmax.prepare(sizes=SIZES, seed=seed)

    def check(source: str) -> str:
        module = load(source, f"exact {layer.name}")
        for case in cases:
            for outcome in exact_softmax.compare(module, [case]):
                if outcome.counterexample:
                    got, due = outcome.counterexample.got, outcome.counterexample.expected
                    return f"{outcome.claim}: {got} instead of {due}"
        return ""

    return check


def _contract(layer: Layer, _: Reference, seed: int) -> Check:
    def check(source: str) -> str:
        module = load(source, layer.name)
        for clause in contract_softmax.CLAUSES:
            for broken in failures(contract_softmax.run(module, seed=seed, clauses=(clause,))):
                return f"{broken.name}: {broken.detail}"
        return ""

    return check


def _accuracy(layer: Layer, _: Reference, seed: int) -> Check:
    def check(source: str) -> str:
        module = load(source, layer.name)
        for wrong in failures(accuracy_softmax.run(module, seed=seed, quick=True)):
            return f"{wrong.name}: {wrong.detail}"
        return ""

    return check


SOFTMAX_CHECKS: Mapping[str, Callable[[Layer, Reference, int], Check]] = {
    "exact": _exact,
    "contract": _contract,
    "accuracy": _accuracy,
}

"""The checks that a damaged module of the block is put to; see :mod:`verify.mutation`."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from derive.layer import Layer
from verify import accuracy_block, contract, exact_block
from verify.contract_block import BLOCK_CLAUSES
from verify.loading import load
from verify.references import Reference
from verify.report import failures

SIZES = (4,)  # of m; there are 2 channels and 3 features then

Check = Callable[[str], str]


def _exact(layer: Layer, _: Reference, seed: int) -> Check:
    samples = exact_block.prepare(sizes=SIZES, seed=seed)

    def check(source: str) -> str:
        module = load(source, f"exact {layer.name}")
        for sample in samples:
            outcome = exact_block.compare(module, sample)
            if outcome.counterexample:
                got, due = outcome.counterexample.got, outcome.counterexample.expected
                return f"{outcome.claim}: {got} instead of {due}"
        return ""

    return check


def _contract(layer: Layer, _: Reference, seed: int) -> Check:
    def check(source: str) -> str:
        module = load(source, layer.name)
        for broken in failures(contract.run(module, seed=seed, clauses=BLOCK_CLAUSES, optional=())):
            return f"{broken.name}: {broken.detail}"
        return ""

    return check


def _accuracy(layer: Layer, _: Reference, seed: int) -> Check:
    def check(source: str) -> str:
        module = load(source, layer.name)
        for wrong in failures(accuracy_block.run_checks(module, seed=seed)):
            return f"{wrong.name}: {wrong.detail}"
        return ""

    return check


BLOCK_CHECKS: Mapping[str, Callable[[Layer, Reference, int], Check]] = {
    "exact": _exact,
    "contract": _contract,
    "accuracy": _accuracy,
}

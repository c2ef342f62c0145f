"""Which clauses of the kernel contract hold for a layer that reduces rows, and who puts them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from derive.layer import Layer
from derive.layers.group_norm import GROUP_NORM
from derive.layers.instance_norm import INSTANCE_NORM
from verify import contract, contract_rows, contract_samples
from verify.accuracy import Kernel
from verify.accuracy_rows import centres, learnt
from verify.contract_large_rows import LARGE_ROWS
from verify.contract_rows import OPTIONAL, SHARED, RowExaminer
from verify.contract_samples import WITH_POSITIONS, SampleExaminer
from verify.contract_second_order_rows import SECOND_ORDER_CLAUSES
from verify.report import Result

Clause = Callable[[Any], None]
WITHIN_SAMPLES = (GROUP_NORM, INSTANCE_NORM)
POSITIONS = (5,)


def clauses_of(layer: Layer) -> tuple[Clause, ...]:
    """Every clause for a layer."""
    if layer in WITHIN_SAMPLES:
        common = (*SHARED, *SECOND_ORDER_CLAUSES)
        flat = (clause for clause in common if clause not in WITH_POSITIONS)
        return (*contract_samples.OWN, *flat, *DEEP, *LARGE_ROWS)
    return (*contract_rows.OWN, *SHARED, *SECOND_ORDER_CLAUSES, *LARGE_ROWS)


def run(
    module: Kernel,
    layer: Layer,
    *,
    seed: int = 0,
    clauses: tuple[Clause, ...] | None = None,
) -> list[Result]:
    """Hold the module of a layer to every clause, as :func:`verify.contract.run` does."""
    chosen = clauses_of(layer) if clauses is None else clauses
    return contract.run(
        module, seed=seed, clauses=chosen, optional=OPTIONAL, examiner=_examiner(layer)
    )


def _examiner(layer: Layer) -> Callable[..., RowExaminer]:
    if layer in WITHIN_SAMPLES:
        return partial(SampleExaminer, learnt=learnt(layer), grouped=layer == GROUP_NORM)
    return partial(RowExaminer, learnt=learnt(layer), centres=centres(layer))


def _with_positions(clause: Clause) -> Clause:
    """The clause put with positions behind the shapes that it asks for."""

    def held(examiner: SampleExaminer) -> None:
        examiner.positions = POSITIONS
        clause(examiner)

    held.__name__, held.__doc__ = f"{clause.__name__}_with_positions", clause.__doc__
    return held


DEEP: tuple[Clause, ...] = tuple(map(_with_positions, WITH_POSITIONS))

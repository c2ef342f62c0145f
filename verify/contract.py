"""The kernel contract as a list of named clauses that any Batch Norm module can be held to.

Each clause is a function of :mod:`verify.contract_calls` (names, signatures, cache),
:mod:`verify.contract_arrays` (dtypes, shapes, layouts), :mod:`verify.contract_edges` (out, sizes,
eps, NaN, warnings), :mod:`verify.contract_inference` (what is different in test mode),
:mod:`verify.contract_statistics` or :mod:`verify.contract_vectors` (running statistics and
folding) or :mod:`verify.contract_second_order` (the vjp of backward), and its docstring is the
promise.  Where values are compared it is with exact references (:mod:`verify.exact_batch_norm`,
:mod:`verify.exact_inference`) within the contract's accuracy, or with the result for the plain
contiguous array, within 4u of the largest element (float64: 64u): a kernel may sum in another order
for another layout.

forward and backward must be there.  Every other function is optional: one that is missing is a
single result, skipped, and the clauses about it alone are left out.

What the contract leaves open is not held against a kernel: the memory order of its results, a bool
as eps, dy of another float than x, parameters narrower than x, and x written to after forward.
Each clause runs with NumPy's warnings off, so that a warning fails the clause about warnings only;
twice where a module takes few elements otherwise than many (:func:`verify.kernel_paths.ways`).
"""

from __future__ import annotations

import inspect
import warnings
import zlib
from collections.abc import Callable

import numpy as np

from verify.accuracy import Kernel, offered
from verify.contract_arrays import ARRAY_CLAUSES
from verify.contract_calls import CALL_CLAUSES, OPTIONAL
from verify.contract_edges import EDGE_CLAUSES
from verify.contract_inference import INFERENCE_CLAUSES
from verify.contract_second_order import SECOND_ORDER_CLAUSES
from verify.contract_sizes import SIZE_CLAUSES
from verify.contract_statistics import STATISTICS_CLAUSES
from verify.contract_vectors import VECTOR_CLAUSES
from verify.examiner import AbsentError, Examiner, NotApplicableError, ViolationError
from verify.kernel_paths import ways
from verify.report import Result

Clause = Callable[[Examiner], None]

CLAUSES: tuple[Clause, ...] = (
    *CALL_CLAUSES,
    *ARRAY_CLAUSES,
    *EDGE_CLAUSES,
    *INFERENCE_CLAUSES,
    *STATISTICS_CLAUSES,
    *VECTOR_CLAUSES,
    *SECOND_ORDER_CLAUSES,
    *SIZE_CLAUSES,
)


def run(
    module: Kernel,
    *,
    seed: int = 0,
    clauses: tuple[Clause, ...] = CLAUSES,
    optional: tuple[str, ...] = OPTIONAL,
    examiner: Callable[[Kernel, np.random.Generator], Examiner] = Examiner,
) -> list[Result]:
    """Hold ``module`` to every clause; one result per clause and per optional function that is
    missing, never an exception.  ``examiner`` knows how the kernels of the layer are called.

    ``detail`` is the promise, or how it was broken.  A clause that cannot be checked here is
    reported as skipped, which is not a pass.
    """
    found = [_examine(module, clause, seed, examiner) for clause in clauses]
    missing = [name for name in optional if offered(module, name) is None]
    return [result for result in found if result is not None] + [_absent(name) for name in missing]


def _absent(name: str) -> Result:
    why = f"there is no function {name}"
    return Result("contract", name, why, 0, None, None, False, skipped=why)


def _examine(
    module: Kernel,
    clause: Clause,
    seed: int,
    make: Callable[[Kernel, np.random.Generator], Examiner],
) -> Result | None:
    """The result of one clause, or None where it is about a function that is not there."""
    # The stream depends on the clause alone, so that running one alone gives the same data.
    rng = np.random.default_rng([seed, zlib.crc32(clause.__name__.encode())])
    examiner = make(module, rng)
    detail, skipped, ok = inspect.getdoc(clause) or "", "", False
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            for way in ways(module):
                with way:
                    clause(examiner)
        ok = True
    except ViolationError as violation:
        detail = str(violation)
    except NotApplicableError as reason:
        skipped = str(reason)
    except AbsentError:
        return None
    except Exception as error:  # a kernel under test may raise anything
        after = f" (after forward with {examiner.calling})" if examiner.calling else ""
        detail = f"raised {type(error).__name__}: {error}{after}"
    return Result(
        group="contract",
        name=clause.__name__.replace("_", " "),
        detail=detail,
        cases=examiner.cases,
        worst=examiner.worst,
        limit=examiner.limit,
        ok=ok,
        unit=examiner.unit,
        skipped=skipped,
    )

"""The kernel contract as a list of named clauses that any Batch Norm module can be held to.

Each clause is a function of :mod:`verify.contract_calls` (names, signatures, cache),
:mod:`verify.contract_arrays` (dtypes, shapes, layouts) or :mod:`verify.contract_edges` (out, sizes,
eps, NaN, warnings), and its docstring is the promise.  Where values are compared it is with exact
references (:mod:`verify.exact_batch_norm`) within the contract's accuracy, or with the result for
the plain contiguous array, within 4u of the largest element (float64: 64u): a kernel may sum in
another order for another layout.

What the contract leaves open is not held against a kernel: the memory order of its results, a bool
as eps, dy of another float than x, parameters narrower than x, and x written to after forward.
Each clause runs with NumPy's warnings off, so that a warning fails the clause about warnings only.
"""

from __future__ import annotations

import inspect
import warnings
import zlib
from collections.abc import Callable

import numpy as np

from verify.accuracy import Kernel
from verify.contract_arrays import ARRAY_CLAUSES
from verify.contract_calls import CALL_CLAUSES
from verify.contract_edges import EDGE_CLAUSES
from verify.examiner import Examiner, NotApplicableError, ViolationError
from verify.report import Result

Clause = Callable[[Examiner], None]

CLAUSES: tuple[Clause, ...] = (*CALL_CLAUSES, *ARRAY_CLAUSES, *EDGE_CLAUSES)


def run(module: Kernel, *, seed: int = 0, clauses: tuple[Clause, ...] = CLAUSES) -> list[Result]:
    """Hold ``module`` to every clause; one result per clause, never an exception.

    ``detail`` is the promise, or how it was broken.  A clause that cannot be checked here is
    reported as skipped, which is not a pass.
    """
    return [_examine(module, clause, seed) for clause in clauses]


def _examine(module: Kernel, clause: Clause, seed: int) -> Result:
    # The stream depends on the clause alone, so that running one alone gives the same data.
    rng = np.random.default_rng([seed, zlib.crc32(clause.__name__.encode())])
    examiner = Examiner(module, rng)
    detail, skipped, ok = inspect.getdoc(clause) or "", "", False
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            clause(examiner)
        ok = True
    except ViolationError as violation:
        detail = str(violation)
    except NotApplicableError as reason:
        skipped = str(reason)
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

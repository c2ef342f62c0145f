"""How does the work grow with the batch size m?  Not at all here; steeply where m is a number.

    python -m benchmarks.growth

writes docs/growth.md.  Stock SymPy is given Batch Norm with m numbers for x and m for ∂ℓ/∂y, and
asked for ∂ℓ/∂x₁, then to `simplify` it; and for the operations that m such gradients take once
common subexpressions are shared, which is what a generator that writes out every element emits.
Each runs in a process of its own and is ended at a limit.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import sympy
from sympy import Symbol, cse, diff, simplify, sqrt, symbols

from codegen.emit import replace
from derive.derivation import derive
from derive.layers.batch_norm import BATCH_NORM

PAGE = Path(__file__).parents[1] / "docs" / "growth.md"
SIZES = (2, 4, 6, 8)
WRITTEN_OUT = (2, 4, 8, 16, 32)
LIMIT = 240  # seconds
IMPORT = "import sympy"
COUNTS = ("before", "after")


@dataclass(frozen=True)
class Simplified:
    """∂ℓ/∂x₁ for one m: seconds that `simplify` took, operations before and after it."""

    seconds: float
    before: int
    after: int


def batch_norm(m: int) -> tuple[Any, list[Symbol]]:
    """ℓ = Σ gᵢ yᵢ and the xᵢ, with every sum written out."""
    x, g = list(symbols(f"x1:{m + 1}")), symbols(f"g1:{m + 1}")
    gamma, eps = symbols("gamma epsilon", positive=True)
    mu = sum(x) / m
    var = sum((value - mu) ** 2 for value in x) / m
    loss = sum(dy * gamma * (value - mu) / sqrt(var + eps) for value, dy in zip(x, g, strict=True))
    return loss, x


def simplified(m: int) -> Simplified:
    """SymPy's own way to ∂ℓ/∂x₁."""
    loss, x = batch_norm(m)
    raw = diff(loss, x[0])
    start = time.perf_counter()
    result = simplify(raw)
    return Simplified(time.perf_counter() - start, raw.count_ops(), result.count_ops())


def written_out(m: int) -> int:
    """Operations of all m gradients, common subexpressions shared."""
    loss, x = batch_norm(m)
    shared, results = cse([diff(loss, value) for value in x])
    return sum(int(e.count_ops()) for e in [*(value for _, value in shared), *results])


def apart(call: str) -> Any:
    """The value of one of these functions from a process of its own; None if it takes too long."""
    code = f"import json; from benchmarks import growth; print(json.dumps(growth.{call}))"
    try:
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=LIMIT, check=True
        )
    except subprocess.TimeoutExpired:
        return None
    return json.loads(done.stdout)


def importing() -> float:
    """Seconds of a process that imports SymPy and nothing else."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORT], check=True)
    return time.perf_counter() - start


def deriving() -> float:
    """Seconds of a derivation for every m, the first in a process."""
    start = time.perf_counter()
    derive(BATCH_NORM)
    return time.perf_counter() - start


def page() -> str:
    """The measurements as Markdown, in units of an import of SymPy from the same run."""
    unit = importing()
    ours = apart("deriving()") / unit
    closed = int(derive(BATCH_NORM)["dx"].closed.count_ops())
    rows = []
    for m in SIZES:
        found = apart(f"simplified({m}).__dict__")
        cells = [f"more than {LIMIT / unit:.0f}", "", ""]
        if found is not None:
            cells = [f"{found['seconds'] / unit:.1f}", *(f"{found[k]:,}" for k in COUNTS)]
        rows.append(f"| {m} | {' | '.join(cells)} | {ours:.1f} | {closed} |")
    grown = [f"| {m} | {apart(f'written_out({m})'):,} |" for m in WRITTEN_OUT]
    return PAGE_TEXT.format(
        version=sympy.__version__, rows="\n".join(rows), grown="\n".join(grown), closed=closed
    )


PAGE_TEXT = """\
# Growth with the batch size

Written by `python -m benchmarks.growth`, with SymPy {version}.

backnorm derives for a symbolic m, so that there is nothing to grow: the derivation, its closed form
and the kernel are the same for a batch of two and of a million. With m a number and every sum
written out, SymPy's `diff` and `simplify` give ∂ℓ/∂x₁ of one channel like this. Times are in
imports of SymPy, measured in the same run; operations are SymPy's `count_ops`. backnorm's time is
that of the whole derivation: all gradients, the Jacobian, every step proved.

| m | `simplify` | operations before | after | backnorm, every m | operations of dx |
|---:|---:|---:|---:|---:|---:|
{rows}

`simplify` never reaches the closed form ({closed} operations, three sums counted once each): it has
no name for a sum.

A generator that writes out each element emits a kernel that grows too. Operations of all m
gradients of one channel, with common subexpressions shared (`sympy.cse`):

| m | operations |
|---:|---:|
{grown}
"""


if __name__ == "__main__":
    replace(PAGE, page())

"""How long do derivations take, in imports of SymPy?

    python -m benchmarks.deriving

prints the processor time of the family's derivations (every step certified), of their higher orders
up to the third, and of all modules that `generate` writes, each the first in a process and once all
is imported, divided by that of `import sympy`.  Medians of several runs, taken in turn.
"""

from __future__ import annotations

import statistics
import subprocess
import sys

RUNS = 5
FAMILY = (
    *("batch_norm", "layer_norm", "rms_norm", "group_norm", "instance_norm", "l2_normalise"),
    *("weight_standardisation", "softmax", "log_softmax", "softmax_cross_entropy"),
)
CLOCK = "import time; start = time.process_time(); {}; print(time.process_time() - start)"
IMPORTS = (
    "import sympy; from derive.layers import LAYERS; from derive.derivation import derive; "
    "from derive.orders import orders_of; from codegen.emit import render_committed"
)
DERIVE = f"found = [derive(LAYERS[name]) for name in {FAMILY!r}]"
# What is timed, and what comes before it in the same process.
TIMED = {
    "import sympy": ("pass", "import sympy"),
    "derive the family": (IMPORTS, DERIVE),
    "their higher orders": (f"{IMPORTS}; {DERIVE}", "orders = [orders_of(d) for d in found]"),
    "generate every module": (IMPORTS, "texts = render_committed()"),
}


def seconds(before: str, timed: str) -> float:
    """Processor time of a statement in a process of its own."""
    code = f"{before}\n{CLOCK.format(timed)}"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(done.stdout.split()[-1])


def main() -> None:
    found: dict[str, list[float]] = {name: [] for name in TIMED}
    for _ in range(RUNS):
        for name, (before, timed) in TIMED.items():
            found[name].append(seconds(before, timed))
    unit, *others = (statistics.median(times) for times in found.values())
    for name, median in zip(list(TIMED)[1:], others, strict=True):
        print(f"{name}: {median / unit:.2f} imports of SymPy")


if __name__ == "__main__":
    main()

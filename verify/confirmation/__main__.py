"""``python -m verify.confirmation``: ask everybody, and write or compare docs/confirmation.md."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from codegen.emit import replace
from derive.layers import LAYERS
from verify.confirmation.page import SEEDS, WITNESSES, compare, page

PAGE = Path(__file__).parents[2] / "docs" / "confirmation.md"


def main(arguments: list[str] | None = None) -> int:
    """The exit status: 0, 1 (somebody disagrees, or the page differs), 2 (somebody is missing)."""
    parser = argparse.ArgumentParser(prog="python -m verify.confirmation", description=__doc__)
    parser.add_argument("--out", type=Path, default=PAGE, metavar="FILE")
    parser.add_argument("--check", action="store_true", help="ask who is installed; write nothing")
    options = parser.parse_args(arguments)
    present = [witness for witness in WITNESSES if witness.installed]
    missing = [witness.name for witness in WITNESSES if not witness.installed]
    if missing:
        print(f"not installed, so not asked: {', '.join(missing)}", file=sys.stderr)
        if not options.check:
            print("the page says that everybody agrees: nothing is written", file=sys.stderr)
            return 2
    agreed = True
    for name in LAYERS:
        for found in (c for seed in SEEDS for c in compare(name, present, seed)):
            agreed &= found.agrees
            order = "1st" if found.order == 1 else "2nd"
            verdict = f"{found.cases} agree" if found.agrees else "DISAGREE"
            print(f"{name}: {found.witness.name}, {order}: {verdict}, {found.error:.1e}")
    if not agreed:
        return 1
    if not options.check:
        replace(options.out, page())
        print(f"{options.out}: written")
        return 0
    same = options.out.is_file() and options.out.read_text(encoding="utf-8") == page()
    print(f"{options.out}: {'up to date' if same else 'differs from what would be written'}")
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())

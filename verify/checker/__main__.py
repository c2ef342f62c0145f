"""``python -m verify.checker proof.json``: the checker, with nothing installed but Python."""

from __future__ import annotations

import json
import sys
from pathlib import Path

from verify.checker.replay import FormatError, check
from verify.checker.terms import ProofError
from verify.checker.text import statement


def main(arguments: list[str]) -> int:
    """The exit status: 0 for a proof, 1 for a refusal, 2 for what is no certificate."""
    if len(arguments) != 1:
        print("usage: python -m verify.checker proof.json", file=sys.stderr)
        return 2
    try:
        checker = check(json.loads(Path(arguments[0]).read_text(encoding="utf-8")))
    except ProofError as error:
        print(f"REFUSED: {error}")
        return 1
    except (OSError, ValueError, RecursionError) as error:
        kind = "" if isinstance(error, FormatError) else f"{type(error).__name__}: "
        print(f"{arguments[0]}: {kind}{error}", file=sys.stderr)
        return 2
    print("\n".join([*statement(checker), f"proved for every size: {checker.proved} equalities"]))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

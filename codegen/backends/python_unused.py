"""Support code that a module does not need: what no other part of its text names is left out."""

from __future__ import annotations

import re
from collections import Counter

# What begins with a character of its own is found several times as fast.
PRIVATE = re.compile(r"_(?<!\w_)\w+")
FUNCTION = re.compile(r"\ndef (_\w+)")
METHOD = re.compile(r"\n    def ((?!__)\w+)\(\s*self")
METHODS = re.compile(r"\n\n(?=    (?:def|@|#))")  # what is between two of them


def without_unused(text: str) -> str:
    """A module without private functions, and methods, that nothing in it names.

    Functions have two empty lines between them, methods one.
    """
    times = Counter(PRIVATE.findall(text))
    unused = {name for name in FUNCTION.findall(text) if times[name] == 1}
    unused |= set(METHOD.findall(text)) - set(re.findall(r"\.(\w+)", text))
    if not unused:
        return text
    kept = []
    for part in text.split("\n\n\n"):
        if not unused & set(FUNCTION.findall(f"\n{part}")):
            every = METHODS.split(part)
            methods = (one for one in every if not unused & set(METHOD.findall(f"\n{one}")))
            kept.append("\n\n".join(methods))
    return without_unused("\n\n\n".join(kept))

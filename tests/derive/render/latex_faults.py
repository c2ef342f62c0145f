"""Balance of LaTeX, by a reader that knows nothing of the renderer."""

from __future__ import annotations

import re


def faults(text: str) -> list[str]:
    """What is unbalanced in a piece of LaTeX."""
    found = []
    stack: list[str] = []
    opens = {"{": "}", r"\left(": r"\right)", r"\begin{cases}": r"\end{cases}", "(": ")"}
    tokens = r"\\(?:left|right)[()]|\\(?:begin|end){cases}|\\[a-zA-Z]+|\\.|[{}()^_]"
    for token in re.findall(tokens, text):
        if token in opens:
            stack.append(opens[token])
        elif token in opens.values() and (not stack or stack.pop() != token):
            found.append(f"{token} closes nothing")
    scripts = re.findall(r"[_^][^{}]*[_^]", re.sub(r"\\.", "", text))
    found += [script for script in scripts if script in ("__", "^^")]
    return found + stack

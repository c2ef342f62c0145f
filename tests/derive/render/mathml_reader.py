"""From MathML back to the one-line ASCII form, by the elements alone and nothing of the layout.

:mod:`tests.derive.render.reader` then finds the value of the line.
"""

from __future__ import annotations

import re
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

_LETTERS = {"μ": "mu", "σ": "sigma", "γ": "gamma", "β": "beta", "ε": "eps", "δ": "delta", "ℓ": "l"}
_OPERATORS = {"−": "-", "\u2062": " ", "∂": "d"}
_SQUARES = ("sigma", "RMS")  # names that end in a square
_CASE = re.compile(r"(.*) if (\w) (=|≠) (\w)")


def to_ascii(mathml: str) -> str:
    """The line of a ``math`` element."""
    return _row(ElementTree.fromstring(mathml))


def _row(element: Element) -> str:
    return " ".join(filter(None, map(_read, element))).replace(" \u2061 ", "")


def _read(element: Element) -> str:
    parts = list(element)
    match element.tag:
        case "mi":
            text = element.text or ""
            return _LETTERS.get(text, text)
        case "mn":
            return element.text or ""
        case "mo":
            return _OPERATORS.get(element.text or "", element.text or "")
        case "mtext":
            return (element.text or "").strip()
        case "mspace":
            return ""
        case "mrow" | "mstyle" | "mtd":
            return _row(element)
        case "mfrac":
            return _fraction(*map(_read, parts))
        case "msqrt":
            return f"sqrt({_row(element)})"
        case "msub":
            return f"{_read(parts[0])}_{_index(parts[1])}"
        case "msubsup":
            base, index, above = _read(parts[0]), _index(parts[1]), _read(parts[2])
            if base in _SQUARES:
                return f"{base}^{above}_{index}"
            return f"{base}_{index}^({above})"
        case "msup":
            base, exponent = map(_read, parts)
            return f"{base}^{exponent}" if base in _SQUARES else f"{base}^({exponent})"
        case "mover":
            return _accent(_read(parts[0]), parts[1].text or "")
        case "munderover":
            return f"sum_{_index(parts[1]).partition('=')[0]}"
        case "mtable":
            return "; ".join(" ".join(map(_row, row)) for row in element)
    raise AssertionError(f"no {element.tag} is expected")


def _fraction(over: str, under: str) -> str:
    if over.startswith("d ") and under.startswith("d "):
        return f"{over}/{under}".replace("d ", "d")
    return f"(({over})/({under}))"


def _index(element: Element) -> str:
    return _read(element).replace(" ", "")


def _accent(core: str, sign: str) -> str:
    if sign == "ˆ":
        return f"{core}_hat"
    assert sign == "˙"
    name, _, index = core.strip("( )").partition("_B")
    return f"{name}_dot{'_B' * core.count('_B')}{index}"


def cases(line: str) -> list[tuple[str, bool]]:
    """What stands behind a brace: each value, and whether it is where the indices are equal."""
    found = [_CASE.fullmatch(part) for part in line.removeprefix("{ ").split("; ")]
    return [(match[1], match[3] == "=") for match in found if match]

"""A label for each equation: the same in LaTeX's references, in a page's anchors and in JSON.

A label says where the equation stands and what it is about, such as ``batch_norm:closed-forms:dx``;
the second of that name in its section ends in ``:2``.  It does not depend on the notation.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from derive.render.blocks import Block, Equation, Heading


def labels(blocks: Sequence[Block], name: str) -> tuple[str, ...]:
    """One label for each block, empty for sentences; ``name`` is the layer's or the study's."""
    seen: Counter[str] = Counter()
    section = name
    found: list[str] = []
    for block in blocks:
        if isinstance(block, Heading):
            section = _numbered(f"{name}:{slug(block.title)}", seen) if found else name
            found.append(section)
        elif isinstance(block, Equation):
            found.append(_numbered(f"{section}:{block.name or 'equation'}", seen))
        else:
            found.append("")
    return tuple(found)


def slug(title: str) -> str:
    """A title in lower case, its words joined by hyphens."""
    return "-".join(re.findall(r"[a-z0-9]+", title.lower()))


def _numbered(label: str, seen: Counter[str]) -> str:
    seen[label] += 1
    return label if seen[label] == 1 else f"{label}:{seen[label]}"

r"""What stands below and above a \sum.

A sum runs over the whole of an axis: \sum_{i=1}^m, \sum_{i=0}^{m-1}, \sum_i, \sum_{i \in B},
\sum_{i,j}.  Any other range is refused.
"""

from __future__ import annotations

from derive.grammar.latex_items import Item
from derive.grammar.latex_names import FONTS, flat
from derive.grammar.latex_vocabulary import Vocabulary
from derive.grammar.source import Source
from derive.grammar.tokens import Token
from derive.grammar.tree import Node, Number, Quantity, Sum

_WRITE = r"a sum runs over all: write \sum_{i=1}^m or \sum_i"


def indices(
    source: Source, below: tuple[Item, ...], command: Token, vocabulary: Vocabulary
) -> tuple[tuple[Token, ...], str]:
    """The indices, and the number at which they start, "" where it is not said."""
    tokens = [token for token in flat(below) if token.text not in FONTS]
    text = "".join(token.text for token in tokens)
    letters = tuple(token for token in tokens if token.kind == "name" and token.text.islower())
    names = "".join(token.text for token in letters)
    if not text:
        raise source.error(command.place, r"a sum needs its index: write \sum_{i=1}^m or \sum_i")
    starts = {names: "", ",".join(names): ""}
    if len(letters) == 1:
        starts |= {f"{names}=1": "1", f"{names}=0": "0", rf"{names}\inB": ""}
    if not letters or text not in starts:
        raise source.error(tokens[0].place, _WRITE)
    for letter in letters:
        if vocabulary.knows(letter.text):
            raise source.error(letter.place, f"{letter.text} is a name here, so it is no index")
    return letters, starts[text]


def size_of(source: Source, upper: Node | None, first: str, command: Token) -> str:
    """The name of how many elements there are, "" where it is not said."""
    if upper is None:
        if first:
            raise source.error(command.place, rf"the sum has no last index: \sum_{{i={first}}}^m")
        return ""
    match upper:
        case Sum(((False, Quantity() as less), (True, Number(value)))) if value == 1:
            size: Node = less if first == "0" else upper
        case _:
            size = upper
    if not isinstance(size, Quantity) or size.indices or (first == "0" and size is upper):
        raise source.error(upper.place, "a sum runs over all: from 1 to m, or from 0 to m - 1")
    return size.name.text

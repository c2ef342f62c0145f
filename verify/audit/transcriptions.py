"""The source documents' formulas, transcribed: TOML files read as data.

``verify/audit/documents/NNN.toml`` is one document::

    title = "…"             # of the document
    cleaned = "…"           # what damage of the text was repaired, if any
    remarks = ["…"]         # slips that are no formulas
    notation = "lamp"       # whose names its formulas use, if they are not the paper's

    [aliases.batch_norm]    # its names for quantities of that layer, beyond those of the notation
    "u_B" = "mu"

    [names.batch_norm]      # names that the document gives to formulas about that layer
    "di[i]" = "dl/dx_hat[i]*dx_ + dl/dvar*dvar_[i]"

    [[formula]]
    place = "…"             # where it stands in the document
    latex = '…'             # as printed; or code = "…", a line of a program
    layer = "batch_norm"    # whose quantities it speaks of; or "running_statistics", the study
    reads = "dl/dmu = …"    # what it means, in Python's syntax, where it cannot be read as it is
    held = ["mu"]           # quantities that the derivative takes as constants
    under = "…"             # the convention that the document has declared before
    remark = "…"
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from derive.errors import InputError

FOLDER = Path(__file__).parent / "documents"
NUMBERS = ("000", "001", "002", "003", "004")


@dataclass(frozen=True)
class Statement:
    """One formula of a document; the module's docstring says what the fields are."""

    place: str
    latex: str = ""
    code: str = ""
    layer: str = "batch_norm"
    reads: str = ""
    held: tuple[str, ...] = ()
    under: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Document:
    """One document; ``aliases`` and ``names`` are by layer."""

    number: str
    title: str
    formula: tuple[Statement, ...]
    cleaned: str = ""
    remarks: tuple[str, ...] = ()
    notation: str = "paper"
    aliases: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)


def documents() -> tuple[Document, ...]:
    """The five source documents, in order."""
    return tuple(document(number, _text(number)) for number in NUMBERS)


def _text(number: str) -> str:
    return (FOLDER / f"{number}.toml").read_text(encoding="utf-8")


def document(number: str, text: str) -> Document:
    """A transcription from its text.  Raises InputError for what is not one."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"document {number}: not TOML: {error}") from None
    statements = (
        _checked(Statement, entry, f"document {number}, formula {k}")
        for k, entry in enumerate(table.pop("formula", []), 1)
    )
    table |= {"number": number, "formula": list(statements)}
    made: Document = _checked(Document, table, f"document {number}")
    return made


def _checked(kind: type[Any], table: Mapping[str, Any], where: str) -> Any:
    known = [field.name for field in fields(kind)]
    if unknown := sorted(set(table) - set(known)):
        raise InputError(f"{where}: unknown key {unknown[0]}; known: {', '.join(known)}")
    values = {key: tuple(v) if isinstance(v, list) else v for key, v in table.items()}
    try:
        return kind(**values)
    except TypeError as error:
        raise InputError(f"{where}: {error}") from None

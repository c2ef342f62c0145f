"""The source documents' formulas, transcribed: TOML files read as data.

``verify/audit/documents/NNN.toml`` is one document::

    title = "…"             # of the document
    cleaned = "…"           # what damage of the text was repaired, if any
    remarks = ["…"]         # slips that are no formulas

    [names.batch_norm]      # names that the document gives to formulas about that layer
    "di[i]" = "dl/dx_hat[i]*dx_ + dl/dvar*dvar_[i]"

    [[formula]]
    place = "…"             # where it stands in the document
    latex = '…'             # as printed; or code = "…", a line of a program
    reads = "dl/dmu = …"    # for derive.grammar.parse_formula, which never evaluates text
    layer = "batch_norm"    # whose quantities it speaks of; or "running_statistics", the study
    held = ["mu"]           # quantities that the derivative takes as constants
    apart = true            # the formula is about two different indices
    under = "…"             # the convention that the document has declared before
    corrected = "…"         # what must have been meant by a wrong formula
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
    reads: str
    latex: str = ""
    code: str = ""
    layer: str = "batch_norm"
    held: tuple[str, ...] = ()
    apart: bool = False
    under: str = ""
    corrected: str = ""
    remark: str = ""


@dataclass(frozen=True)
class Document:
    """One document; ``names`` maps each layer to the names that the document gives to formulas."""

    number: str
    title: str
    formula: tuple[Statement, ...]
    cleaned: str = ""
    remarks: tuple[str, ...] = ()
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

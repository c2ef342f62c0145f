"""Notations as files: those that come with the project, and any that a user passes.

A file is TOML and is read as data.  It must name the quantities of Batch Norm, the size of the
batch, the loss and the letters of indices; what it names beyond that is for other layers.
"""

from __future__ import annotations

import re
import tomllib
import unicodedata
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from derive.errors import InputError
from derive.functions import FUNCTIONS
from derive.layer import Layer
from derive.layers import LAYERS
from derive.render.latex_name import fault
from derive.render.notation import Notation, Symbol

FOLDER = Path(__file__).parent / "notations"
NAMES = ("paper", "lamp", "layer", "code", "plain")

QUANTITIES = ("x", "mu", "var", "x_hat", "gamma", "beta", "eps", "y")
SIZES = ("m",)
AXES = 5  # that a document shows at most, of a volume and its channels
FORMS = ("text", "ascii", "latex")
_KEYS = ("indices", "sums", "derivatives", "loss", "delta", "sizes", "symbols", "only")
_OPTIONS = ("square", "subscript", "superscript")
_RESERVED = {"sum", "sqrt", "if", *FUNCTIONS}
_LONGEST = {"text": 16, "ascii": 24, "latex": 80, "subscript": 8, "superscript": 40}

Table = Mapping[str, Any]


def notation(chosen: str, *layers: Layer) -> Notation:
    """The notation of that name, or of that TOML file.

    The file may name quantities and sizes of the given layers, and of those that come with the
    project.  Raises InputError, saying what is wrong with the file and what it lacks.
    """
    if chosen in NAMES:
        return _shipped(chosen)
    path = Path(chosen)
    if path.suffix != ".toml" and not path.is_file():
        raise InputError(
            f"there is no notation {chosen!r}{_nearest(chosen, NAMES)} "
            f"(notations: {', '.join(NAMES)}, or a .toml file)"
        )
    return _read(path, _labels((*LAYERS.values(), *layers)))


@cache
def _shipped(name: str) -> Notation:
    return _read(FOLDER / f"{name}.toml", None)


def _labels(layers: Iterable[Layer]) -> set[str]:
    known = {"u", "R", *QUANTITIES, *SIZES}
    for layer in layers:
        known |= {axis.size.name for axis in layer.axes}
        for var in (*layer.inputs, *layer.parameters, *(d.var for d in layer)):
            known |= {var.label, f"inv_root_{var.label}"}
    return known


# --- Reading --------------------------------------------------------------------------------------


def _read(path: Path, known: Collection[str] | None) -> Notation:
    """``known`` lists the labels that symbols and sizes may have; None allows all."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError:
        raise InputError(f"{path}: not UTF-8 text; a notation is a TOML file") from None
    except tomllib.TOMLDecodeError as error:
        raise InputError(f"{path}: not TOML: {error}") from None
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}") from None
    try:
        _check_keys(table, known)
        return _notation(path.stem, table)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None


def _check_keys(table: Table, known: Collection[str] | None) -> None:
    """No key is unknown, then none is missing: a misspelt one is both."""
    _expect(table, _KEYS, "")
    for section, entries in _sections(table):
        if known is not None:
            _expect(entries, known, f"{section}.")
    symbols = dict(_symbols(table))
    for name, entry in symbols.items():
        _expect(_table(entry, name), (*FORMS, *_OPTIONS), f"{name}.")
    needed = [f"sizes.{name}" for name in SIZES] + [f"symbols.{name}" for name in QUANTITIES]
    if table.get("derivatives") != "identifiers":
        needed.insert(0, "loss")
    lacks = [name for name in needed if name not in symbols]
    lacks += [f"{name}.{form}" for name, e in symbols.items() for form in FORMS if form not in e]
    if "indices" not in table:
        lacks.insert(0, "indices")
    if lacks:
        raise InputError(f"lacks {', '.join(lacks)}")


def _symbols(table: Table) -> Iterator[tuple[str, Any]]:
    """Every symbol's table under its full name."""
    for name in ("loss", "delta"):
        if name in table:
            yield name, table[name]
    for section, entries in _sections(table):
        for name, entry in entries.items():
            yield f"{section}.{name}", entry


def _sections(table: Table) -> Iterator[tuple[str, Table]]:
    """The tables of symbols with their names; those of a single layer are only.NAME."""
    for section in ("sizes", "symbols"):
        yield section, _table(table.get(section, {}), section)
    for layer, entries in _table(table.get("only", {}), "only").items():
        yield f"only.{layer}", _table(entries, f"only.{layer}")


def _expect(given: Iterable[str], known: Iterable[str], prefix: str) -> None:
    allowed = sorted(known)
    for key in given:
        if key not in allowed:
            guess = _nearest(key, allowed, prefix) or f"; known: {', '.join(allowed)}"
            raise InputError(f"unknown key {prefix}{key}{guess}")


def _table(value: Any, name: str) -> Table:
    if not isinstance(value, dict):
        raise InputError(f"{name} must be a table, such as {{ text = …, ascii = …, latex = … }}")
    return value


def _nearest(word: str, known: Iterable[str], prefix: str = "") -> str:
    import difflib

    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.5)
    return f"; did you mean {prefix}{near[0]}?" if near else ""


# --- Checking -------------------------------------------------------------------------------------


def _notation(name: str, table: Table) -> Notation:
    derivatives = table.get("derivatives", "quotients")
    if derivatives not in ("quotients", "identifiers"):
        raise InputError('derivatives must be "quotients" or "identifiers"')
    indices = _letters(table["indices"], "indices")
    if len(indices) < AXES:
        raise InputError(f"indices has letters for {len(indices)} axes; {AXES} are needed")
    sums = _letters(table.get("sums", []), "sums")
    for letters, alphabet in zip(sums, indices, strict=False):
        if not set(letters) <= set(alphabet):
            raise InputError(f"sums has {letters!r}, which indices does not have there")
    symbols = {key: _symbol(entry, key) for key, entry in _symbols(table)}
    for key in ("u", "R"):  # their letters stand in sentences: the Jacobian is uR
        symbol = symbols.get(f"symbols.{key}")
        if symbol is not None and symbol.text.lower() != key.lower():
            raise InputError(f"symbols.{key}.text must be {key}, which sentences speak of")
    single = {key: symbols[key] for key in ("loss", "delta") if key in symbols}
    return Notation(
        name,
        _section(symbols, "symbols."),
        indices,
        sums,
        _section(symbols, "sizes."),
        **single,
        identifiers=derivatives == "identifiers",
        only={layer: _section(symbols, f"only.{layer}.") for layer in table.get("only", {})},
    )


def _section(symbols: Mapping[str, Symbol], prefix: str) -> dict[str, Symbol]:
    return {k.removeprefix(prefix): s for k, s in symbols.items() if k.startswith(prefix)}


def _letters(value: Any, name: str) -> tuple[str, ...]:
    good = isinstance(value, list) and all(
        isinstance(entry, str) and re.fullmatch("[A-Za-z]+", entry) for entry in value
    )
    if not good:
        raise InputError(f'{name} must be a list of letters for each axis, such as ["ijk", "rst"]')
    every = "".join(value)
    for letter in every:
        if every.count(letter) > 1:
            raise InputError(f"{name} has the letter {letter} twice")
    return tuple(value)


def _symbol(entry: Table, name: str) -> Symbol:
    square = entry.get("square", False)
    if not isinstance(square, bool):
        raise InputError(f"{name}.square must be true or false")
    texts = {key: entry[key] for key in _LONGEST if key in entry}
    for key, value in texts.items():
        where = f"{name}.{key}"
        if not isinstance(value, str):
            raise InputError(f"{where} must be a text in quotation marks")
        if len(value) > _LONGEST[key]:
            raise InputError(f"{where} is longer than {_LONGEST[key]} characters")
        if wrong := _FAULTS[key](value):
            raise InputError(f"{where} is {value!a}: {wrong}")
    symbol = Symbol(**texts, square=square)
    if square and symbol.superscript:
        raise InputError(f"{name} cannot have a square and a superscript")
    return symbol


def _text_fault(value: str) -> str:
    if value in _RESERVED:
        return "it has a meaning of its own in formulas"
    if not value[:1].isalpha():
        return "it must begin with a letter"
    for letter in value:
        category = unicodedata.category(letter)
        accent = category == "Mn" and unicodedata.combining(letter)
        if not (category[0] in "LN" or accent or letter in "_[]′⁺⁻"):
            return f"{letter!a} is not a letter, a digit, an accent, a low line or a bracket"
    return ""


def _ascii_fault(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_\[\]]*", value):
        return "it must be ASCII letters, digits, low lines and brackets, a letter first"
    return _text_fault(value)


def _subscript_fault(value: str) -> str:
    return "" if re.fullmatch("[A-Za-z0-9]+", value) else "it must be ASCII letters and digits"


_FAULTS: dict[str, Callable[[str], str]] = {
    "text": _text_fault,
    "ascii": _ascii_fault,
    "latex": fault,
    "subscript": _subscript_fault,
    "superscript": lambda value: fault(value, script=True),
}

PAPER = _shipped("paper")
"""The default: Ioffe & Szegedy 2015, whose B is the mini-batch."""

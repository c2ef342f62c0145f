"""Matrices to verify kernels on: the shipped wine data, a made-up blood panel, a user's own file.

A :class:`Matrix` is a batch, m samples by C features.  The readers are strict: they repair nothing
and guess nothing that could change a number, and each bad file gets one line that says where it is
wrong and what would be right.  No pickle is ever loaded.
"""

from __future__ import annotations

import csv
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

import data
from derive.errors import InputError
from verify.blood_panel import RANGES, SAMPLES, blood_panel

WINE = "wine.csv"
BLOOD_PANEL = "blood-panel"
SHIPPED = (Path(WINE).stem, BLOOD_PANEL)  # names that stand for data
NUMPY_MAGIC = (b"\x93NUMPY", b"PK\x03\x04", b"PK\x05\x06")
WANTED = "a matrix (m, C) of m samples and C features is needed"


@dataclass(frozen=True, eq=False)
class Matrix:
    """A batch: ``values`` is float64 of shape (m, C), finite, with m ≥ 2 and C ≥ 2; ``columns``
    names the C features; ``name`` is the file's name."""

    name: str
    values: NDArray[np.float64]
    columns: tuple[str, ...]


def load(path: Path | None = None, *, seed: int = 0) -> Matrix:
    """The matrix in a .npy, .npz or .csv file; for the name wine, or None, the shipped wine data
    (178, 13), and for blood-panel one drawn from :mod:`verify.blood_panel` with ``seed`` (200, 4).

    A .npz file must hold one array, or exactly one that is two-dimensional.  A .csv file is
    separated by commas, semicolons or tabs and may have a header.  A single column is refused: it
    is nearly always a table whose delimiter was not recognised, or one sample.

    Raises InputError with one line for every file that does not hold such a matrix.
    """
    if str(path) == BLOOD_PANEL:
        values = blood_panel(np.random.default_rng(seed), SAMPLES)
        return Matrix(BLOOD_PANEL, values, tuple(RANGES))
    if path is None or str(path) == Path(WINE).stem:
        with (resources.files(data) / WINE).open("rb") as shipped:
            return _from_csv(shipped, WINE)
    reader = {".csv": _from_csv, ".npy": _from_numpy, ".npz": _from_numpy}.get(path.suffix.lower())
    if path.is_dir():
        raise InputError(f"{path} is a directory; a .npy, .npz or .csv file is needed")
    if reader is None:
        ending = f"the ending {path.suffix}" if path.suffix else "no ending"
        raise InputError(f"{path} has {ending}; a .npy, .npz or .csv file is needed")
    try:
        with path.open("rb") as file:
            return reader(file, str(path))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist; a .npy, .npz or .csv file is needed") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror or error}") from None


# --- NumPy's formats -----------------------------------------------------------------------------


def _from_numpy(file: IO[bytes], where: str) -> Matrix:
    """Told by its first bytes, not by its ending, as NumPy itself does."""
    start = file.read(6)
    if not start:
        raise InputError(f"{where} is empty; {WANTED}")
    if not start.startswith(NUMPY_MAGIC):
        raise InputError(
            f"{where} is not a NumPy file (pickles are not loaded); write it with numpy.save"
        )
    file.seek(0)
    with _readable(where):
        loaded = np.load(file, allow_pickle=False)
        if isinstance(loaded, np.lib.npyio.NpzFile):
            with loaded:
                loaded = _only_matrix({name: loaded[name] for name in loaded.files}, where)
    return _from_array(loaded, where)


@contextmanager
def _readable(where: str) -> Iterator[None]:
    """What NumPy raises on a file that it cannot read, told in one line."""
    try:
        yield
    except (InputError, OSError):
        raise
    except MemoryError:
        raise InputError(f"{where} does not fit into memory, or its header is damaged") from None
    except Exception as error:
        # A damaged file makes NumPy raise nearly anything, tokenize.TokenError and zlib.error too.
        if "allow_pickle" in str(error):
            raise InputError(
                f"{where} holds Python objects, and pickles are not loaded; save a numeric array"
            ) from None
        raise InputError(
            f"{where} is truncated or damaged; write it again with numpy.save"
        ) from None


def _only_matrix(arrays: dict[str, Any], where: str) -> Any:
    """The only array of an archive, or the only two-dimensional one."""
    if not arrays:
        raise InputError(f"{where} holds no arrays; {WANTED}")
    if len(arrays) == 1:
        return next(iter(arrays.values()))
    matrices = [value for value in arrays.values() if np.ndim(value) == 2]
    if len(matrices) != 1:
        held = ", ".join(f"{name} {np.shape(value)}" for name, value in arrays.items())
        raise InputError(f"{where} must hold exactly one two-dimensional array, but holds {held}")
    return matrices[0]


def _from_array(loaded: NDArray[Any], where: str) -> Matrix:
    if loaded.ndim != 2:
        raise InputError(f"{where} has shape {loaded.shape}; {WANTED}")
    if loaded.dtype.kind not in "iuf":
        raise InputError(f"{where} has dtype {loaded.dtype}; real floats or integers are needed")
    _enough(loaded.shape[0], loaded.shape[1], where)
    with np.errstate(over="ignore"):  # a long double beyond float64's range is reported as Inf
        values = np.ascontiguousarray(loaded, dtype=np.float64)
    finite = np.isfinite(values)
    if not finite.all():
        row, column = (int(index) for index in np.argwhere(~finite)[0])
        raise InputError(
            f"{where} is {_special(values[row, column])} at [{row}, {column}]; "
            "every value must be finite"
        )
    columns = tuple(f"column {number}" for number in range(1, values.shape[1] + 1))
    return Matrix(Path(where).name, values, columns)


# --- CSV -----------------------------------------------------------------------------------------


def _from_csv(file: IO[bytes], where: str) -> Matrix:
    rows = _rows(file, where)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{where} is empty; {WANTED}")
    line, fields = first
    width = len(fields)
    values = array("d")
    header = not any(_is_number(field) for field in fields)
    if header:
        columns = _header(fields, f"{where}, line {line}")
    else:
        columns = tuple(f"column {number}" for number in range(1, width + 1))
        values.extend(_numbers(fields, columns, f"{where}, line {line}"))
    for number, fields in rows:
        here = f"{where}, line {number}"
        if len(fields) != width:
            raise InputError(
                f"{here} has {_count(len(fields), 'value')}, but line {line} has {width}; "
                "every row needs the same number"
            )
        values.extend(_numbers(fields, columns, here))
    hint = "is the delimiter a comma, a semicolon or a tab?"
    _enough(len(values) // width, width, f"{where}, after its header," if header else where, hint)
    return Matrix(Path(where).name, np.array(values).reshape(-1, width), columns)


def _rows(file: IO[bytes], where: str) -> Iterator[tuple[int, list[str]]]:
    """Each row that is not blank, with its line number."""
    lines = _lines(file, where)
    opening = next((line for line in lines if line.strip()), None)
    if opening is None:
        return
    file.seek(0)
    reader = csv.reader(_lines(file, where), delimiter=_delimiter(opening), strict=True)
    try:
        for fields in reader:
            if len(fields) > 1 or "".join(fields).strip():
                yield reader.line_num, [field.strip() for field in fields]
    except csv.Error as error:
        raise InputError(
            f"{where}, line {reader.line_num} is not valid CSV ({error}); "
            "plain rows of numbers are needed"
        ) from None


def _lines(file: IO[bytes], where: str) -> Iterator[str]:
    # Decoded line by line, because a text stream does not say where the byte it failed on stands.
    for number, line in enumerate(file, 1):
        try:
            yield line.decode("utf-8-sig" if number == 1 else "utf-8")
        except UnicodeDecodeError:
            raise InputError(f"{where}, line {number} is not UTF-8; save it as UTF-8") from None


def _delimiter(line: str) -> str:
    """Tab or semicolon where the line has one outside quotes: with them a comma may be decimal."""
    unquoted = "".join(line.split('"')[::2])
    return next((mark for mark in "\t;" if mark in unquoted), ",")


def _header(fields: list[str], here: str) -> tuple[str, ...]:
    if "" in fields:
        raise InputError(
            f"{here}, column {fields.index('') + 1} of the header has no name; leave a column of "
            "row numbers out (pandas: index=False)"
        )
    return tuple(" ".join(field.split()) for field in fields)


def _numbers(fields: list[str], columns: tuple[str, ...], here: str) -> Iterator[float]:
    for column, (field, name) in enumerate(zip(fields, columns, strict=True), 1):
        place = f"{here}, column {column}"
        if name != f"column {column}":
            place += f" ({name})"
        if not field:
            raise InputError(f"{place} is empty; every cell needs a number")
        if not _is_number(field):
            raise InputError(f"{place} is {_shown(field)}; a number is needed{_hint(field)}")
        value = float(field)
        if not np.isfinite(value):
            raise InputError(f"{place} is {_special(value)}; every value must be finite")
        yield value


def _is_number(field: str) -> bool:
    # Python's float also takes 1_000 and other scripts' digits, which no other reader would.
    if "_" in field or not field.isascii():
        return False
    try:
        float(field)
    except ValueError:
        return False
    return True


def _hint(field: str) -> str:
    """What is probably meant by a text that is not a number."""
    try:
        parts = [float(part) for part in field.replace(",", " ").split()]
    except ValueError:
        return ""
    if "," in field and len(parts) == 2 and " " not in field:
        return " (with a decimal point, not a comma)"
    return " (columns are separated by a comma, a semicolon or a tab)" if len(parts) > 1 else ""


def _shown(field: str) -> str:
    return repr(field if len(field) <= 40 else field[:37] + "...")


# --- Both ----------------------------------------------------------------------------------------


def _enough(rows: int, features: int, where: str, hint: str = "is it transposed?") -> None:
    if features < 2:
        raise InputError(
            f"{where} is {rows} × {features}; a matrix of samples by features is needed, with at "
            f"least two features ({hint})"
        )
    if rows < 2:
        raise InputError(
            f"{where} has {_count(rows, 'row')} of numbers; batch statistics need at least two"
        )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _special(value: float) -> str:
    if np.isnan(value):
        return "NaN"
    return "Inf" if value > 0 else "-Inf"

"""Every kind of file that can be given, and the one line that each bad one gets."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from derive.errors import InputError
from verify.data import Matrix, load

TABLE = np.array([[1.0, 20.0, -3.0], [4.5, 5e3, 6.0]])


def write(folder: Path, name: str, content: bytes | str) -> Path:
    path = folder / name
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def npy(array: Any) -> bytes:
    stream = io.BytesIO()
    np.save(stream, array)
    return stream.getvalue()


def npz(**arrays: Any) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def refusal(path: Path) -> str:
    """The message, without the path that it begins with; always one line."""
    with pytest.raises(InputError) as caught:
        load(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    return message.removeprefix(str(path)).lstrip(", ")


# --- The shipped data ----------------------------------------------------------------------------


def test_wine_is_the_published_table() -> None:
    wine = load()
    assert wine.name == "wine.csv"
    assert wine.values.shape == (178, 13)
    assert wine.values.dtype == np.float64
    assert wine.columns[0] == "alcohol"
    assert wine.columns[-1] == "proline"
    # Range and mean as the data set's own description prints them.
    proline, hue = wine.values[:, -1], wine.values[:, wine.columns.index("hue")]
    assert (proline.min(), proline.max(), round(proline.mean())) == (278, 1680, 747)
    assert (hue.min(), hue.max(), round(hue.mean(), 2)) == (0.48, 1.71, 0.96)


def test_wine_needs_normalising() -> None:
    means = load().values.mean(axis=0)
    assert means.max() / means.min() > 1000


# --- Good files ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("plain.npy", npy(TABLE)),
        ("UPPER.NPY", npy(TABLE)),
        ("fortran.npy", npy(np.asfortranarray(TABLE))),
        ("swapped.npy", npy(TABLE.astype(">f8"))),
        ("one.npz", npz(x=TABLE)),
        ("labelled.npz", npz(x=TABLE, labels=np.arange(2), scale=np.float64(2))),
        ("comma.csv", "1,20,-3\n4.5,5e3,6\n"),
        ("no_last_newline.csv", "1,20,-3\n4.5,5e3,6"),
        ("windows.csv", "1,20,-3\r\n4.5,5e3,6\r\n"),
        ("semicolon.csv", "1;20;-3\n4.5;5e3;6\n"),
        ("tab.csv", "1\t20\t-3\n4.5\t5e3\t6\n"),
        ("header.csv", "a,b,c\n1,20,-3\n4.5,5e3,6\n"),
        ("bom.csv", b"\xef\xbb\xbfa,b,c\n1,20,-3\n4.5,5e3,6\n"),
        ("bom_without_header.csv", b"\xef\xbb\xbf1,20,-3\n4.5,5e3,6\n"),
        ("quoted.csv", '"a;1",b,"c\td"\n"1",20,-3\n4.5,5e3,6\n'),
        ("blank_lines.csv", "\n1, 20 ,-3\n\n4.5,5e3,6\n\n"),
    ],
)
def test_accepts(tmp_path: Path, name: str, content: bytes | str) -> None:
    matrix = load(write(tmp_path, name, content))
    assert matrix.name == name
    assert matrix.values.dtype == np.float64
    assert matrix.values.dtype.isnative
    np.testing.assert_array_equal(matrix.values, TABLE)
    assert len(matrix.columns) == 3


@pytest.mark.parametrize("dtype", ["i1", "u2", "i8", "f2", "f4", "g"])
def test_real_dtypes_become_float64(tmp_path: Path, dtype: str) -> None:
    values = np.array([[1, 2], [3, 4]], dtype)
    loaded = load(write(tmp_path, "x.npy", npy(values))).values
    assert loaded.dtype == np.float64
    np.testing.assert_array_equal(loaded, values)


def test_column_names(tmp_path: Path) -> None:
    def columns(content: str) -> tuple[str, ...]:
        return load(write(tmp_path, "x.csv", content)).columns

    assert columns("1,2\n3,4\n") == ("column 1", "column 2")
    assert columns(' α ,"two\nlines"\n1,2\n3,4\n') == ("α", "two lines")
    assert load(write(tmp_path, "x.npy", npy(TABLE))).columns[2] == "column 3"


def test_many_rows(tmp_path: Path) -> None:
    values = np.random.default_rng(0).normal(size=(20_000, 3))
    text = "\n".join(",".join(map(repr, row)) for row in values.tolist())
    np.testing.assert_array_equal(load(write(tmp_path, "x.csv", text)).values, values)
    np.testing.assert_array_equal(load(write(tmp_path, "x.npy", npy(values))).values, values)


def test_a_matrix_is_frozen_and_hashable() -> None:
    matrix = Matrix("x", TABLE, ("a", "b", "c"))
    assert matrix in {matrix}
    with pytest.raises(AttributeError):
        matrix.name = "y"  # type: ignore[misc]  # the assignment that must fail


# --- Bad files -----------------------------------------------------------------------------------


def test_missing_file(tmp_path: Path) -> None:
    assert "does not exist" in refusal(tmp_path / "absent.csv")


def test_directory(tmp_path: Path) -> None:
    (tmp_path / "folder.csv").mkdir()
    assert "is a directory" in refusal(tmp_path / "folder.csv")
    assert "is a directory" in refusal(tmp_path)


def test_a_file_where_a_folder_should_be(tmp_path: Path) -> None:
    write(tmp_path, "x.csv", "1,2\n3,4\n")
    assert "cannot be read" in refusal(tmp_path / "x.csv" / "y.csv")


@pytest.mark.parametrize(("name", "said"), [("x.xlsx", "the ending .xlsx"), ("data", "no ending")])
def test_unknown_extension(tmp_path: Path, name: str, said: str) -> None:
    message = refusal(write(tmp_path, name, "1,2\n3,4\n"))
    assert message == f"has {said}; a .npy, .npz or .csv file is needed"


@pytest.mark.parametrize("name", ["x.csv", "x.npy", "x.npz"])
def test_empty(tmp_path: Path, name: str) -> None:
    assert refusal(write(tmp_path, name, "")).startswith("is empty; a matrix (m, C)")


BAD_CSV = [
    ("blank", "\n \n\r\n", "is empty"),
    ("text", "1,2\n3,abc\n", "line 2, column 2 is 'abc'; a number is needed"),
    ("text under a header", "a,b\n1,2\n3,n/a\n", "line 3, column 2 (b) is 'n/a'; a number"),
    ("text after a blank line", "1,2\n\n3,x\n", "line 3, column 2 is 'x'"),
    ("half a header", "1,b\n1,2\n3,4\n", "line 1, column 2 is 'b'"),
    ("second header", "a,b\n1,2\na,b\n3,4\n", "line 3, column 1 (a) is 'a'"),
    ("long text", "1,2\n3," + "y" * 99, f"line 2, column 2 is '{'y' * 37}...'"),
    ("missing value", "1,2\n3,\n", "line 2, column 2 is empty; every cell needs a number"),
    ("blank value", "1,2\n3, \n", "line 2, column 2 is empty"),
    ("empty cells", "1,2\n3,4\n,\n", "line 3, column 1 is empty"),
    ("one column", "1\n2\n4\n", "is 3 × 1; a matrix of samples by features is needed"),
    ("one column", "1\n2\n", "two features (is the delimiter a comma, a semicolon or a tab?)"),
    ("one named column", "weight\n1\n2\n", "after its header, is 2 × 1; a matrix of samples"),
    ("ragged, short", "1,2,3\n4,5\n", "line 2 has 2 values, but line 1 has 3"),
    ("ragged, long", "a,b\n1,2\n3,4,5\n", "line 3 has 3 values, but line 1 has 2"),
    ("ragged, one", "1,2\n3\n", "line 2 has 1 value, but line 1 has 2"),
    ("NaN", "1,2\nnan,4\n", "line 2, column 1 is NaN; every value must be finite"),
    ("Inf", "a,b\n1,2\n3,-inf\n", "line 3, column 2 (b) is -Inf"),
    ("beyond float64", "1,2\n3,1e999\n", "line 2, column 2 is Inf"),
    ("one row", "a,b\n1,2\n", "after its header, has 1 row of numbers; batch statistics need"),
    ("no rows", "a,b\n", "has 0 rows of numbers"),
    ("row numbers", ",a\n0,1\n1,2\n", "line 1, column 1 of the header has no name"),
    ("decimal comma", "1,5;2,5\n3,5;4,5\n", "is '3,5'; a number is needed (with a decimal point"),
    ("spaces", "1 2\n3 4\n", "is '3 4'; a number is needed (columns are separated by a comma"),
    ("bars", "1|2\n3|4\n", "line 2, column 1 (1|2) is '3|4'"),
    ("hexadecimal", "1,2\n3,0x10\n", "line 2, column 2 is '0x10'"),
    ("underscore", "1,2\n3,1_000\n", "line 2, column 2 is '1_000'"),
    ("other digits", "1,2\n3,٤\n", "line 2, column 2 is '٤'"),
    ("code", "1,2\n3,__import__('os')\n", "line 2, column 2 is \"__import__('os')\""),
    ("control character", "1,2\n3,\x1b[2J\n", r"line 2, column 2 is '\x1b[2J'"),
    ("Latin-1", "a,b\n1,2\n3,é\n".encode("latin-1"), "line 3 is not UTF-8; save it as UTF-8"),
    ("UTF-16", "1,2\n3,4\n".encode("utf-16"), "line 1 is not UTF-8"),
    ("open quote", '1,2\n3,"4\n', "is not valid CSV"),
]


@pytest.mark.parametrize(("content", "said"), [case[1:] for case in BAD_CSV], ids=lambda _: "")
def test_bad_csv(tmp_path: Path, content: bytes | str, said: str) -> None:
    assert said in refusal(write(tmp_path, "x.csv", content))


BAD_ARRAYS = [
    (np.arange(4.0), "has shape (4,); a matrix (m, C) of m samples and C features is needed"),
    (np.ones((4, 1)), "is 4 × 1; a matrix of samples by features is needed"),
    (np.float64(3), "has shape (); a matrix (m, C)"),
    (np.ones((2, 3, 4)), "has shape (2, 3, 4); a matrix (m, C) of m samples and C features"),
    (np.ones((1, 3)), "has 1 row of numbers; batch statistics need at least two"),
    (np.ones((0, 3)), "has 0 rows"),
    (np.ones((3, 0)), "is 3 × 0; a matrix of samples by features is needed"),
    (np.ones((2, 2), complex), "has dtype complex128; real floats or integers are needed"),
    (np.array([["1", "2"], ["3", "4"]]), "has dtype <U1"),
    (np.ones((2, 2), bool), "has dtype bool"),
    (np.zeros((2, 2), "datetime64[s]"), "has dtype datetime64[s]"),
    (np.zeros((2, 2), [("a", "f8")]), "has dtype [('a', '<f8')]"),
    (np.array([[1, 2], [3, None]]), "holds Python objects, and pickles are not loaded"),
    (np.array([[1, 2], [3, np.nan]]), "is NaN at [1, 1]; every value must be finite"),
    (np.array([[1, np.nan], [np.inf, 4]]), "is NaN at [0, 1]"),
    (np.array([[1, -np.inf], [3, 4]]), "is -Inf at [0, 1]"),
]


@pytest.mark.parametrize(("array", "said"), BAD_ARRAYS, ids=lambda _: "")
def test_bad_arrays(tmp_path: Path, array: Any, said: str) -> None:
    assert said in refusal(write(tmp_path, "x.npy", npy(array)))
    assert said in refusal(write(tmp_path, "x.npz", npz(x=array)))


@pytest.mark.skipif(np.finfo("g").max == np.finfo("d").max, reason="long double is double here")
def test_a_long_double_beyond_float64(tmp_path: Path) -> None:
    beyond = np.array([[1, 2], [3, np.finfo("g").max]], "g")
    assert "is Inf at [1, 1]" in refusal(write(tmp_path, "x.npy", npy(beyond)))


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({}, "holds no arrays"),
        ({"a": TABLE, "b": TABLE}, "one two-dimensional array, but holds a (2, 3), b (2, 3)"),
        ({"a": TABLE[0], "b": np.float64(1)}, "array, but holds a (3,), b ()"),
    ],
)
def test_ambiguous_archives(tmp_path: Path, arrays: dict[str, Any], said: str) -> None:
    assert said in refusal(write(tmp_path, "x.npz", npz(**arrays)))


@pytest.mark.parametrize("name", ["x.npy", "x.npz"])
def test_truncated_anywhere(tmp_path: Path, name: str) -> None:
    whole = npy(TABLE) if name == "x.npy" else npz(x=TABLE)
    for length in range(1, len(whole)):
        message = refusal(write(tmp_path, name, whole[:length]))
        assert "is truncated or damaged" in message or "is not a NumPy file" in message


def test_pickles_are_not_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (tmp_path / "sprung").touch, ()

    trapped = npy(np.array([[Trap(), 1], [2, 3]], dtype=object))
    assert "pickles are not loaded" in refusal(write(tmp_path, "x.npy", trapped))
    bare = trapped[trapped.index(b"\n") + 1 :]
    assert "is not a NumPy file (pickles are not loaded)" in refusal(write(tmp_path, "x.npy", bare))
    assert not (tmp_path / "sprung").exists()
    np.load(io.BytesIO(trapped), allow_pickle=True)  # the trap does work
    assert (tmp_path / "sprung").exists()


def test_a_header_that_claims_too_much(tmp_path: Path) -> None:
    zeros = b"0" * 15
    huge = npy(TABLE).replace(b"(2, 3), }" + b" " * len(zeros), b"(2, 3" + zeros + b"), }")
    assert "does not fit into memory" in refusal(write(tmp_path, "x.npy", huge))

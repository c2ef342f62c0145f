"""What is printed: whole on narrow terminals, on ASCII streams, piped, in a file, in colour."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import unicodedata
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.cli.calling import ROOT, Outcome, call, environment

SHORT = ("derive", "--wrt", "beta", "--form", "closed", "--no-steps")
THREE_FORMATS = """
import cli
for output in ("text", "latex", "json"):
    try:
        cli.main(["derive", "--format", output])
    except SystemExit as ended:
        assert not ended.code
"""


def width(line: str) -> int:
    return sum(not unicodedata.combining(letter) for letter in line)


def check_plain(shown: Outcome, widest: int) -> None:
    """All is well with it, and it has no escape codes, no blanks at the ends, no wide lines."""
    assert (shown.status, shown.err) == (0, "")
    assert "\x1b" not in shown.out
    assert shown.out.endswith("\n")
    assert not shown.out.endswith("\n\n\n")
    for line in shown.lines:
        assert line == line.rstrip()
        assert width(line) <= widest, line


@pytest.mark.parametrize("columns", [40, 60, 80])
@pytest.mark.parametrize("encoding", ["utf-8", "ascii"])
@pytest.mark.parametrize("arguments", [("derive",), ("list",)], ids=" ".join)
def test_it_fits(arguments: tuple[str, ...], encoding: str, columns: int) -> None:
    shown = call(*arguments, encoding=encoding, COLUMNS=str(columns))
    # A root or a factor in brackets is not broken, and in ASCII some need 51 columns.
    check_plain(shown, max(columns, 52) if encoding == "ascii" else columns)
    assert shown.out.isascii() == (encoding == "ascii" or arguments == ("list",))
    assert "\\u" not in shown.out


def test_what_is_piped_is_80_columns_wide() -> None:
    assert call("derive").out == call("derive", COLUMNS="80").out
    assert call("derive", COLUMNS="60").out != call("derive", COLUMNS="80").out


def test_a_list_leaves_out_columns_on_narrow_terminals() -> None:
    assert "inputs" in call("list", COLUMNS="140").lines[0]
    assert call("list", COLUMNS="80").lines[0].split()[:2] == ["name", "guarantees"]
    assert call("list", COLUMNS="40").lines[0].split() == ["name", "what", "it", "is"]


def test_colour_on_a_terminal() -> None:
    coloured = call(*SHORT, terminal=True).out
    assert "\x1b[1;36m" in coloured
    assert "\x1b[3" not in call(*SHORT, terminal=True, NO_COLOR="1").out
    assert "\x1b[" not in call(*SHORT, terminal=True, TERM="dumb").out
    assert "\x1b[" in call(*SHORT, FORCE_COLOR="1").out


def test_json_is_the_same_everywhere() -> None:
    plain = call("derive", "--format", "json")
    assert plain.out.isascii()
    assert json.loads(plain.out)["blocks"]
    assert call("derive", "--format", "json", encoding="ascii").out == plain.out


def test_a_file_in_a_c_locale(tmp_path: Path) -> None:
    """As in ``LC_ALL=C backnorm derive > derivation.txt``, with Python's own remedies off."""
    path = tmp_path / "derivation.txt"
    with path.open("wb") as file:
        subprocess.run(
            [sys.executable, str(ROOT / "cli.py"), *SHORT],
            env=environment(LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0"),
            stdout=file,
            check=True,
        )
    plain = call(*SHORT, encoding="ascii")
    check_plain(plain, 80)
    assert path.read_bytes().decode("ascii") == plain.out


@pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals of this kind")
def test_a_real_terminal() -> None:
    """50 columns wide: in colour, within the width, and without blanks before a line's end."""
    import fcntl
    import pty
    import struct
    import termios

    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 50, 0, 0))
    running = subprocess.Popen(
        [sys.executable, str(ROOT / "cli.py"), *SHORT],
        env=environment(PYTHONIOENCODING="utf-8"),
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
    )
    os.close(theirs)
    content = b""
    try:
        while part := os.read(ours, 1 << 16):
            content += part
    except OSError:  # how Linux says that the other side has closed
        pass
    os.close(ours)
    assert running.wait() == 0
    shown = content.decode().replace("\r\n", "\n")
    assert "\x1b[1;36m" in shown
    plain = call(*SHORT, COLUMNS="50")
    assert _bare(shown) == plain.out
    check_plain(plain, 50)


def _bare(text: str) -> str:
    """Without the codes for colours."""
    first, *rest = text.split("\x1b[")
    return first + "".join(part.partition("m")[2] for part in rest)


def test_every_hash_seed_prints_the_same() -> None:
    def printed(seed: str) -> bytes:
        command = [sys.executable, "-c", THREE_FORMATS]
        variables = environment(PYTHONHASHSEED=seed, PYTHONIOENCODING="utf-8")
        return subprocess.run(
            command, cwd=ROOT, env=variables, capture_output=True, check=True
        ).stdout

    with ThreadPoolExecutor() as pool:
        first, second = pool.map(printed, ["1", "4321"])
    assert len(first) > 10_000
    assert first == second

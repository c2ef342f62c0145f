"""Kernels that hang, crash, print, eat memory or leave: each ends in a report, never as right."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from derive.errors import InputError
from verify.audit.kernel_report import audit, judge
from verify.audit.sandbox import Observed, Request, observe, read

SOURCE = """
import ctypes, os, subprocess, sys
import numpy as np

def right(dy, x, gamma, eps):
    r = 1 / np.sqrt(x.var(0) + eps)
    x_hat = (x - x.mean(0)) * r
    dx = gamma * r * (dy - dy.mean(0) - x_hat * (dy * x_hat).mean(0))
    return dx, (dy * x_hat).sum(0), dy.sum(0)

def hangs(dy, x, gamma, eps):
    if len(x) == 256:
        print("hello", flush=True)
        subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
        while True:
            pass
    return right(dy, x, gamma, eps)

def crashes(dy, x):
    ctypes.string_at(0)

def leaves(dy, x):
    os._exit(0)

def swallows(dy, x):
    return np.ones((10**6, 10**5))

def prints(dy, x, gamma, eps):
    print("working on it" * 1000)
    os.write(2, b"and on this")
    found = right(dy, x, gamma, eps)
    x[:] = 0
    return found
"""


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    file = tmp_path_factory.mktemp("kernels") / "kernels.py"
    file.write_text(SOURCE)
    return file


def refused(path: Path, name: str, timeout: float = 30.0) -> str:
    with pytest.raises(InputError) as caught:
        audit(Request(f"{path}:{name}", "batch_norm", timeout=timeout))
    return str(caught.value)


def test_a_kernel_that_hangs_has_no_verdict(path: Path) -> None:
    """Though it was right as far as it came; what it has started is ended with it."""
    start = time.monotonic()
    observed = observe(Request(f"{path}:hangs", "batch_norm", timeout=4))
    assert time.monotonic() - start < 8
    assert [attempt.name for attempt in observed.attempts][:2] == ["plain", "another draw"]
    assert observed.ended == "it did not end within 4 s, in the probe 'm = 256'"
    assert observed.printed == "hello"
    with pytest.raises(InputError, match="nothing is known about its results"):
        judge(observed, Request("it", "batch_norm"))


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("crashes", "it was ended by SIGSEGV, in the probe 'plain'; nothing is known"),
        ("leaves", "it ended the process with status 0, in the probe 'plain'; nothing is known"),
        ("swallows", "on x (7, 3): MemoryError"),
    ],
)
def test_what_ends_it(path: Path, name: str, said: str) -> None:
    assert said in refused(path, name)


def test_prints_and_changes_are_warnings(path: Path) -> None:
    printed = audit(Request(f"{path}:prints", "batch_norm"))
    assert printed.right
    said = next(warning for warning in printed.warnings if "prints" in warning)
    assert said.startswith("it prints: working on it")
    assert len(said) < 300
    assert "it writes to its arguments: x" in printed.warnings


def test_without_the_last_word_there_is_no_verdict(tmp_path: Path) -> None:
    """Even if every probe was right."""
    observed = read(tmp_path, [{"event": "loading"}], "it was ended by SIGKILL")
    assert isinstance(observed, Observed)
    assert observed.ended == "it was ended by SIGKILL, while its module was imported"
    with pytest.raises(InputError, match="while its module was imported; nothing is known"):
        judge(observed, Request("it", "batch_norm"))

"""Trying a kernel in a process of its own (:mod:`verify.audit.child`), and what came of it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from verify.audit.child import EVENTS, PRINTED, REQUEST
from verify.audit.probes import Floats

ROOT = Path(__file__).parents[2]
GRACE = 2.0  # seconds for a process that is told to end
SHOWN = 200  # characters of what a kernel printed


@dataclass(frozen=True)
class Request:
    """What to try: ``tasks`` are probes, accuracy, contract and speed.

    ``mapped`` is what the user says about the call, ``axis`` is where the kernel has its channels,
    ``ranks`` are those of x that it takes; ``exact`` are batches of rational numbers; ``timeout``
    is in seconds, ``memory`` in bytes.
    """

    target: str
    layer: str
    mapped: tuple[Any, ...] = ((), (), "")
    tasks: tuple[str, ...] = ("probes",)
    ranks: tuple[int, ...] = (2, 3, 4)
    exact: tuple[Any, ...] = ()
    axis: int = 1
    eps: float = 1e-5
    timeout: float = 60.0
    memory: int = 4 * 2**30


@dataclass(frozen=True)
class Attempt:
    """One probe: the gradients, or why there are none.

    ``changed`` are arguments written to, ``more`` the axes of length 1 that x was given.
    """

    name: str
    results: Mapping[str, Floats] = field(default_factory=dict)
    changed: tuple[str, ...] = ()
    raised: str = ""
    more: int = 0


@dataclass(frozen=True)
class Observed:
    """What came of a request.

    ``refused`` says why the target cannot be tried, ``ended`` how the process came to an end
    before it had done everything; both are empty where all went well.  ``events`` are the others.
    """

    attempts: tuple[Attempt, ...]
    events: Mapping[str, Mapping[str, Any]]
    printed: str
    refused: str = ""
    ended: str = ""


def observe(request: Request) -> Observed:
    """Try it.  Whatever the kernel does ends in a report, within the time and memory given."""
    with tempfile.TemporaryDirectory(prefix="backnorm-audit-") as name:
        folder = Path(name)
        (folder / REQUEST).write_text(json.dumps(vars(request)), encoding="utf-8")
        ended = _run(folder, request.timeout)
        return read(folder, _events(folder / EVENTS), ended)


def _run(folder: Path, timeout: float) -> str:
    """How the process ended, if not by itself and well."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "verify.audit.child", str(folder)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,
    )
    try:
        status = process.wait(timeout)
    except subprocess.TimeoutExpired:
        return f"it did not end within {timeout:g} s"
    finally:
        _kill(process)
    if status < 0:
        return f"it was ended by {_signal(-status)}"
    return f"it ended the process with status {status}"


def _kill(process: subprocess.Popen[bytes]) -> None:
    """The process, if it is still there, and whatever it has started."""
    with suppress(OSError, AttributeError):  # there is no such group any more; or on Windows
        os.killpg(process.pid, signal.SIGKILL)
    process.kill()
    with suppress(subprocess.TimeoutExpired):
        process.wait(GRACE)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


# --- What it left ---------------------------------------------------------------------------------


def read(folder: Path, events: Sequence[Mapping[str, Any]], ended: str = "") -> Observed:
    """What the events tell, and the arrays and the print beside them."""
    attempts = tuple(_attempts(events, folder))
    named = {event["event"]: event for event in events}
    printed = ""
    if (folder / PRINTED).exists():
        with (folder / PRINTED).open("rb") as file:
            printed = " ".join(file.read(4 * SHOWN).decode("utf-8", "replace").split())[:SHOWN]
    refused = named.get("refused", {}).get("why", "")
    if "done" in named:
        return Observed(attempts, named, printed, refused)
    during = events[-1] if events else {"event": "start"}
    return Observed(attempts, named, printed, refused, f"{ended}, {_while(during)}")


def _while(event: Mapping[str, Any]) -> str:
    match event["event"]:
        case "start" | "loading":
            return "while its module was imported"
        case "probe":
            return f"in the probe {event['name']!r}"
        case "results" | "raised" | "shape" | "accuracy" | "contract":
            return f"after {event['event']}"
    return "in the end"


def _events(path: Path) -> list[dict[str, Any]]:
    """The lines that are whole."""
    found: list[dict[str, Any]] = []
    if path.exists():
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            with suppress(ValueError):
                found.append(json.loads(line))
    return found


def _attempts(events: Sequence[Mapping[str, Any]], folder: Path) -> Sequence[Attempt]:
    found: dict[int, Attempt] = {}
    names = {event["k"]: event["name"] for event in events if event["event"] == "probe"}
    for event in events:
        if event["event"] == "raised":
            k = event["k"]
            found[k] = Attempt(names[k], raised=event["why"])
        elif event["event"] == "results":
            k = event["k"]
            with np.load(folder / f"{k}.npz", allow_pickle=False) as arrays:
                results = {name: arrays[name] for name in arrays.files}
            found[k] = Attempt(names[k], results, tuple(event["changed"]), more=event["more"])
    return [found[k] for k in sorted(found)]

"""The process that a kernel is tried in: ``python -m verify.audit.child FOLDER``.

The code of others runs here and nowhere else, under limits of memory, processor time and file size,
with nothing to read from and with what it prints kept in a file.  What happens is told line by line
in ``events.jsonl``, arrays are left beside it, and :mod:`verify.audit.sandbox` reads both: if the
process ends before it said ``done``, the kernel has no verdict.
"""

from __future__ import annotations

import json
import os
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path
from types import ModuleType
from typing import Any

EVENTS, PRINTED, REQUEST = "events.jsonl", "printed.txt", "request.json"
LONGEST = 300  # characters of what a kernel raises
LARGEST_FILE = 256 * 2**20


def main(folder: Path) -> None:
    """Do what the request in the folder asks."""
    request = json.loads((folder / REQUEST).read_text(encoding="utf-8"))
    _limit(request["memory"], request["timeout"])
    _silence(folder / PRINTED)
    with (folder / EVENTS).open("a", encoding="utf-8") as log:

        def tell(event: str, **what: Any) -> None:
            log.write(json.dumps({"event": event, **what}) + "\n")
            log.flush()

        for event, what in work(request, folder):
            tell(event, **what)
        tell("done")
    os._exit(0)  # whatever the kernel has left running or registered


def _limit(memory: int, timeout: float) -> None:
    try:
        import resource
    except ImportError:  # Windows has no such limits; that of time is the parent's
        return
    seconds = int(timeout) * (os.cpu_count() or 1) + 1
    for what, most in (
        (resource.RLIMIT_DATA, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, LARGEST_FILE),
        (resource.RLIMIT_CORE, 0),
    ):
        with suppress(ValueError, OSError):  # a lower limit is in force, or none can be set
            resource.setrlimit(what, (most, most))


def _silence(path: Path) -> None:
    """Whatever is printed, by C code too, goes to a file."""
    printed = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(printed, stream)


Event = tuple[str, dict[str, Any]]


def work(request: dict[str, Any], folder: Path) -> Iterator[Event]:
    """What is done in the process, with what there is to tell; arrays are left in the folder."""
    import numpy as np

    from derive.errors import InputError
    from verify.audit.call_shapes import recognise
    from verify.audit.shape import Mapped
    from verify.audit.target import found

    np.seterr(all="ignore")
    mapped = Mapped(*map(_plain, request["mapped"]))
    yield "loading", {}
    try:
        with found(request["target"]) as (target, module):
            shape = recognise(target, module, mapped)
            yield (
                "shape",
                {
                    "says": shape.says,
                    "takes_eps": shape.takes_eps,
                    "given": shape.given,
                    "takes_gamma": shape.takes_gamma,
                },
            )
            yield from _tasks(request, folder, shape, module)
    except InputError as error:
        yield "refused", {"why": str(error)}


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _tasks(
    request: dict[str, Any], folder: Path, shape: Any, module: ModuleType
) -> Iterator[Event]:
    from verify.audit import numerics

    eps, layer = None if shape.takes_eps else request["eps"], request["layer"]
    ranks = tuple(request["ranks"])
    if "probes" in request["tasks"]:
        yield from _probes(request, folder, shape, eps)
        takes_exact = shape.takes_eps and shape.takes_gamma and not shape.tensors
        if request["exact"] and takes_exact:
            yield from _exactly(request, shape)
    tasks: dict[str, Callable[[], Any]] = {
        "accuracy": lambda: numerics.accuracy(shape, layer, eps, ranks),
        "contract": lambda: numerics.contract(shape, layer, eps, ranks),
    }
    for name, task in tasks.items():
        if name in request["tasks"]:
            yield name, {"results": [asdict(result) for result in task()]}
    if "speed" in request["tasks"]:
        yield "speed", numerics.speed(shape, layer, ranks)


def _probes(
    request: dict[str, Any], folder: Path, shape: Any, eps: float | None
) -> Iterator[Event]:
    import numpy as np

    more: tuple[int, ...] = (0, 2, 1)
    for k, (plain, given) in enumerate(_tried(request["layer"], shape)):
        probe = plain if eps is None else replace(plain, eps=eps)
        probe = probe if shape.takes_gamma else probe.unscaled
        yield "probe", {"k": k, "name": probe.name}
        try:
            axes, called = _called(shape, probe, given, request["axis"], more)
        except (Exception, SystemExit) as error:  # a kernel may raise anything
            yield "raised", {"k": k, "why": _said(error)}
            continue
        more = (axes,)
        results = {**called.results, "dx": called.results["dx"].reshape(probe.x.shape)}
        np.savez(folder / f"{k}.npz", **results)
        yield "results", {"k": k, "changed": called.changed, "more": axes}


def _tried(layer: str, shape: Any) -> list[tuple[Any, Any]]:
    """Every probe, one of them again, and one with other statistics if these are given."""
    from verify.audit.probes import AGAIN, off_definition, probes

    plain, *others = probes(layer)
    tried = [(probe, None) for probe in (plain, *others, replace(plain, name=AGAIN))]
    return [*tried, off_definition(layer)] if shape.given else tried


def _called(
    shape: Any, probe: Any, given: Any, axis: int, more: tuple[int, ...]
) -> tuple[int, Any]:
    """The kernel's results, and how many axes of length 1 a matrix was given for that: none, or as
    many as a kernel of images alone needs.  Raises what it raised without them."""
    from verify.audit.calling import run

    raised: Exception | None = None
    for axes in more:
        try:
            return axes, run(shape, probe.padded(axes), given, axis)
        except Exception as error:
            raised = raised or error
    assert raised is not None
    raise raised


def _exactly(request: dict[str, Any], shape: Any) -> Iterator[Event]:
    """The kernel on exact numbers, if it computes with them."""
    from verify.audit.rationals import probe_of, written

    results = []
    try:
        for numbers in request["exact"]:
            probe = probe_of(request["layer"], numbers)
            _, called = _called(shape, probe, None, request["axis"], (0, 2))
            results.append({name: written(array) for name, array in called.results.items()})
    except Exception as error:  # most kernels were not made for this
        yield "inexact", {"why": _said(error)}
        return
    yield "exact", {"results": results}


def _said(error: BaseException) -> str:
    text = textwrap.shorten(str(error), LONGEST)
    return text if _is_ours(error) else f"{type(error).__name__}: {text}".rstrip(": ")


def _is_ours(error: BaseException) -> bool:
    return type(error).__name__ == "InputError"


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""How a module whose layer reduces the batch calls a core: at once, or with some of many channels.

What there is once for each channel is float64 in a core, several times over.  Channels share
nothing, so that of many of them some are computed at a time, and all this takes little memory.
"""

from __future__ import annotations

from collections.abc import Sequence

from codegen.backends.python_lines import call, tuple_of


def core_call(
    core: str,
    given: Sequence[str],
    outputs: Sequence[str],
    results: Sequence[str] = (),
    *,
    kept: Sequence[str] = (),
    copied: Sequence[str] = (),
) -> str:
    """The lines that call a core.

    It writes ``outputs`` and returns either ``results``, which are stored in arrays of these names,
    or what is ``kept`` as it is, for a cache; that has float64 copies of others too.
    """
    made = [*kept, *(f"wide_{name}" for name in results)]
    targets = f"{tuple_of(made)} = " if made else ""
    before = [f"wide_{name} = np.array(wide_{name}, _WIDE)" for name in copied]
    before += [f"{name} = layout.zeros()" for name in kept]
    several = [core, "given", _argument(outputs)]
    several += [_argument(kept or results)] if made else []
    lines = [
        "        if layout.many:",
        *(f"            {line}" for line in before),
        call("given = ", given, 12),
        call("layout.by_channels", several, 12),
        "        else:",
        call(f"{targets}{core}", [*given, "layout", *outputs], 12),
        *(f"            {name}[...] = wide_{name}.reshape(one)" for name in results),
    ]
    return "\n".join(lines)


def precise_call(
    core: str, given: Sequence[str], outputs: Sequence[str], results: Sequence[str]
) -> str:
    """The lines that call a core with statistics that are found in float64 alone, for some channels
    at a time: fewer, as it takes blocks in float64 besides."""
    targets = f"{tuple_of([f'wide_{name}' for name in results])} = " if results else ""
    own = [
        name.replace("cache.", "part.") if "cache." in name else f"layout.of({name}, own)"
        for name in given
    ]
    lines = [
        "        for own, some in layout.some(layout.MOST // 4):",
        "            part = Cache(*(layout.of(value, own) for value in cache))",
        "            part = _in_float64(part, some)",
        call(f"{targets}{core}", [*own, "some", *(f"{o}[own]" for o in outputs)], 12),
        *(f"            {name}[own[-1]] = wide_{name}.reshape(-1)" for name in results),
    ]
    return "\n".join(lines)


def _argument(names: Sequence[str]) -> str:
    """A tuple as an argument."""
    return tuple_of(names) if len(names) == 1 else f"({tuple_of(names)})"

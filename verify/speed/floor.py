"""How little memory traffic a kernel could do with, in copies of x.

A copy reads x and writes as much: two units of traffic.  The statistics need the whole of a channel
(or a row, or a group) before its first result can be computed, so that what is read is read twice,
unless the channel lies together in memory and stays in the cache between the two.  Then

    forward   reads x, writes y:         1 copy,      or 1.5 when x is read twice;
    backward  reads x, dy, writes dx:    1.5 copies,  or 2.5 when both are read twice.

What γ and β take is not counted, nor is arithmetic.
"""

from __future__ import annotations

from pathlib import Path

from verify.speed.problem import BATCH, axes_of

CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
USUAL = 2**20  # bytes of second-level cache, where the system does not tell


def second_level_cache() -> int:
    """Bytes of the cache that each core has to itself."""
    for index in sorted(CACHES.glob("index*")):
        try:
            if (index / "level").read_text().strip() == "2":
                return int((index / "size").read_text().strip().removesuffix("K")) * 1024
        except (OSError, ValueError):
            continue
    return USUAL


def floor(
    layer: str, shape: tuple[int, ...], itemsize: int, function: str, cache: int | None = None
) -> float:
    """Copies of x that ``function`` ("forward" or "backward") cannot go below.

    ``cache``: bytes that stay at hand; by default this machine's second-level cache.
    """
    read = 1 if function == "forward" else 2
    together = layer != BATCH or len(shape) > 2
    size = axes_of(layer, shape).m * itemsize * read
    twice = not together or size > (second_level_cache() if cache is None else cache)
    return (read * (2 if twice else 1) + 1) / 2

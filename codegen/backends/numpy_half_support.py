"""float16 by its bits, several times as fast as NumPy converts it; copied below the marker.

The bits of a float16, 13 places to the left, are those of a float32 that is 2**-112 times as large:
the same fraction, and an exponent that counts from 15 where it would from 127.  Subnormal numbers
come out right too, as they are subnormal in float32.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from codegen.backends.numpy_support import Array

# --- copied from here on ---

_LARGEST_HALF: Any = np.float32(65504)
_REBIAS: Any = np.float32(2.0**112)


def _from_half(halves: Array, result: Array) -> None:
    """float16 as float32, by integer operations unless a number is not finite."""
    bits = result.view(np.uint32)
    np.copyto(bits.view(np.int32), halves.view(np.int16))
    np.left_shift(bits, 13, bits)
    np.bitwise_and(bits, 0x8FFFE000, bits)  # the sign, and neither of its copies
    np.multiply(result, _REBIAS, result)
    if not (result.max() <= _LARGEST_HALF and result.min() >= -_LARGEST_HALF):
        np.copyto(result, halves)


def _to_half(values: Array, result: Array, scratch: Array) -> None:
    """float32 to the nearest float16, of two the even one; ``values`` are written over unless one
    is too large or not finite."""
    if not (values.max() <= _LARGEST_HALF and values.min() >= -_LARGEST_HALF):
        np.copyto(result, values, casting="unsafe")
        return
    np.multiply(values, 1 / _REBIAS, values)
    bits, others = values.view(np.uint32), scratch.view(np.uint32)
    np.right_shift(bits, 13, others)
    np.bitwise_and(others, 1, others)
    np.add(others, 0xFFF, others)
    np.add(bits, others, bits)
    np.right_shift(bits, 16, others)
    np.bitwise_and(others, 0x8000, others)
    np.right_shift(bits, 13, bits)
    np.bitwise_and(bits, 0x7FFF, bits)
    np.bitwise_or(bits, others, bits)
    np.copyto(result.view(np.uint16), bits, casting="unsafe")

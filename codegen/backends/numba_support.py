"""What every generated numba module carries, beside the array handling of the NumPy modules.

Compiling, reading and writing elements, threads.  As with :mod:`codegen.backends.numpy_support`,
the text below the marker is copied verbatim.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import Any, TypeVar

import numba
import numpy as np
from llvmlite import ir
from llvmlite.binding import get_host_cpu_features
from numba import types
from numba.extending import intrinsic, overload

from codegen.backends.numpy_support import Array

# --- copied from here on ---

_SHARE = 2**17  # elements that are worth a thread
_BITS = {"e": np.uint16, "E": np.int16}  # how float16 and bfloat16 are seen by loops

_Function = TypeVar("_Function", bound=Callable[..., Any])


def _compiled(function: _Function, fastmath: Any = False) -> _Function:
    """Compiled on first use, and kept beside this file or where numba finds another folder."""
    options: dict[str, Any] = {"error_model": "numpy", "fastmath": fastmath, "nogil": True}
    try:
        compiled: _Function = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder to keep it in
        compiled = numba.njit(**options)(function)
    return compiled


def _in_any_order(function: _Function) -> _Function:
    """Compiled so that a sum may be several partial sums; NaN and Inf keep their meaning."""
    return _compiled(function, {"reassoc", "nsz"})


def _load(value: Any) -> Any:
    """An element as float64."""
    return value


def _load_as(other: Any, value: Any) -> Any:
    """An element as float64, or as float32 where it meets another."""
    return value


def _store(value: Any, result: Array) -> Any:
    """A float64, or a float32, as an element of the result."""
    return value


def _from_bits(mantissa: int, bias: int) -> Callable[[Any], Any]:
    """float64 of the bits of a 16-bit float."""
    scale, shift = 2.0 ** (1023 - bias), 52 - mantissa
    top, infinite = 0x7FFF, 0x7FFF >> mantissa << mantissa

    def load(value: Any) -> Any:
        bits = np.int64(value) & top
        size: Any = np.int64(bits << shift).view(np.float64) * scale
        if bits >= infinite:
            size = np.inf if bits == infinite else np.nan
        return -size if np.int64(value) & 0x8000 else size

    return load


def _to_bits(mantissa: int, bias: int) -> Callable[[float, Array], Any]:
    """The bits of the 16-bit float nearest to a float64, of two the even one."""
    shift, least = 52 - mantissa, 2.0 ** (1 - bias)
    step, infinite = 2.0 ** (bias - 1 + mantissa), 0x7FFF >> mantissa << mantissa
    rebias = (1023 - bias) << 52

    def store(value: float, result: Array) -> Any:
        bits = np.float64(value).view(np.int64)
        sign = (bits >> 48) & 0x8000
        size = bits & 0x7FFFFFFFFFFFFFFF
        half = (np.int64(1) << (shift - 1)) - 1 + ((size >> shift) & 1)
        rounded: Any = min((size - rebias + half) >> shift, infinite)
        if abs(value) < least:
            rounded = np.int64(np.rint(abs(value) * step))
        if value != value:
            rounded = infinite | 1 << (mantissa - 1)
        return rounded | sign

    return store


def _extended(context: Any, bits: Any) -> Any:
    """The processor's own conversion of the bits of a float16 to float32."""

    def made(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.fpext(builder.bitcast(values[0], ir.HalfType()), ir.FloatType())

    return types.float32(types.uint16), made


def _truncated(context: Any, value: Any) -> Any:
    """The processor's own conversion of float32 to the bits of the nearest float16."""

    def made(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        return builder.bitcast(builder.fptrunc(values[0], ir.HalfType()), ir.IntType(16))

    return types.uint16(types.float32), made


_half_to_float: Any = intrinsic(_extended)
_float_to_half: Any = intrinsic(_truncated)


def _load_half(value: Any) -> Any:
    return np.float64(_half_to_float(value))


def _store_narrow_half(value: float, result: Array) -> Any:
    return _float_to_half(value)


def _store_half(value: float, result: Array) -> Any:
    """Rounded once: that float32 lacks some bits that are not zero is kept as its last bit."""
    bits = np.float64(value).view(np.int64)
    lacks = np.int64(bits & 0x1FFFFFFF != 0)
    kept = np.int64(bits & ~0x1FFFFFFF | lacks << 29)
    return _float_to_half(np.float32(kept.view(np.float64)))


def _converts_half() -> bool:
    """Whether the processor that code is compiled for converts float16, as all but old ones do."""
    compiled_for: Any = numba.config
    if compiled_for.CPU_NAME or compiled_for.CPU_FEATURES:
        return False  # it is another than this
    try:
        features = get_host_cpu_features()
    except RuntimeError:  # llvmlite does not know
        return False
    return bool(features.get("f16c")) or platform.machine() in ("aarch64", "arm64")


_CONVERTS_HALF = _converts_half()


def _load_compiled(value: Any) -> Callable[..., Any]:
    if value == types.uint16:
        return _load_half if _CONVERTS_HALF else _from_bits(10, 15)
    if value == types.int16:
        return _from_bits(7, 127)
    return lambda value: np.float64(value)


def _load_as_compiled(other: Any, value: Any) -> Callable[..., Any]:
    if other != types.float32:
        return lambda other, value: _load(value)
    if value == types.uint16 and _CONVERTS_HALF:
        return lambda other, value: _half_to_float(value)
    return lambda other, value: np.float32(_load(value))


def _store_compiled(value: Any, result: Any) -> Callable[..., Any]:
    if result.dtype == types.uint16 and value == types.float32 and _CONVERTS_HALF:
        return _store_narrow_half
    if result.dtype == types.uint16:
        return _store_half if _CONVERTS_HALF else _to_bits(10, 15)
    if result.dtype == types.int16:
        return _to_bits(7, 127)
    return lambda value, result: value


overload(_load, strict=False)(_load_compiled)
overload(_load_as, strict=False)(_load_as_compiled)
overload(_store, strict=False)(_store_compiled)


def _in_order(array: Array, dtype: np.dtype[Any]) -> bool:
    """Whether an array of this dtype lies in memory as compiled loops read it."""
    own, flags = array.dtype, array.flags
    known = own == dtype and own.char in "eEfd" and own.isnative
    return known and flags.c_contiguous and flags.aligned


@lru_cache(maxsize=1)
def _workers() -> ThreadPoolExecutor:
    """Threads that wait for work: to start one takes longer than many a kernel."""
    settings: Any = numba.config
    return ThreadPoolExecutor(settings.NUMBA_NUM_THREADS)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_workers.cache_clear)  # where there are no such threads


def _together(tasks: Sequence[Callable[[], None]]) -> None:
    """Each task in a thread of its own, the last in this one; they hold no lock of Python's."""
    others = [_workers().submit(task) for task in tasks[:-1]]
    tasks[-1]()
    for other in others:
        other.result()

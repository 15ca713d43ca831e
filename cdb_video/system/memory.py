"""How the C library treats memory that frames and activations free."""

import ctypes
import os
from typing import Any

KEPT = 64 * 2**20
"""Bytes at the end of the heap that a decoding process keeps for the frames to come."""
LARGEST = 32 * 2**20
"""Bytes from which on a piece of memory is mapped for itself; glibc takes no more."""
MAPPED = 2**16
"""Such pieces at most, as glibc begins with."""
# The numbers in glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4


def keep_freed_memory(all_of_it: bool = False) -> None:
    """Lets glibc keep some freed memory in this process.

    By default it returns the memory of a frame or of activations to the system, which clears it
    page by page for the next one. That takes a tenth of the time of a clip, and of a training step
    (docs/performance.md).

    Args:
        all_of_it: return nothing until ``return_freed_memory``. For runs on a CPU, whose next step
            needs the same memory.
    """
    option = _of_the_c_library("mallopt")
    if option is not None:
        option(_TRIM_THRESHOLD, -1 if all_of_it else KEPT)
        option(_MMAP_THRESHOLD, LARGEST)
        option(_MMAP_MAX, 0 if all_of_it else MAPPED)


def return_freed_memory() -> None:
    """Returns freed memory to the system, which glibc would keep."""
    trim = _of_the_c_library("malloc_trim")
    if trim is not None:
        trim(0)


def _of_the_c_library(name: str) -> Any:
    """The function, or None if the C library is not glibc."""
    return getattr(ctypes.CDLL(None), name, None) if os.name == "posix" else None

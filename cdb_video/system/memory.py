"""What the C library does with the memory that frames and activations leave."""

import ctypes
import os
from typing import Any

KEPT = 64 * 2**20
"""Bytes at the end of the heap that a decoding process keeps for the frames to come."""
LARGEST = 32 * 2**20
"""Bytes from which on a piece of memory is mapped for itself; glibc takes no more."""
MAPPED = 2**16
"""Such pieces at most, as glibc begins with."""
# Their numbers in glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -3, -4


def keep_freed_memory(all_of_it: bool = False) -> None:
    """Lets glibc keep some of what is freed, in this process and from now on.

    By itself it gives the memory of a frame, or of a layer's activations, back to the system, which
    then has to clear it, page by page, for the next one: a tenth of the time of a clip, and as much
    of a training step (docs/performance.md).

    Args:
        all_of_it: nothing goes back until ``return_freed_memory``, however large: for runs on a
            CPU, which need as much again in the next step.
    """
    option = _of_the_c_library("mallopt")
    if option is not None:
        option(_TRIM_THRESHOLD, -1 if all_of_it else KEPT)
        option(_MMAP_THRESHOLD, LARGEST)
        option(_MMAP_MAX, 0 if all_of_it else MAPPED)


def return_freed_memory() -> None:
    """Gives back to the system what has been freed; glibc keeps it, in pieces, for later."""
    trim = _of_the_c_library("malloc_trim")
    if trim is not None:
        trim(0)


def _of_the_c_library(name: str) -> Any:
    """The function, or None where the library is another than glibc."""
    return getattr(ctypes.CDLL(None), name, None) if os.name == "posix" else None

"""What the C library does with the memory that decoding frees, frame by frame."""

import ctypes
import os
from typing import Any

KEPT = 64 * 2**20
"""Bytes at the end of the heap that a process keeps for the frames to come."""
LARGEST = 32 * 2**20
"""Bytes from which on a piece of memory is mapped for itself; glibc takes no more."""
# Their numbers in glibc's malloc.h.
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3


def keep_freed_memory() -> None:
    """Lets glibc keep some of what is freed, in this process and from now on.

    By itself it gives the memory of a frame back to the system, which then has to clear it, page by
    page, for the next frame: a tenth of the time of a clip (docs/performance.md).
    """
    option = _of_the_c_library("mallopt")
    if option is not None:
        option(_TRIM_THRESHOLD, KEPT)
        option(_MMAP_THRESHOLD, LARGEST)


def return_freed_memory() -> None:
    """Gives back to the system what has been freed; glibc keeps it, in pieces, for later."""
    trim = _of_the_c_library("malloc_trim")
    if trim is not None:
        trim(0)


def _of_the_c_library(name: str) -> Any:
    """The function, or None where the library is another than glibc."""
    return getattr(ctypes.CDLL(None), name, None) if os.name == "posix" else None

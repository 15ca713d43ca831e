"""Memory of the system's C library: real faults of real pages, in processes of their own."""

import os
import platform
import subprocess
import sys

import pytest

from cdb_video.data.freed_memory import keep_freed_memory, return_freed_memory

FRAMES = """
import resource, sys
import numpy as np
from cdb_video.data.freed_memory import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def frames():
    for _ in range(100):
        [np.ones(700_000, np.uint8) for _ in range(4)]
frames()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
frames()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def faults(word):
    environment = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    command = [sys.executable, "-c", FRAMES, word]
    return int(subprocess.check_output(command, env=environment, text=True))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")
def test_frames_that_are_freed_make_room_for_others_without_the_system():
    pages = 100 * 4 * 700_000 // os.sysconf("SC_PAGE_SIZE")
    assert faults("leave") > pages / 4
    assert faults("keep") < pages / 100


def test_another_library_is_looked_through_and_nothing_is_called(monkeypatch):
    looked_for = []

    class Library:
        def __getattr__(self, name):
            looked_for.append(name)
            raise AttributeError(name)

    monkeypatch.setattr("ctypes.CDLL", lambda name: Library())
    keep_freed_memory()
    return_freed_memory()
    assert looked_for == ["mallopt", "malloc_trim"]

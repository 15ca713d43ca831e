"""Memory of the system's C library: real faults of real pages, in processes of their own."""

import os
import platform
import subprocess
import sys

import pytest

from cdb_video.system.memory import keep_freed_memory, return_freed_memory

FRAME, ACTIVATIONS = 700_000, 40_000_000
FAULTS = """
import resource, sys
from cdb_video.system.memory import keep_freed_memory
BEFORE
size, times = map(int, sys.argv[1:])
def work():
    for _ in range(times):
        [b"1" * size for _ in range(4)]
work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def fault_share(before, size, times=100):
    """Faults of each page that is written to, once memory of the ``size`` was used and freed."""
    environment = {name: value for name, value in os.environ.items() if "MALLOC" not in name}
    command = [sys.executable, "-c", FAULTS.replace("BEFORE", before), str(size), str(times)]
    faults = int(subprocess.check_output(command, env=environment, text=True))
    return faults * os.sysconf("SC_PAGE_SIZE") / (times * 4 * size)


glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="of glibc alone")


@glibc
def test_frames_that_are_freed_make_room_for_others_without_the_system():
    assert fault_share("", FRAME) > 0.25
    assert fault_share("keep_freed_memory()", FRAME) < 0.01


@glibc
def test_a_run_on_a_cpu_keeps_all_and_its_workers_do_not():
    ready = (
        "from types import SimpleNamespace as Config; "
        "from cdb_video.engine.prepare.device import choose_device; "
        "choose_device(Config(device='cpu'))"
    )
    assert fault_share("keep_freed_memory()", ACTIVATIONS, 2) > 0.9
    assert fault_share(ready, ACTIVATIONS, 2) < 0.01
    assert fault_share(f"{ready}; keep_freed_memory()", ACTIVATIONS, 2) > 0.9


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

"""How many threads torch computes with on a CPU."""

import os
import time
from contextlib import suppress
from pathlib import Path

import torch

PAUSE_S = 0.2
"""For which it is watched what the cores do."""


def choose_threads(workers: int) -> int:
    """As many as there are cores for: allowed, idle now, and not wanted by ``workers`` processes
    that decode. Threads that share a core wait for each other, and may take five times as long as
    one alone.

    What the environment says (OMP_NUM_THREADS, which torchrun sets, too) comes first.
    """
    if "OMP_NUM_THREADS" in os.environ:
        return torch.get_num_threads()
    return max(1, min(torch.get_num_threads(), usable_cores(), round(idle_cores())) - workers)


def usable_cores() -> int:
    """Cores that this process may run on, and that its container grants it."""
    cores = len(_allowed())
    with suppress(OSError, ValueError):
        granted, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if granted != "max":
            cores = min(cores, max(1, int(granted) // int(period)))
    return cores


def idle_cores() -> float:
    """Cores' worth of time that nobody used just now, of those that this process may run on; all
    of them where the system does not tell."""
    before = _idle_seconds()
    begin = time.monotonic()
    if before is None:
        return float(len(_allowed()))
    time.sleep(PAUSE_S)
    return ((_idle_seconds() or before) - before) / (time.monotonic() - begin)


def _allowed() -> set[int]:
    if hasattr(os, "sched_getaffinity"):
        return set(os.sched_getaffinity(0))
    return set(range(os.cpu_count() or 1))


def _idle_seconds() -> float | None:
    """Seconds since the start that the cores have been idle, together."""
    try:
        lines = Path("/proc/stat").read_text(encoding="ascii").splitlines()
    except OSError:
        return None
    names = {f"cpu{number}" for number in _allowed()}
    # Idle, and waiting for a disk.
    ticks = [sum(map(int, line.split()[4:6])) for line in lines if line.split()[0] in names]
    return sum(ticks) / os.sysconf("SC_CLK_TCK") if ticks else None

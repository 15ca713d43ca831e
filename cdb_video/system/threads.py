"""How many threads torch computes with on a CPU."""

import os
from contextlib import suppress
from pathlib import Path

import torch


def choose_threads() -> int:
    """One for each core that this process may use, or what OMP_NUM_THREADS says, as under torchrun.

    The number follows from the machine and not from its load, since sums are rounded by it: two
    runs of one seed are the same run. Decoding processes share the cores. They wait most of the
    time, and so do the threads of torch that are idle.
    """
    return torch.get_num_threads() if "OMP_NUM_THREADS" in os.environ else usable_cores()


def usable_cores() -> int:
    """Cores that this process may run on, and that its container grants it."""
    allowed = getattr(os, "sched_getaffinity", None)
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        granted, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if granted != "max":
            cores = min(cores, max(1, int(granted) // int(period)))
    return cores

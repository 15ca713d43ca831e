"""The number of threads of torch on a CPU."""

import os
from contextlib import suppress
from pathlib import Path

import torch


def choose_threads() -> int:
    """One for each core that this process may use, or OMP_NUM_THREADS, which torchrun sets.

    The number depends on the machine and not on its load, because it changes the rounding of sums:
    two runs of one seed must be equal. Decoding processes share the cores. They mostly wait, and so
    do idle threads of torch.
    """
    return torch.get_num_threads() if "OMP_NUM_THREADS" in os.environ else usable_cores()


def usable_cores() -> int:
    """Cores that this process may use, within the limit of its container."""
    allowed = getattr(os, "sched_getaffinity", None)
    cores = len(allowed(0)) if allowed else os.cpu_count() or 1
    with suppress(OSError, ValueError):
        granted, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        if granted != "max":
            cores = min(cores, max(1, int(granted) // int(period)))
    return cores

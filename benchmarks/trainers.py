"""Processes that train when they are told to, for what a process can set but once."""

import json
import os
import resource
import subprocess
import sys
import time
from collections.abc import Mapping
from typing import NamedTuple

STEPS = 2


class Took(NamedTuple):
    """What a training step took, the mean of some."""

    seconds: float
    system: float
    """Seconds of it in the system, on all cores."""
    peak: float
    """GB that the process held at most so far."""


class Trainer:
    """A process that trains ``BACKBONE:CLIPSxFRAMESxSIDE:PRECISION``.

    Args:
        keeps: it keeps the memory that it frees, as runs do.
    """

    def __init__(self, network: str, environment: Mapping[str, str], keeps: bool = False) -> None:
        self._process = subprocess.Popen(
            [sys.executable, __file__, network, "keeps" * keeps],
            env={**os.environ, **environment},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def start(self) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()

    def took(self) -> Took:
        """Waits until it has done what it was told to start."""
        assert self._process.stdout is not None
        return Took(*json.loads(self._process.stdout.readline()))

    def close(self) -> None:
        self._process.kill()
        self._process.wait()


def train(text: str, keeps: bool) -> None:
    """Trains some steps for each line of stdin."""
    import torch
    from training_step import clips_of, network, step_of

    from cdb_video.system.memory import keep_freed_memory

    if keeps:
        keep_freed_memory(all_of_it=True)
    name, shape, precision = text.split(":")
    cpu = torch.device("cpu")
    step = step_of(network(name, precision, cpu, torch.channels_last_3d), clips_of(shape, cpu))
    for _ in sys.stdin:
        before, begin = resource.getrusage(resource.RUSAGE_SELF), time.perf_counter()
        for _ in range(STEPS):
            step()
        seconds = (time.perf_counter() - begin) / STEPS
        after = resource.getrusage(resource.RUSAGE_SELF)
        system = (after.ru_stime - before.ru_stime) / STEPS
        print(json.dumps([seconds, system, after.ru_maxrss / 1e6]), flush=True)


if __name__ == "__main__":
    train(sys.argv[1], sys.argv[2] == "keeps")

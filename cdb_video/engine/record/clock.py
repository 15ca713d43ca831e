"""What a run costs: clips a second, time that it waits for data, memory; and what it runs on."""

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from cdb_video import distributed
from cdb_video.data.batches.batch import Batch
from cdb_video.version import __version__

PARTS = ("transfer", "forward", "backward", "optimiser")
"""Of a step."""
WIDE = 135
"""Columns of a terminal from which on the progress line has the shares of ``PARTS``."""


class Clock:
    """Times an epoch of this process.

    Args:
        device: whose memory is told.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.start()

    def start(self) -> None:
        """An epoch begins."""
        self._begun, self._waited, self._clips = time.monotonic(), 0.0, 0
        self._first = 0.0
        self._parts = dict.fromkeys(PARTS, 0.0)
        self._events: list[tuple[str, Any, Any]] = []

    def waiting(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The same batches, while it is noted how long each lets wait."""
        while True:
            asked = time.monotonic()
            batch = next(batches, None)
            self._waited += time.monotonic() - asked
            self._first = self._first or self._waited
            if batch is None:
                return
            self._clips += len(batch.label)
            yield batch

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Notes how long one of ``PARTS`` takes; on a GPU by its clock, which nobody waits for."""
        if self._device.type != "cuda":
            begun = time.monotonic()
            yield
            self._parts[name] += time.monotonic() - begun
            return
        begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))  # type: ignore[no-untyped-call]
        begin.record()
        yield
        end.record()
        self._events.append((name, begin, end))

    def seconds(self) -> dict[str, float]:
        """What the epoch has taken so far: the whole, waiting for data, each of ``PARTS``, and the
        rest. On a GPU, parts that it has not finished are left out."""
        left = []
        for name, begin, end in self._events:
            if end.query():
                self._parts[name] += begin.elapsed_time(end) / 1000
            else:
                left.append((name, begin, end))
        self._events = left
        whole = max(time.monotonic() - self._begun, 1e-9)
        known = {"waiting": self._waited, **self._parts}
        return {"whole": whole, **known, "rest": max(0.0, whole - sum(known.values()))}

    def numbers(self) -> dict[str, float]:
        """Of the epoch so far: seconds, those until the first batch came, clips a second of all
        processes, shares of the time spent waiting for data and in ``PARTS``, and the most memory
        of this process so far, in MB."""
        seconds = self.seconds()
        whole = seconds["whole"]
        return {
            "seconds": round(whole, 3),
            "first_batch": round(self._first, 3),
            "clips_per_second": round(self._clips * distributed.world_size() / whole, 3),
            **{name: round(seconds[name] / whole, 4) for name in ("waiting", *PARTS)},
            "memory_mb": round(self._memory() / 1e6, 1),
        }

    def line(self, columns: int) -> str:
        """The same for the progress line, shares of ``PARTS`` only where a line has room for them.

        Args:
            columns: of the terminal.
        """
        now = self.numbers()
        shares = [f"waits {100 * now['waiting']:.0f} %"]
        if columns >= WIDE:
            shares += [f"{part} {100 * now[part]:.0f} %" for part in PARTS[1:]]
        speed, memory = now["clips_per_second"], now["memory_mb"] / 1e3
        return f"{speed:.3g} clips/s, {', '.join(shares)}, {memory:.1f} GB"

    def _memory(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated(self._device)
        try:
            import resource
        except ImportError:  # on Windows
            return 0
        unit = 1 if sys.platform == "darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


def surroundings(device: torch.device) -> dict[str, Any]:
    """What a run runs on, and by which programs."""
    is_cuda = device.type == "cuda"
    return {
        "started": time.strftime("%Y-%m-%d %H:%M:%S"),
        "device": torch.cuda.get_device_name(device) if is_cuda else "CPU",
        "processes": distributed.world_size(),
        "threads": torch.get_num_threads(),
        "cdb_video": __version__,
        "torch": str(torch.__version__),
        "python": sys.version.split()[0],
        "git": _git_revision(),
    }


def _git_revision() -> str:
    """Of the folder that one is in, with a + where files differ from it; empty without one."""
    try:
        words = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=5, cwd=Path.cwd(), check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

"""The cost of a run: clips in a second, time spent waiting, memory; and its machine."""

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
        device: its memory is measured.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self.start()

    def start(self) -> None:
        """Starts an epoch."""
        self._begun, self._waited, self._clips = time.monotonic(), 0.0, 0
        self._first = 0.0
        self._parts = dict.fromkeys(PARTS, 0.0)
        self._events: list[tuple[str, Any, Any]] = []

    def waiting(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """Yields the same batches and measures the wait for each."""
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
        """Measures one of ``PARTS``. On a GPU it uses the GPU's clock, without waiting."""
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
        """Seconds of the epoch so far: total, waiting for data, each of ``PARTS``, and the rest.
        Parts that the GPU has not finished are left out."""
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
        """The epoch so far: seconds, seconds until the first batch, clips in a second of all
        processes, shares of the time spent waiting for data and in ``PARTS``, and the peak memory
        of this process in MB."""
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
        """The same for the progress line. Shares of ``PARTS`` are shown if there is room.

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
    """The machine of a run, and the versions of its programs."""
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
    """The git commit of the current folder, with a + if files differ from it; else empty."""
    try:
        words = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
        done = subprocess.run(
            words, capture_output=True, text=True, timeout=5, cwd=Path.cwd(), check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""

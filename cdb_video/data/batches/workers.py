"""Starts and watches the processes that decode, and ends those that a clip makes hang or crash."""

import atexit
import gc
import os
import signal
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import torch
from torch.utils.data import DataLoader

from cdb_video.data.batches.clip_dataset import ClipDataset
from cdb_video.data.batches.loading import Share
from cdb_video.errors import DataError, DecodeError
from cdb_video.system.memory import keep_freed_memory

POLL_S = 2
"""Seconds from one look at the workers to the next, while nothing comes from them."""


class _ClipDied(Exception):
    """A clip killed the process that decoded it."""

    def __init__(self, record: int, reason: str) -> None:
        super().__init__(record, reason)
        self.record, self.reason = record, reason


class Workers:
    """A ``DataLoader`` over a dataset and a batch sampler. Its processes stay between epochs.

    Args:
        dataset: notes the record of each worker, and whether it tolerates errors.
        batches: the keys of each batch. The method ``batches`` sets its ``first``.
        collate: makes a batch of its samples.
        share: number of processes, and their limits.
    """

    def __init__(
        self, dataset: ClipDataset, batches: Any, collate: Callable[..., Any], share: Share
    ) -> None:
        self._dataset, self._batches, self._share = dataset, batches, share
        self._loader: DataLoader[Any] = DataLoader(
            dataset,
            batch_sampler=batches,
            num_workers=share.num_workers,
            collate_fn=collate,
            pin_memory=share.pin_memory,
            timeout=min(POLL_S, share.timeout or POLL_S) if share.num_workers else 0,
            worker_init_fn=partial(_start, memory=share.clip_memory),
            persistent_workers=share.num_workers > 0,
            # A generator of its own: otherwise every epoch would draw from that of training.
            generator=torch.Generator(),
        )
        self._finalizer: Any = None

    def results(self, first: int = 0) -> Iterator[Any]:
        """Yields the batches that the workers make, from number ``first`` on, in order.

        If a clip kills its worker and the dataset is tolerant, new workers start at the missing
        batch and skip the clip. After an error there are no workers; the next call starts new
        ones.

        Raises:
            DecodeError: a clip killed its worker; the message begins with its path.
            DataError: a worker died for another reason, or did not answer in time.
        """
        while True:
            self._batches.first = first
            try:
                for result in self._until_one_dies():
                    first += 1
                    yield result
                return
            except _ClipDied as death:
                if not self._dataset.tolerant:
                    path = self._dataset.records[death.record].path
                    raise DecodeError(f"{path}: {death.reason}") from None
                self._dataset.lethal[death.record] = death.reason

    def _until_one_dies(self) -> Iterator[Any]:
        iterator: Any = iter(self._loader)
        if self._share.num_workers and self._finalizer is None:
            # Dead workers are found here, so that no signal interrupts anything else.
            if threading.current_thread() is threading.main_thread() and hasattr(signal, "SIGCHLD"):
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            self._finalizer = weakref.finalize(self, _end, iterator, os.getpid())
            # The finalizer is too late: workers must end before multiprocessing joins them.
            atexit.register(self._finalizer)
        try:
            while (result := self._next(iterator)) is not None:
                yield result
        except (Exception, KeyboardInterrupt):
            self.end()
            raise

    def end(self) -> None:
        """Ends the processes."""
        if self._finalizer is not None:
            atexit.unregister(self._finalizer)
            self._finalizer()
            self._finalizer = self._loader._iterator = None

    def _next(self, iterator: Any) -> Any:
        """The next batch; None at the end."""
        begun = time.monotonic()
        while True:
            try:
                return next(iterator, None)
            except RuntimeError as error:
                if not self._share.num_workers:
                    raise
                self._look_for_deaths(iterator, error)
                if 0 < self._share.timeout <= time.monotonic() - begun:
                    raise self._too_slow() from None
                if not str(error).startswith("DataLoader timed out"):
                    raise

    def _too_slow(self) -> DataError:
        clips = [int(clip) for clip in self._dataset.at_work if clip >= 0]
        paths = ", ".join(self._dataset.records[clip].path for clip in clips)
        return DataError(
            f"no batch came within {self._share.timeout:g} s (DATA_LOADER.TIMEOUT); "
            f"decoding: {paths or 'nothing'}"
        )

    def _look_for_deaths(self, iterator: Any, error: RuntimeError) -> None:
        workers = enumerate(iterator._workers)
        dead = [(number, worker) for number, worker in workers if not worker.is_alive()]
        clips = [(int(self._dataset.at_work[number]), worker.exitcode) for number, worker in dead]
        if dead:
            self._dataset.at_work.fill_(-1)
        for clip, code in clips:
            if clip >= 0:
                raise _ClipDied(clip, self._cause(code))
        if dead:
            raise DataError(f"a decoding process died: {' '.join(str(error).split())}")

    def _cause(self, code: int) -> str:
        """Why a clip killed a worker, by the worker's exit code."""
        if code == -signal.SIGALRM:
            limit = self._share.clip_timeout
            return f"it was not decoded within {limit:g} s (DATA_LOADER.CLIP_TIMEOUT)"
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return f"the process that decoded it ended with {how}"


def _start(worker: int, memory: int) -> None:
    # These signals reach the whole process group. The main process decides when to stop.
    for name in ("SIGTERM", "SIGINT", "SIGHUP", "SIGUSR1"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    cv2.setNumThreads(0)
    keep_freed_memory()
    keep_apart()
    if memory:
        _limit_memory(memory)


def keep_apart() -> None:
    """Keeps the garbage collector of a forked process away from inherited objects.

    It would write into each of them, and so copy the memory pages that they lie on.
    """
    gc.freeze()


def _limit_memory(extra: int) -> None:
    """Limits this process to ``extra`` bytes more than it has now. Works on Linux only."""
    with suppress(OSError, ImportError, ValueError):
        import resource

        status = Path("/proc/self/status").read_text(encoding="ascii")
        held = next(line for line in status.splitlines() if line.startswith("VmData:"))
        limit = 1024 * int(held.split()[1]) + extra
        _, most = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (limit, most))


def _end(iterator: Any, owner: int) -> None:
    """Ends the workers of a loader's iterator, which are children of the process ``owner``.

    Otherwise they would outlive a loader that is garbage in a cycle. They ignore the signal that
    is meant to end them, so this process would wait for them at its exit.
    """
    if os.getpid() == owner:
        iterator._shutdown_workers()
        for worker in iterator._workers:
            if worker.is_alive():
                worker.kill()
                worker.join()

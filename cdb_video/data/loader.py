"""From records to batches: the order of an epoch, dealt to ranks and worker processes."""

import atexit
import os
import signal
import weakref
from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from cdb_video.data.batch import Batch, Record
from cdb_video.data.clip_dataset import ClipDataset, Key, Sample
from cdb_video.data.loading import Loading, Training, sample_batches
from cdb_video.data.samplers.base import (
    EpochOrder,
    Order,
    repeat_numbers,
)
from cdb_video.errors import CdbVideoError, DataError


class _BatchKeys:
    """Iterates over one epoch's batches of keys of one rank."""

    def __init__(self, order: EpochOrder, samples: list[Order], num_views: int) -> None:
        self._order = order
        self._samples = samples
        self._num_views = num_views
        self.epoch = 0
        self.first = 0
        """Number of the first batch."""

    def __iter__(self) -> Iterator[list[Key]]:
        order = self._order(self.epoch)
        repeats = repeat_numbers(order)
        for samples in self._samples[self.first :]:
            places = (divmod(sample, self._num_views) for sample in samples.tolist())
            yield [
                Key(self.epoch, int(order[place]), int(repeats[place]), view)
                for place, view in places
            ]


class ClipLoader:
    """The batches of one rank, epoch after epoch, from workers that live as long as this object.

    In training clips are random and come in the sampler's order. Otherwise every view of every
    record comes once over all ranks, always the same; the views of a record follow each other on
    one rank and share their ``index``.

    Args:
        records, loading, training, views: as for ``ClipDataset``.
    """

    def __init__(
        self,
        records: Sequence[Record],
        loading: Loading,
        training: Training | None = None,
        views: tuple[int, int] = (1, 1),
    ) -> None:
        dataset, share = ClipDataset(records, loading, training, views), loading.share
        self._samples = sample_batches(len(records), loading, training, views)
        every = np.arange(len(records))
        order = (lambda epoch: every) if training is None else training.sampler.indices
        self._keys = _BatchKeys(order, self._samples, dataset.num_views)
        self._loader = DataLoader(
            dataset,
            batch_sampler=self._keys,
            num_workers=share.num_workers,
            collate_fn=_collate,
            pin_memory=share.pin_memory,
            timeout=share.timeout if share.num_workers else 0,
            worker_init_fn=_start_worker,
            persistent_workers=share.num_workers > 0,
            # Its own, or every epoch would draw from the generator that training draws from.
            generator=torch.Generator(),
        )
        self._finalizer: Any = None

    def __len__(self) -> int:
        """Batches an epoch on this rank."""
        return len(self._samples)

    def batches(self, epoch: int = 0, first: int = 0) -> Iterator[Batch]:
        """As in ``BatchLoader``.

        Raises:
            DecodeError: a clip cannot be decoded; the message opens with its path.
            DataError: a clip lies outside its file, or a worker died or gave nothing in time.
        """
        self._keys.epoch, self._keys.first = epoch, first
        iterator: Any = iter(self._loader)
        if self._loader.num_workers and self._finalizer is None:
            self._finalizer = weakref.finalize(self, _end_workers, iterator, os.getpid())
            # Not left to the finalizer itself: workers must end before multiprocessing joins them.
            atexit.register(self._finalizer)
        try:
            for batch in iterator:
                if isinstance(batch, CdbVideoError):
                    raise batch
                yield batch
        except (Exception, KeyboardInterrupt) as error:
            if self._finalizer is None:
                raise
            one_died = not all(worker.is_alive() for worker in iterator._workers)
            self._finalizer()
            if one_died or str(error).startswith("DataLoader"):
                raise DataError(f"a decoding process hangs or died: {error}") from None
            raise


def _collate(samples: Sequence[Sample | CdbVideoError]) -> Batch | CdbVideoError:
    clips = []
    for sample in samples:
        if isinstance(sample, CdbVideoError):
            return sample
        clips.append(sample)
    videos, labels, indices = zip(*clips, strict=True)
    return Batch(torch.stack(videos), torch.tensor(labels), torch.tensor(indices))


def _start_worker(worker: int) -> None:
    # Both signals reach the whole process group; the main process decides when to stop.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    cv2.setNumThreads(0)


def _end_workers(iterator: Any, owner: int) -> None:
    """Ends the workers of a loader's iterator, which are children of the process ``owner``.

    Left to themselves they would outlive a loader that is garbage in a cycle, and as they ignore
    the signal that is meant to end them, this process would then wait for them at its exit.
    """
    if os.getpid() == owner:
        iterator._shutdown_workers()
        for worker in iterator._workers:
            if worker.is_alive():
                worker.kill()
                worker.join()

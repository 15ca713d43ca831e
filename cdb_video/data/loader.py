"""From records to batches: the order of an epoch, dealt to ranks and worker processes."""

import atexit
import os
import signal
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import torch
from torch.utils.data import DataLoader

from cdb_video.data.batch import Batch, Record
from cdb_video.data.clip_dataset import ClipDataset, Key, Sample
from cdb_video.data.clips import ClipSampling
from cdb_video.data.samplers.base import (
    EpochOrder,
    Order,
    Sampler,
    rank_batches,
    repeat_numbers,
)
from cdb_video.data.transforms import Augmentation
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


@dataclass(frozen=True)
class Share:
    """What part of the work this process takes, and with how many helpers."""

    rank: int = 0
    """Position of this process among all."""
    world_size: int = 1
    """Number of processes."""
    num_workers: int = 0
    """Processes that decode for this one; 0 decodes in this one."""
    pin_memory: bool = False
    """Put batches into page-locked memory, for overlapping copies to a GPU."""
    timeout: float = 0.0
    """Seconds to wait for a batch before giving up; 0 waits forever."""


ALONE = Share()


class ClipLoader:
    """The batches of one rank, epoch after epoch, from workers that live as long as this object.

    Args:
        dataset: gives the sample of a key.
        order: gives the record indices of an epoch, of all ranks together.
        order_length: length of what ``order`` gives.
        training: as in ``rank_batches``.
        batch_size: samples a batch on this rank; the last batch may be smaller.
        share: the part of this process.
    """

    def __init__(
        self,
        dataset: ClipDataset,
        order: EpochOrder,
        order_length: int,
        *,
        training: bool,
        batch_size: int,
        share: Share,
    ) -> None:
        self._samples = rank_batches(
            order_length,
            batch_size=batch_size,
            num_views=dataset.num_views,
            rank=share.rank,
            world_size=share.world_size,
            training=training,
        )
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


def train_loader(
    records: Sequence[Record],
    sampler: Sampler,
    *,
    class_names: Sequence[str],
    sampling: ClipSampling,
    augmentation: Augmentation,
    size: int,
    seed: int,
    batch_size: int,
    decoder: str = "pyav",
    share: Share = ALONE,
) -> ClipLoader:
    """Random clips in ``sampler``'s order; see ``ClipDataset`` and ``ClipLoader``."""
    dataset = ClipDataset(
        records,
        sampling=sampling,
        size=size,
        decoder=decoder,
        augmentation=augmentation,
        class_names=class_names,
        seed=seed,
    )
    return ClipLoader(
        dataset,
        sampler.indices,
        len(sampler),
        training=True,
        batch_size=batch_size,
        share=share,
    )


def eval_loader(
    records: Sequence[Record],
    *,
    sampling: ClipSampling,
    size: int,
    batch_size: int,
    temporal_views: int = 1,
    spatial_crops: int = 1,
    decoder: str = "pyav",
    share: Share = ALONE,
) -> ClipLoader:
    """Every view of every record once over all ranks, always the same.

    The views of a record follow each other on one rank and share their ``index``.
    """
    dataset = ClipDataset(
        records,
        sampling=sampling,
        size=size,
        decoder=decoder,
        temporal_views=temporal_views,
        spatial_crops=spatial_crops,
    )
    return ClipLoader(
        dataset,
        lambda epoch: np.arange(len(records)),
        len(records),
        training=False,
        batch_size=batch_size,
        share=share,
    )


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

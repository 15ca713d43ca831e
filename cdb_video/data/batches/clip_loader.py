"""Turns records into batches: deals the order of an epoch to ranks and workers."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from cdb_video.data.batches.batch import Batch
from cdb_video.data.batches.clip_dataset import ClipDataset, Key, Sample
from cdb_video.data.batches.loading import Loading, Training, sample_batches
from cdb_video.data.batches.workers import Workers
from cdb_video.data.lists.records import Record
from cdb_video.data.samplers.base import (
    EpochOrder,
    Order,
    repeat_numbers,
)
from cdb_video.errors import CdbVideoError


class _BatchKeys:
    """Iterates over one epoch's batches of keys of one rank."""

    def __init__(self, order: EpochOrder, places: list[Order]) -> None:
        self._order = order
        self._places = places
        self.epoch = 0
        self.first = 0
        """Number of the first batch."""

    def __iter__(self) -> Iterator[list[Key]]:
        order = self._order(self.epoch)
        repeats = repeat_numbers(order)
        for places in self._places[self.first :]:
            yield [Key(self.epoch, int(order[place]), int(repeats[place])) for place in places]


class ClipLoader:
    """Yields the batches of one rank. The workers live as long as this object.

    In training, clips are random and come in the sampler's order. In evaluation, every view of
    every record comes exactly once over all ranks. The views of a record follow each other on one
    rank and share their ``index``; its file is decoded once for all of them.

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
        self._dataset = ClipDataset(records, loading, training, views)
        num_views = views[0] * views[1]
        places = sample_batches(len(records), loading, training, num_views)
        self._size = loading.batch_size
        self._parts = -(-num_views // self._size)
        """Batches into which the views of a record are parted, where they are more than fit."""
        self._num_batches = self._parts * len(places)
        every = np.arange(len(records))
        order = (lambda epoch: every) if training is None else training.sampler.indices
        self._keys = _BatchKeys(order, places)
        self._workers = Workers(self._dataset, self._keys, _collate, loading.share)

    def __len__(self) -> int:
        """Number of batches in an epoch on this rank."""
        return self._num_batches

    def batches(self, epoch: int = 0, first: int = 0) -> Iterator[Batch]:
        """As in ``BatchLoader``. A worker that a clip kills is replaced.

        Raises:
            DecodeError: a clip cannot be decoded; the message begins with its path.
            DataError: a clip lies outside its file, or the workers died or did not answer in time.
        """
        if first == len(self):
            return
        self._keys.epoch = epoch
        begin, num_done = divmod(first, self._parts)
        for batch in self._workers.results(begin):
            if isinstance(batch, CdbVideoError):
                raise batch
            yield from batch.parts(self._size, self._parts)[num_done:]
            num_done = 0


def _collate(samples: Sequence[Sample | CdbVideoError]) -> Batch | CdbVideoError:
    clips, bad = [], []
    labels: list[int] = []
    indices: list[int] = []
    for sample in samples:
        if isinstance(sample, CdbVideoError):
            return sample
        if sample.bad is not None:
            bad.append(sample.bad)
        if sample.clips is not None:
            clips.append(sample.clips)
            labels += sample.labels
            indices += [sample.index] * len(sample.clips)
    videos = torch.cat(clips) if clips else torch.empty(0, 3, 1, 1, 1, dtype=torch.uint8)
    return Batch(videos, torch.tensor(labels).long(), torch.tensor(indices).long(), tuple(bad))

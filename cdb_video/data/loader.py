"""From records to batches: the order of an epoch, dealt to ranks and worker processes."""

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from cdb_video.data.batch import Batch, Record
from cdb_video.data.clip_dataset import ClipDataset, Key, Sample
from cdb_video.data.loading import Loading, Training, sample_batches
from cdb_video.data.samplers.base import (
    EpochOrder,
    Order,
    repeat_numbers,
)
from cdb_video.data.workers import Workers
from cdb_video.errors import CdbVideoError


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
        self._dataset = ClipDataset(records, loading, training, views)
        self._samples = sample_batches(len(records), loading, training, views)
        every = np.arange(len(records))
        order = (lambda epoch: every) if training is None else training.sampler.indices
        self._keys = _BatchKeys(order, self._samples, self._dataset.num_views)
        self._workers = Workers(self._dataset, self._keys, _collate, loading.share)

    def __len__(self) -> int:
        """Batches an epoch on this rank."""
        return len(self._samples)

    def batches(self, epoch: int = 0, first: int = 0) -> Iterator[Batch]:
        """As in ``BatchLoader``. Workers that a clip ends are replaced.

        Raises:
            DecodeError: a clip cannot be decoded; the message opens with its path.
            DataError: a clip lies outside its file, or the workers died or gave nothing in time.
        """
        if first == len(self):
            return
        self._keys.epoch = epoch
        for batch in self._workers.results(first):
            if isinstance(batch, CdbVideoError):
                raise batch
            yield batch


def _collate(samples: Sequence[Sample | CdbVideoError]) -> Batch | CdbVideoError:
    whole, bad = [], []
    for sample in samples:
        if isinstance(sample, CdbVideoError):
            return sample
        if sample.bad is not None:
            bad.append(sample.bad)
        if sample.clip is not None:
            whole.append(sample)
    labels = torch.tensor([sample.label for sample in whole], dtype=torch.int64)
    indices = torch.tensor([sample.index for sample in whole], dtype=torch.int64)
    clips = [sample.clip for sample in whole if sample.clip is not None]
    videos = torch.stack(clips) if clips else torch.empty(0, 3, 1, 1, 1, dtype=torch.uint8)
    return Batch(videos, labels, indices, tuple(bad))

"""One sample: opens the file of a record, chooses frames and crops, returns uint8 clips."""

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch.utils.data import Dataset, get_worker_info

from cdb_video.data.batches.batch import BadClip
from cdb_video.data.batches.loading import Loading, Training
from cdb_video.data.decode import VideoReader
from cdb_video.data.frames.augmentation import Augmentation
from cdb_video.data.frames.colour import random_colours, with_colours
from cdb_video.data.frames.crops import flipped_classes, random_crop
from cdb_video.data.frames.cutting import cut_each, cut_views
from cdb_video.data.frames.rand_augment import erased, parse_policy, rand_augmented
from cdb_video.data.frames.sampling import frame_range, without_some
from cdb_video.data.lists.records import Record, RecordTable
from cdb_video.errors import CdbVideoError, DataError, DecodeError
from cdb_video.system.memory import return_freed_memory

T = TypeVar("T")
Clips = npt.NDArray[np.uint8]
STAND_IN = 1
"""Fifth number of the seed of what replaces a clip: four are those of the clip itself."""
TRIM_EVERY = 256
"""Clips of a process from one return of freed memory to the next."""
MAX_TRIES = 8
"""Clips of the same class that are tried in the place of a bad one, and then of any class."""


class Sample(NamedTuple):
    """A clip, or the error instead of one."""

    clips: torch.Tensor | None
    """(V, 3, T, S, S) uint8 RGB: every view of the record; in training AUG.NUM_SAMPLE clips."""
    labels: list[int]
    """Of each clip."""
    index: int  # type: ignore[assignment]  # the field hides tuple.index on purpose
    """Of the record."""
    bad: BadClip | None = None
    """The record that was asked for, where it cannot be decoded."""


class Key(NamedTuple):
    """Everything besides the seed that a sample depends on."""

    epoch: int
    record: int
    """Its index."""
    repeat: int
    """How many times the record has come before in this epoch, over all processes."""


class ClipDataset(Dataset[Sample | CdbVideoError]):
    """Decodes the clips of a ``Key``.

    In training this is one random clip, drawn from (seed, epoch, record, repeat). In evaluation
    these are the fixed temporal and spatial views; the file is decoded once.

    Args:
        records: of one split.
        loading: frames, size and decoder.
        training: the random choices; None for evaluation.
        views: clips along time of each record, and crops (1 or 3) of each; (1, 1) in training.
    """

    def __init__(
        self,
        records: Sequence[Record],
        loading: Loading,
        training: Training | None = None,
        views: tuple[int, int] = (1, 1),
    ) -> None:
        self.records = RecordTable.of(records)
        self.sampling, self.size, self.decoding = loading.sampling, loading.size, loading.decoding
        self.views = views
        self.tolerant, self.timeout = loading.tolerant, loading.share.clip_timeout
        self.at_work = torch.full((max(1, loading.share.num_workers),), -1).share_memory_()  # type: ignore[no-untyped-call]
        """The record that each worker decodes now; -1 for none."""
        self.lethal: dict[int, str] = {}
        """Records that a worker did not survive -> why; they are not tried again."""
        self._num_done = 0
        self.augmentation: Augmentation | None = None
        if training is not None:
            self.augmentation, self.seed = training.augmentation, training.seed
            pairs = training.augmentation.flip_labels
            self.mirrored = flipped_classes(training.class_names, pairs)

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, key: Key) -> Sample | CdbVideoError:
        """The clips of ``key``, or the error that prevents it.

        The error is returned: one that a worker raises reaches the user as a traceback.
        """
        self._num_done += 1
        if self._num_done % TRIM_EVERY == 0:
            return_freed_memory()
        found = self._try(key.record, partial(self._sample, key=key))
        if isinstance(found, Sample) or not self.tolerant:
            return found
        bad = BadClip(key.record, str(found))
        if self.augmentation is None:
            return Sample(None, [], key.record, bad)
        for index in self._stand_ins(key):
            sample = partial(self._sample, key=key._replace(record=index), instead_of=key.record)
            other = self._try(index, sample)
            if isinstance(other, Sample):
                return other._replace(bad=bad)
        return found

    def _stand_ins(self, key: Key) -> Iterator[int]:
        """Records that replace the one of ``key``, the same on every rank and after a resume."""
        rng = np.random.default_rng([self.seed, key.epoch, key.record, key.repeat, STAND_IN])
        same = np.flatnonzero(self.records.labels == self.records.labels[key.record])
        for candidates in (same, np.arange(len(self.records))):
            others = candidates[candidates != key.record]
            yield from rng.permutation(others)[:MAX_TRIES].tolist()

    def _try(self, index: int, work: Callable[[Record], T]) -> T | CdbVideoError:
        """The result of ``work`` on a record, or its error, which begins with the path."""
        record = self.records[index]
        if index in self.lethal:
            return DecodeError(f"{record.path}: {self.lethal[index]}")
        try:
            with self._watched(index):
                return work(record)
        except DataError as error:
            return DataError(f"{record.path}: {error}")
        except CdbVideoError as error:
            return error

    @contextmanager
    def _watched(self, record: int) -> Iterator[None]:
        """Notes the record in work. An alarm kills a worker that hangs."""
        worker = get_worker_info()
        if worker is None:
            yield
            return
        self.at_work[worker.id] = record
        if self.timeout and hasattr(signal, "setitimer"):
            signal.setitimer(signal.ITIMER_REAL, self.timeout)
        try:
            yield
        finally:
            if self.timeout and hasattr(signal, "setitimer"):
                signal.setitimer(signal.ITIMER_REAL, 0)
            self.at_work[worker.id] = -1

    def _sample(self, record: Record, key: Key, instead_of: int | None = None) -> Sample:
        rng = None
        if self.augmentation is not None:
            whose = [key.record] if instead_of is None else [instead_of, STAND_IN, key.record]
            rng = np.random.default_rng([self.seed, key.epoch, *whose, key.repeat])
        span = (record.start, record.end)
        with VideoReader(record.path, self.decoding, span) as video:
            first, last = frame_range(video.times, video.end_s, *span)
            if self.augmentation is None or rng is None:
                clips = cut_views(video, first, last, self.sampling, self.views, self.size)
                return Sample(torch.from_numpy(clips), [record.label] * len(clips), key.record)
            options = self.augmentation
            wanted, crops = [], []
            for _ in range(options.num_sample):
                indices = self.sampling.indices(first, last, rng=rng, times=video.times)
                wanted.append(without_some(indices, options.drop_frames, rng))
                crops.append(random_crop(*video.size, self.size, options, rng))
            clips = cut_each(video, wanted, crops, self.size, black=options.pad > 0)
        clips = changed(clips, options, rng)
        mirrored = int(self.mirrored[record.label])
        labels = [mirrored if crop.flipped else record.label for crop in crops]
        return Sample(torch.from_numpy(clips), labels, key.record)


def changed(clips: Clips, options: Augmentation, rng: np.random.Generator) -> Clips:
    """Clips (V, 3, T, S, S) uint8 after colour changes, RandAugment and random erasing."""
    if options.color_jitter:
        colours = random_colours(options.color_jitter, rng, len(clips))
        clips = with_colours(torch.from_numpy(clips), colours).numpy()
    if not options.aa_type and not options.re_prob:
        return clips
    found = []
    for frames in clips.transpose(0, 2, 3, 4, 1):
        if options.aa_type:
            frames = rand_augmented(frames, parse_policy(options.aa_type), rng)
        if rng.random() < options.re_prob:
            frames = erased(frames, options.re_count, rng)
        found.append(frames.transpose(3, 0, 1, 2))
    return np.ascontiguousarray(np.stack(found))

"""Batches of clips from videos that are already open."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch

from cdb_video.data.batches.batch import Batch
from cdb_video.data.frames.cutting import Clip
from cdb_video.data.lists.records import NO_LABEL
from cdb_video.errors import CdbVideoError


class StreamedClips:
    """A ``BatchLoader`` of one pass over ``clips``, in their order.

    A thread prepares the next batch while one is in use: decoding and resizing release Python's
    lock.

    Args:
        clips: (index of the record, clip) pairs.
        num_clips: number of clips.
        batch_size: clips in a batch.
    """

    def __init__(self, clips: Iterator[tuple[int, Clip]], num_clips: int, batch_size: int) -> None:
        self._clips, self._num_clips, self._size = clips, num_clips, batch_size
        self._error: CdbVideoError | None = None

    def __len__(self) -> int:
        return -(-self._num_clips // self._size)

    def batches(self, epoch: int = 0, first: int = 0) -> Iterator[Batch]:
        """Yields the rest of ``clips``; raises what they raise."""
        with ThreadPoolExecutor(1) as thread:
            coming = thread.submit(self._next)
            while len((batch := coming.result()).index):
                coming = thread.submit(self._next)
                yield batch

    def _next(self) -> Batch:
        some: list[tuple[int, Clip]] = []
        if self._error:
            raise self._error
        try:
            for clip in islice(self._clips, self._size):
                some.append(clip)
        except CdbVideoError as error:
            if not some:
                raise
            self._error = error  # once what came before it has been handed over
        if not some:
            return Batch(torch.empty(0), torch.empty(0).long(), torch.empty(0).long())
        video = torch.from_numpy(np.stack([clip for _, clip in some]))
        index = torch.tensor([number for number, _ in some])
        return Batch(video, torch.full_like(index, NO_LABEL), index)

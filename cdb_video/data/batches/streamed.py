"""Batches of clips from videos that are already open."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

import numpy as np
import torch

from cdb_video.data.batches.batch import Batch
from cdb_video.data.frames.cutting import Clip
from cdb_video.data.lists.records import NO_LABEL


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
        some = list(islice(self._clips, self._size))
        if not some:
            return Batch(torch.empty(0), torch.empty(0).long(), torch.empty(0).long())
        video = torch.from_numpy(np.stack([clip for _, clip in some]))
        index = torch.tensor([number for number, _ in some])
        return Batch(video, torch.full_like(index, NO_LABEL), index)

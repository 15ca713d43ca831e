"""Batches of decoded clips, with the clips that could not be decoded."""

from collections.abc import Iterator
from typing import NamedTuple, Protocol

import torch


class BadClip(NamedTuple):
    """A record that cannot be decoded."""

    record: int
    """Its position in the record list of its split."""
    reason: str
    """In one line."""


class Batch(NamedTuple):
    """Decoded clips. ``index`` is each clip's position in the record list of its split."""

    video: torch.Tensor
    """(B, 3, T, H, W) uint8, RGB."""
    label: torch.Tensor
    """(B,) int64."""
    index: torch.Tensor  # type: ignore[assignment]  # the field hides tuple.index on purpose
    """(B,) int64."""
    bad: tuple[BadClip, ...] = ()
    """Clips that should have been here: others of their class are in training, none in evaluation,
    where B can then be 0."""

    def to(self, device: torch.device) -> "Batch":
        """The same batch on ``device``. From pinned memory, the copy overlaps with computation."""
        video, label, index = (
            tensor.to(device, non_blocking=True) for tensor in (self.video, self.label, self.index)
        )
        return Batch(video, label, index, self.bad)

    def parts(self, size: int, count: int) -> list["Batch"]:
        """The same clips in ``count`` batches of up to ``size``; the first has the bad clips."""
        if count == 1:
            return [self]
        places = [slice(number * size, (number + 1) * size) for number in range(count)]
        parts = [Batch(self.video[p], self.label[p], self.index[p]) for p in places]
        return [parts[0]._replace(bad=self.bad), *parts[1:]]


class BatchLoader(Protocol):
    """Yields the batches of one rank, epoch after epoch."""

    def __len__(self) -> int:
        """Number of batches in an epoch on this rank."""

    def batches(self, epoch: int = 0, first: int = 0) -> Iterator[Batch]:
        """The batches of ``epoch`` from number ``first`` on; one epoch at a time.

        Earlier batches are not decoded. The later ones are the same as after the earlier ones.
        """

"""Losses and recall of the current epoch, on the device."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import torch

from cdb_video import distributed
from cdb_video.data.batches.batch import Batch
from cdb_video.difficulty import ClassRecall, Recalls
from cdb_video.outputs import Outputs


class Look(NamedTuple):
    """The values of one read from the device."""

    mean_loss: float
    """Over this process's clips of the epoch so far."""
    broken: bool
    """Whether a loss is not finite, here or in another process."""
    save: bool
    """Whether the main process asks for a checkpoint."""
    stop: bool
    """Whether any process was asked to stop."""
    losses: list[tuple[int, torch.Tensor, float]]
    """What has come since the last look: steps before it in the run, indices of clips, loss."""


class Seen:
    """Sums over the clips of an epoch that this process has trained on.

    The device is read only on request, because a read waits for all its pending work.

    Args:
        outputs: of the network. Recognised clips are counted by class and, with several outputs,
            also by the classes of each output.
        device: of the logits.
    """

    def __init__(self, outputs: Outputs, device: torch.device) -> None:
        self._num_classes, self._several = len(outputs.class_names), bool(outputs.several)
        self._sizes = outputs.sizes
        self._of_class = [torch.tensor(output.of_class, device=device) for output in outputs]
        self._loss = torch.zeros((), dtype=torch.float64, device=device)
        self._step_loss = torch.zeros_like(self._loss)
        self._num_clips, self._step_clips = 0, 0
        slots = self._num_classes + (sum(self._sizes) if self._several else 0)
        self._counts = torch.zeros(2, slots, dtype=torch.int64, device=device)
        self._step_counts = torch.zeros_like(self._counts)
        self.num_skipped = 0
        """Steps of the epoch that were left out."""
        self._unread: list[tuple[int, torch.Tensor, torch.Tensor]] = []

    def add(
        self,
        step: int,
        batch: Batch,
        logits: torch.Tensor,
        loss: torch.Tensor,
        counting: torch.Tensor,
    ) -> None:
        """Adds a part of the optimiser step that follows ``step`` others.

        Args:
            batch: on the device.
            logits: (B, P1 + P2 + ...), and ``loss`` (), their mean loss.
            counting: (B,) bool: clips that count for the recall of their class.
        """
        recognised, total = self._step_counts
        for slots, hits in self._hits(logits.detach(), batch.label):
            recognised.index_add_(0, slots, (hits & counting).long())
            total.index_add_(0, slots, counting.long())
        self._step_loss += loss.detach() * len(batch.label)
        self._step_clips += len(batch.label)
        self._unread.append((step, loss.detach(), batch.index))

    def _hits(
        self, logits: torch.Tensor, label: torch.Tensor
    ) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(B,) where clips are counted, and whether they were recognised. A class is recognised if
        all of its outputs are."""
        begin, all_right = self._num_classes, torch.ones_like(label, dtype=torch.bool)
        split = torch.split(logits, self._sizes, dim=1)
        for size, of_class, own in zip(self._sizes, self._of_class, split, strict=True):
            right = own.argmax(dim=1) == of_class[label]
            if self._several:
                yield begin + of_class[label], right
            begin, all_right = begin + size, all_right & right
        yield label, all_right

    def end_step(self) -> None:
        """Ends a step: its parts are added to the epoch."""
        self._loss += self._step_loss
        self._counts += self._step_counts
        self._num_clips += self._step_clips
        self._clear_step()

    def drop_step(self) -> None:
        """Forgets the parts of the current step, which is skipped."""
        self.num_skipped += 1
        first = self._unread[-1][0] if self._unread else 0
        self._unread = [part for part in self._unread if part[0] != first]
        self._clear_step()

    def _clear_step(self) -> None:
        self._step_loss.zero_()
        self._step_counts.zero_()
        self._step_clips = 0

    def look(self, save: bool = False, stop: bool = False) -> Look:
        """Reads the device once: everything since the last read. Every process must call it.

        Args:
            save: whether this process asks for a checkpoint; the main process's word counts.
            stop: whether this process was asked to stop.
        """
        # The first entry belongs to no step, because all steps may have been skipped.
        parts = [torch.zeros_like(self._loss), *(loss for _, loss, _ in self._unread)]
        losses = torch.stack([part.double() for part in parts])[1:]
        flags = torch.stack(
            [
                (~losses.isfinite()).any().double(),
                losses.new_tensor(float(save and distributed.is_main())),
                losses.new_tensor(float(stop)),
            ]
        )
        read = torch.cat([distributed.sum_(flags), self._loss[None], losses]).tolist()
        broken, save_asked, stop_asked, total, *values = read
        unread, self._unread = self._unread, []
        found = [(step, index, v) for (step, _, index), v in zip(unread, values, strict=True)]
        mean = total / max(1, self._num_clips)
        return Look(mean, bool(broken), bool(save_asked), bool(stop_asked), found)

    def take(self) -> tuple[float, Recalls]:
        """The mean loss and the recall over all processes. Then all sums start again."""
        sums = torch.stack([self._loss, self._loss.new_tensor(self._num_clips)])
        loss, num_clips = distributed.sum_(sums).tolist()
        recognised, total = distributed.sum_(self._counts.clone())
        self._loss.zero_()
        self._counts.zero_()
        self._num_clips = self.num_skipped = 0
        recall = recognised.double() / total.clamp(min=1)
        sizes = [self._num_classes, *(self._sizes if self._several else ())]
        columns = zip(torch.split(recall, sizes), torch.split(total, sizes), strict=True)
        classes, *outputs = [ClassRecall(*column) for column in columns]
        return loss / max(1, num_clips), Recalls(classes, outputs or [classes])

    def state_dict(self) -> dict[str, Any]:
        """The sums so far, on the CPU."""
        return {
            "loss": self._loss.cpu(),
            "num_clips": self._num_clips,
            "counts": self._counts.cpu(),
            "num_skipped": self.num_skipped,
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state of ``state_dict``."""
        self._loss.copy_(state["loss"])
        self._num_clips = state["num_clips"]
        self._counts.copy_(state["counts"])
        self.num_skipped = state.get("num_skipped", 0)

    def load_sum(self, states: Sequence[dict[str, Any]]) -> None:
        """Takes over the sums of a run with any number of processes."""
        for state in states:
            self._loss += state["loss"].to(self._loss.device)
            self._num_clips += state["num_clips"]
            self._counts += state["counts"].to(self._counts.device)
            self.num_skipped = max(self.num_skipped, state.get("num_skipped", 0))

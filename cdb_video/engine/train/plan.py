"""The plan of a run: clips, epochs, periods."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

import torch

from cdb_video.data.batches.batch import Batch, BatchLoader
from cdb_video.engine.prepare.task import Task
from cdb_video.system.stopping import StopRequest


class Progress(NamedTuple):
    """The progress of a run."""

    epoch: int = 0
    """Epochs finished."""
    step: int = 0
    """Optimiser steps of the epoch after those."""
    best: float | None = None
    """Highest TRAIN.BEST_METRIC so far."""


class Step(NamedTuple):
    """An optimiser step."""

    epoch: int
    """From 1."""
    number: int
    """In its epoch, from 0."""
    total: int
    """Steps since the run began, without this one."""
    is_last: bool
    """Of its epoch."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The part of a run that does not change."""

    task: Task
    train_loader: BatchLoader
    val_loader: BatchLoader | None
    """None without validation."""
    max_epoch: int
    steps_per_epoch: int
    accumulation_steps: int
    """Batches of a step."""
    eval_period: int
    """Epochs between validations, >= 1."""
    checkpoint_period: int
    """Epochs between checkpoints."""
    log_period: int
    """Steps between lines of the log."""
    look_period: int
    """Steps from one read of the device to the next."""
    best_metric: str
    precise_batches: int
    """Training batches that batch-norm statistics are computed from before validation; 0 is off."""
    leave_out: bool
    """Whether bad clips of validation do not count."""
    seed: int
    device: torch.device
    stop: StopRequest

    def validates(self, epoch: int) -> bool:
        """Whether ``epoch`` ends with a validation."""
        return epoch == self.max_epoch or epoch % self.eval_period == 0

    def keeps(self, epoch: int) -> bool:
        """Whether ``epoch`` always leaves a checkpoint."""
        return epoch == self.max_epoch or epoch % self.checkpoint_period == 0

    def looks_after(self, step: Step) -> bool:
        """Whether the device is read after a step."""
        return (step.total + 1) % self.look_period == 0 or step.is_last

    def steps(
        self, progress: Progress, batches: Iterator[Batch]
    ) -> Iterator[tuple[Step, list[Batch]]]:
        """Yields the steps of the epoch after ``progress``, each with its batches.

        Args:
            batches: of these steps.
        """
        window: list[Batch] = []
        number = progress.step
        for batch in batches:
            window.append(batch)
            if len(window) == self.accumulation_steps:
                yield self._step(progress.epoch, number), window
                window, number = [], number + 1
        if window:
            yield self._step(progress.epoch, number), window

    def _step(self, finished: int, number: int) -> Step:
        total = finished * self.steps_per_epoch + number
        return Step(finished + 1, number, total, number + 1 == self.steps_per_epoch)

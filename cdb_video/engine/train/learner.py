"""The learner: the network, and everything that a training step changes."""

from contextlib import nullcontext
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from cdb_video import distributed
from cdb_video.data.batches.batch import Batch
from cdb_video.data.samplers.base import Sampler
from cdb_video.difficulty import Recalls
from cdb_video.engine.prepare.optim import LearningRate
from cdb_video.engine.record.clock import Clock
from cdb_video.engine.train.average import WeightAverage
from cdb_video.engine.train.forward import forward, mostly_own
from cdb_video.engine.train.plan import Step
from cdb_video.engine.train.seen import Seen
from cdb_video.errors import ConfigError
from cdb_video.losses.by_output import OutputLosses
from cdb_video.mixing.base import Mixer
from cdb_video.models import Classifier


@dataclass(frozen=True, kw_only=True)
class Learner:
    """The parts of a run that training changes. All but ``network`` are saved in checkpoints."""

    model: Classifier
    network: nn.Module
    """``model`` as it trains: in the wrapper for several processes."""
    losses: OutputLosses
    sampler: Sampler
    mixer: Mixer
    optimizer: Optimizer
    scaler: torch.amp.GradScaler
    """Of the loss for fp16; it does nothing in another precision."""
    average: WeightAverage
    seen: Seen
    learning_rate: LearningRate
    clip_norm: float
    """Longest gradient; 0 does not clip."""
    seed: int
    device: torch.device
    clock: Clock

    def start_epoch(self, epoch: int) -> None:
        """Starts the training epoch ``epoch``, from 1."""
        self.losses.start_epoch(epoch)
        self.network.train()

    def gradient(self, window: list[Batch], step: Step) -> None:
        """Computes the gradient of the mean loss over the clips in ``window``."""
        seed_step(self.seed, step.epoch, step.number)
        rate = self.learning_rate(step.total)
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group["lr_scale"]
        num_clips = sum(len(batch.label) for batch in window)
        for batch in window:
            is_last = batch is window[-1]
            with nullcontext() if is_last else distributed.no_sync(self.network):
                self._add_gradient(batch, step.total, num_clips)

    def _add_gradient(self, batch: Batch, step: int, num_clips: int) -> None:
        with self.clock.part("transfer"):
            here = batch.to(self.device)
        try:
            with self.clock.part("forward"):
                logits, target = forward(self.network, self.model, self.mixer, here)
                loss = self.losses(logits, target)
        except ValueError as error:
            raise _too_small(here, error) from None
        with self.clock.part("backward"):
            scaled = self.scaler.scale(loss * (len(here.label) / num_clips))
            scaled.backward()  # type: ignore[no-untyped-call]
        self.seen.add(step, here, logits, loss, mostly_own(target, here.label))

    def update(self) -> None:
        """Takes a step of the optimiser and of the average, with the current gradient."""
        with self.clock.part("optimiser"):
            if self.clip_norm:
                self.scaler.unscale_(self.optimizer)
                nn.utils.clip_grad_norm_(self.network.parameters(), self.clip_norm)
            self.scaler.step(self.optimizer)
            self.scaler.update()
            self.average.update()

    def observe(self, split: str, recalls: Recalls) -> None:
        """Passes the recall on ``split`` to each part that learns from that split."""
        if self.losses.source == split:
            self.losses.observe(recalls.outputs)
        for one in (self.sampler, self.mixer):
            if one.source == split:
                one.observe(*recalls.classes)


def seed_step(seed: int, epoch: int, step: int) -> None:
    """Seeds the network's random draws from the step's number, so a resumed run draws the same."""
    sequence = np.random.SeedSequence([seed, epoch, step, distributed.rank()])
    torch.manual_seed(int(sequence.generate_state(1)[0]))


def _too_small(batch: Batch, error: ValueError) -> Exception:
    """An error that explains a batch norm with a single value, else ``error``."""
    if not str(error).startswith("Expected more than 1 value per channel"):
        return error
    return ConfigError(
        f"TRAIN.BATCH_SIZE must give batch norm more than one value to average over, got "
        f"{len(batch.label)} clip for a process; MODEL.FROZEN_BN true needs no average"
    )

"""Builds the losses, the sampler and the mixing of a run."""

from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch

from cdb_video.data.lists.splits import Splits
from cdb_video.data.samplers.base import Sampler
from cdb_video.engine.prepare.task import Task
from cdb_video.errors import ConfigError
from cdb_video.losses.base import Loss
from cdb_video.losses.by_output import OutputLosses
from cdb_video.mixing.base import Mixer
from cdb_video.options import Config
from cdb_video.outputs import Outputs
from cdb_video.registry import LOSSES, MIXERS, SAMPLERS


class Objective(NamedTuple):
    """The losses, the sampler and the mixing of a run. Each may learn from recall."""

    losses: OutputLosses
    sampler: Sampler
    mixer: Mixer


def make_objective(config: Config, task: Task, device: torch.device) -> Objective:
    """Losses, sampler and mixer, checked to fit together.

    Raises:
        ConfigError: they do not fit together.
    """
    losses = make_losses(config, task.splits, task.outputs).to(device)
    sampler = make_sampler(config, task.splits)
    _check_validation(config, losses, sampler)
    mixer = make_mixer(config, task.splits, losses.accepts_soft_targets)
    return Objective(losses, sampler, mixer.to(device))


def make_sampler(config: Config, splits: Splits) -> Sampler:
    """The order of training clips."""
    sampler: Sampler = SAMPLERS.get(config.sampler.name)(
        config.sampler.options,
        labels=splits.labels("train"),
        num_classes=len(splits.class_names),
        seed=config.rng_seed,
        num_epochs=config.solver.max_epoch,
    )
    return sampler


def make_losses(config: Config, splits: Splits, outputs: Outputs) -> OutputLosses:
    """A loss for each output, built with the number of training clips of its classes.

    Raises:
        ConfigError: LOSS.HEAD_SHARES does not have one entry for each output.
    """
    shares = config.loss.head_shares if outputs.several else ()
    shares = shares or (1 / len(outputs),) * len(outputs)
    if len(shares) != len(outputs):
        raise ConfigError(
            f"LOSS.HEAD_SHARES must be {len(outputs)} numbers, for "
            f"{', '.join(output.name for output in outputs)}, got {len(shares)}"
        )
    counts = splits.output_counts("train", outputs)
    return OutputLosses([_one_loss(config, count) for count in counts], outputs, shares)


def _one_loss(config: Config, counts: npt.NDArray[Any]) -> Loss:
    loss: Loss = LOSSES.get(config.loss.name)(
        config.loss.options,
        num_classes=len(counts),
        class_counts=torch.from_numpy(counts.astype(np.int64)),
        defer_epochs=config.loss.defer_epochs,
    )
    return loss


def make_mixer(config: Config, splits: Splits, accepts_shares: bool) -> Mixer:
    """The mixing that MIX asks for.

    Args:
        accepts_shares: whether the loss accepts class probabilities as the target of a clip.

    Raises:
        ConfigError: it cannot mix at MIX.LEVEL, or the loss needs one true class for each clip.
    """
    name, kind = config.mix.name, MIXERS.get(config.mix.name)
    if config.mix.level not in ("auto", *kind.levels):
        raise ConfigError(
            f"MIX.LEVEL must be {' or '.join(kind.levels)} for MIX.NAME {name}, got "
            f"{config.mix.level}"
        )
    if kind.gives_shares and not accepts_shares:
        raise ConfigError(
            f"LOSS.NAME {config.loss.name} needs one true class a clip, and MIX.NAME {name} gives "
            "shares of several: choose another loss, or MIX.NAME none"
        )
    counts = torch.from_numpy(splits.counts("train"))
    mixer: Mixer = kind(config.mix.options, num_classes=len(counts), class_counts=counts)
    mixer.level = kind.levels[0] if config.mix.level == "auto" else config.mix.level
    return mixer


def _check_validation(config: Config, losses: OutputLosses, sampler: Sampler) -> None:
    """Raises ``ConfigError`` if a part of a run without validation needs validation."""
    chosen = ((config.loss.name, losses), (config.sampler.name, sampler))
    needing = [name for name, part in chosen if part.needs_validation]
    if needing and not config.train.eval_period:
        raise ConfigError(
            f"TRAIN.EVAL_PERIOD must be >= 1 because {needing[0]} uses validation recall, got 0"
        )

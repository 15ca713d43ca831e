"""Builds what a run learns by: the loss, the order of clips, and how they are mixed."""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch

from cdb_video.data.lists.splits import Splits
from cdb_video.data.samplers.base import Sampler
from cdb_video.errors import ConfigError
from cdb_video.losses.base import Loss
from cdb_video.losses.by_part import PartLosses
from cdb_video.mixing.base import Mixer
from cdb_video.options import Config
from cdb_video.parts import Parts
from cdb_video.registry import LOSSES, MIXERS, SAMPLERS


def make_objective(
    config: Config, splits: Splits, device: torch.device
) -> tuple[Loss | PartLosses, Sampler, Mixer]:
    """Loss, sampler and mixer, which go with each other.

    Raises:
        ConfigError: they do not.
    """
    loss, sampler = make_loss(config, splits, device), make_sampler(config, splits)
    check_validation(config, loss, sampler)
    return loss, sampler, make_mixer(config, splits, loss, device)


def parts_of(config: Config, splits: Splits) -> Parts:
    """The parts of the classes that have a head each; none without MODEL.HEADS parts.

    Raises:
        ConfigError: the classes have no parts.
    """
    if config.model.heads != "parts":
        return ()
    if not splits.parts:
        raise ConfigError(
            "MODEL.HEADS parts needs a data set whose classes have parts, such as "
            f"epic_kitchens or egtea with LABEL action, got {config.data.name}"
        )
    if config.test.top_k:
        raise ConfigError(f"TEST.TOP_K must be 0 for MODEL.HEADS parts, got {config.test.top_k}")
    return splits.parts


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


def make_loss(config: Config, splits: Splits, device: torch.device) -> Loss | PartLosses:
    """The loss, which knows how many training clips each class has; with MODEL.HEADS parts one
    for each part."""
    parts, counts = parts_of(config, splits), splits.counts("train")
    if not parts:
        return _one_loss(config, counts).to(device)
    shares = config.loss.head_shares or (1 / len(parts),) * len(parts)
    if len(shares) != len(parts):
        raise ConfigError(
            f"LOSS.HEAD_SHARES must be {len(parts)} numbers, for "
            f"{', '.join(part.name for part in parts)}, got {len(shares)}"
        )
    losses = [_one_loss(config, count) for count in splits.part_counts("train")]
    return PartLosses(losses, parts, shares).to(device)


def _one_loss(config: Config, counts: npt.NDArray[Any]) -> Loss:
    loss: Loss = LOSSES.get(config.loss.name)(
        config.loss.options,
        num_classes=len(counts),
        class_counts=torch.from_numpy(counts.astype(np.int64)),
        defer_epochs=config.loss.defer_epochs,
    )
    return loss


def make_mixer(
    config: Config, splits: Splits, loss: Loss | PartLosses, device: torch.device
) -> Mixer:
    """What MIX says.

    Raises:
        ConfigError: it cannot mix at MIX.LEVEL, or the loss needs one true class a clip.
    """
    name, kind = config.mix.name, MIXERS.get(config.mix.name)
    if config.mix.level not in ("auto", *kind.levels):
        raise ConfigError(
            f"MIX.LEVEL must be {' or '.join(kind.levels)} for MIX.NAME {name}, got "
            f"{config.mix.level}"
        )
    if kind.gives_shares and not loss.accepts_soft_targets:
        raise ConfigError(
            f"LOSS.NAME {config.loss.name} needs one true class a clip, and MIX.NAME {name} gives "
            "shares of several: choose another loss, or MIX.NAME none"
        )
    counts = torch.from_numpy(splits.counts("train"))
    mixer: Mixer = kind(config.mix.options, num_classes=len(counts), class_counts=counts)
    mixer.level = kind.levels[0] if config.mix.level == "auto" else config.mix.level
    return mixer.to(device)


def check_validation(config: Config, loss: Loss | PartLosses, sampler: Sampler) -> None:
    """Raises ``ConfigError`` where a run without validation has a part that goes by it."""
    chosen = ((config.loss.name, loss), (config.sampler.name, sampler))
    needing = [name for name, part in chosen if part.needs_validation]
    if needing and not config.train.eval_period:
        raise ConfigError(
            f"TRAIN.EVAL_PERIOD must be >= 1, as {needing[0]} goes by validation recall, got 0"
        )

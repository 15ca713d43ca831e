"""The way of a training batch through the network, with its clips mixed on it."""

import torch
from torch import Tensor, nn

from cdb_video.data.batch import Batch
from cdb_video.data.splits import Splits
from cdb_video.errors import ConfigError
from cdb_video.losses.base import Loss
from cdb_video.losses.by_part import PartLosses
from cdb_video.mixing.base import Mixer
from cdb_video.models import Classifier
from cdb_video.options import Config
from cdb_video.registry import MIXERS


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


def forward(
    network: nn.Module, model: Classifier, mixer: Mixer, batch: Batch
) -> tuple[Tensor, Tensor]:
    """Logits (B, K) of a batch on the device, and their target: (B,) classes, or (B, K) shares.

    Args:
        network: ``model`` in the wrapper for several processes.
    """
    if mixer.level == "input":
        video, target = mixer(model.normalise(batch.video), batch.label)
        return network(video), target
    targets: list[Tensor] = []

    def change(features: Tensor) -> Tensor:
        mixed: tuple[Tensor, Tensor] = mixer(features, batch.label)
        targets.append(mixed[1])
        return mixed[0]

    logits = network(batch.video, change)
    return logits, targets[-1]


def mostly_own(target: Tensor, label: Tensor) -> Tensor:
    """(B,) bool: whether a clip's own class has as large a share of its target as any."""
    if not target.is_floating_point():
        return torch.ones_like(label, dtype=torch.bool)
    return target.gather(1, label[:, None])[:, 0] >= target.amax(dim=1)

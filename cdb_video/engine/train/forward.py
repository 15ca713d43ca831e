"""Runs a training batch through the network, with mixing."""

import torch
from torch import Tensor, nn

from cdb_video.data.batches.batch import Batch
from cdb_video.mixing.base import Mixer
from cdb_video.models import Classifier


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
    """(B,) bool: whether no class has a larger share of a clip's target than its own class."""
    if not target.is_floating_point():
        return torch.ones_like(label, dtype=torch.bool)
    return target.gather(1, label[:, None])[:, 0] >= target.amax(dim=1)

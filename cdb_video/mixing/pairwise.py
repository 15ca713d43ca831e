"""The pairwise mixing of LMR alone (equations 6 and 7 of Perrett et al., CVPR 2023)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cdb_video.config.types import Fraction
from cdb_video.mixing.base import Mixer, blend
from cdb_video.registry import MIXERS


@MIXERS.register("pairwise")
class Pairwise(Mixer):
    """Blends some of the clips, each with its own partner and share.

    A clip stays unchanged with probability ``1 - probability``. Otherwise it keeps a share ~ U(0,
    1). The rest, of the label, too, comes from a clip drawn uniformly from the batch.
    """

    @dataclass(frozen=True)
    class Options:
        """Options of ``pairwise``."""

        probability: Fraction = 0.5
        """Share of the clips that are mixed, in [0, 1]."""

    options: Options

    def forward(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        return mix_pairs(inputs, self.one_hot(labels), self.options.probability)


def mix_pairs(inputs: Tensor, target: Tensor, probability: float) -> tuple[Tensor, Tensor]:
    """Inputs (B, ...) and targets (B, K), blended in pairs with probability ``probability``."""
    count = len(inputs)
    mixed = torch.rand(count) < probability
    shares = torch.where(mixed, torch.rand(count), 1.0).to(inputs.device)
    partners = torch.randint(count, (count,)).to(inputs.device)
    return blend(inputs, inputs[partners], shares), blend(target, target[partners], shares)

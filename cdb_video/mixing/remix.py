"""Remix (Chou et al., "Remix: Rebalanced Mixup", ECCV workshops 2020)."""

from dataclasses import dataclass

import torch
from torch import Tensor

from cdb_video.config.types import Fraction, PositiveFloat
from cdb_video.mixing.base import Mixer, beta, blend
from cdb_video.registry import MIXERS


@MIXERS.register("remix")
class Remix(Mixer):
    """Mixup whose label goes to the rarer class if the two differ much in size.

    Clips are blended as in ``mixup`` with a share a of clip i. Its share of the label is 0 if
    ``n_i / n_j >= kappa`` and ``a < threshold``, 1 if ``n_i / n_j <= 1 / kappa`` and
    ``1 - a < threshold``, and a otherwise.
    """

    @dataclass(frozen=True)
    class Options:
        """Options of ``remix``; kappa and threshold, its tau, are the paper's."""

        alpha: PositiveFloat = 1.0
        """Parameter of the Beta distribution from which shares are drawn, > 0."""
        kappa: PositiveFloat = 3.0
        """Ratio of class sizes from which on the larger class loses its label."""
        threshold: Fraction = 0.5
        """Share of a clip below which its label is lost, in [0, 1]. 0 is mixup."""

    options: Options

    def forward(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        share, target = beta(self.options.alpha), self.one_hot(labels)
        sizes = self.counts.to(labels.device)[labels].clamp(min=1).double()
        ratio, own = sizes / sizes.flip(0), self.options
        shares = label_shares(ratio, share, own.kappa, own.threshold)
        return blend(inputs, inputs.flip(0), share), blend(target, target.flip(0), shares)


def label_shares(ratio: Tensor, share: float, kappa: float, threshold: float) -> Tensor:
    """(B,) share of its own label of each clip.

    Args:
        ratio: (B,) size of its class over that of its partner.
        share: of the clip itself in the blended clip.
    """
    shares = torch.full_like(ratio, share)
    if share < threshold:
        shares[ratio >= kappa] = 0
    if 1 - share < threshold:
        shares[ratio <= 1 / kappa] = 1
    return shares

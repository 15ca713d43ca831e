"""The equalization loss (Tan et al., "Equalization Loss for Long-Tailed Object Recognition")."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from cdb_video.config.types import Fraction
from cdb_video.losses.base import Loss
from cdb_video.losses.class_weights import known_counts
from cdb_video.registry import LOSSES


@LOSSES.register("equalization")
class Equalization(Loss):
    """One sigmoid for each class. Samples of other classes do not push rare classes down.

    ``sum_c (1 - g T_c (1 - y_c)) BCE(z_c, y_c)``, averaged over the batch: equations 6 and 7 of
    the paper (CVPR 2020). T_c is 1 for a class whose share of the training samples is below
    ``threshold``. The gate g replaces the paper's test for background, because no
    clip is background. Equation 11, the softmax form, has it as well. It is 1 with probability
    ``gate_probability``, else 0, drawn once for each batch as in the released CDB code. In eval
    mode it is its mean.

    The draw is from torch's default CPU generator, which training seeds from (seed, epoch, step,
    rank): each process has gates of its own, which do not depend on the number of processes.
    """

    @dataclass(frozen=True)
    class Options:
        """Options of ``equalization``; the defaults are those of the released CDB code."""

        threshold: Fraction = 0.03
        """Share of the training clips below which a class is rare, in [0, 1]. 0 is plain binary
        cross entropy."""
        gate_probability: Fraction = 0.95
        """Share of batches in which rare classes are spared, in [0, 1]."""

    accepts_soft_targets = False

    options: Options
    rare: torch.Tensor
    """(K,) float32: 1 for rare classes, 0 for the others."""

    def __init__(
        self, options: Options, *, class_counts: torch.Tensor | None = None, **context: Any
    ) -> None:
        super().__init__(options, class_counts=class_counts, **context)
        counts = known_counts(class_counts, "equalization")
        rare = counts / counts.sum().clamp(min=1) < options.threshold
        self.register_buffer("rare", rare.float(), persistent=False)

    def compute(
        self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        gate = self.options.gate_probability
        if self.training:
            gate = float(torch.rand(()) < gate)
        spared = 1 - gate * self.rare.to(logits.dtype)
        # The threshold is where log(1 + exp(z)) is z to float64's last digit.
        as_negative = F.softplus(logits, threshold=40)
        own = target[:, None]
        own_share = (spared[target] * as_negative.gather(1, own).squeeze(1)).sum()
        positive = F.softplus(-logits.gather(1, own), threshold=40).sum()
        return ((as_negative @ spared).sum() - own_share + positive) / len(logits)

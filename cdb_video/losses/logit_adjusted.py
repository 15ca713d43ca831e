"""The logit-adjusted loss (Menon et al., "Long-tail learning via logit adjustment", ICLR 2021)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from cdb_video.config.types import NonNegativeFloat
from cdb_video.losses.base import Loss
from cdb_video.losses.class_weights import known_counts
from cdb_video.registry import LOSSES


@LOSSES.register("logit_adjusted")
class LogitAdjusted(Loss):
    """Cross entropy of logits plus tau times the log of each class's share.

    ``z_c + tau log pi_c``: pi_c is the class's share of the training samples; a class without any
    counts as one sample. Validation and test use the plain logits, as
    the paper does.
    """

    @dataclass(frozen=True)
    class Options:
        """Options of ``logit_adjusted``."""

        tau: NonNegativeFloat = 1.0
        """Strength of the adjustment, >= 0. 0 is cross entropy, 1 is the paper's choice."""

    options: Options
    adjustment: torch.Tensor
    """(K,) float32: tau log pi."""

    def __init__(
        self, options: Options, *, class_counts: torch.Tensor | None = None, **context: Any
    ) -> None:
        super().__init__(options, class_counts=class_counts, **context)
        counts = known_counts(class_counts, "logit_adjusted").clamp(min=1)
        adjustment = options.tau * (counts / counts.sum()).log()
        self.register_buffer("adjustment", adjustment.float(), persistent=False)

    def compute(
        self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        return F.cross_entropy(logits + self.adjustment.to(logits.dtype), target)

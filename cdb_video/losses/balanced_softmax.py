"""Balanced softmax (Ren et al., "Balanced Meta-Softmax", NeurIPS 2020)."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional as F

from cdb_video.losses.base import Loss
from cdb_video.losses.class_weights import known_counts
from cdb_video.registry import LOSSES


@LOSSES.register("balanced_softmax")
class BalancedSoftmax(Loss):
    """Cross entropy of logits plus the log of each class's size.

    ``p_c = n_c exp(z_c) / sum_j n_j exp(z_j)``. n_c is the number of training samples; a class
    without any counts as one sample. Validation and test use the
    plain softmax, as the paper does.
    """

    @dataclass(frozen=True)
    class Options:
        """``balanced_softmax`` has no options."""

    log_counts: torch.Tensor
    """(K,) float32."""

    def __init__(
        self, options: Options, *, class_counts: torch.Tensor | None = None, **context: Any
    ) -> None:
        super().__init__(options, class_counts=class_counts, **context)
        counts = known_counts(class_counts, "balanced_softmax")
        self.register_buffer("log_counts", counts.clamp(min=1).log().float(), persistent=False)

    def compute(
        self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        return F.cross_entropy(logits + self.log_counts.to(logits.dtype), target)

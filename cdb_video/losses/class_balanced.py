"""The class-balanced loss by effective number of samples (Cui et al., CVPR 2019)."""

from dataclasses import dataclass
from typing import Any

import torch

from cdb_video.config.types import FractionBelowOne, NonNegativeFloat
from cdb_video.losses.base import Loss
from cdb_video.losses.class_weights import effective_number_weights, known_counts
from cdb_video.losses.softmax import softmax_loss
from cdb_video.registry import LOSSES


@LOSSES.register("class_balanced")
class ClassBalanced(Loss):
    """Cross entropy or focal loss, weighted by the effective number of each class's samples.

    ``-w_y (1 - p_y) ** gamma * log p_y`` with ``w_c`` proportional to ``1 / (1 - beta ** n_c)``.
    n_c is the number of training samples; weights have mean 1 over classes (sum K, as in the
    paper) and losses are averaged over the batch. p is a softmax, also for gamma > 0, as in the
    released CDB code. The paper's focal variant has one sigmoid for each class.
    """

    @dataclass(frozen=True)
    class Options:
        """Options of ``class_balanced``."""

        beta: FractionBelowOne = 0.999
        """Overlap of samples, in [0, 1). A class of more than about 1 / (1 - BETA) clips counts as
        that many. 0 is no weights. Close to 1, weights are inverse to class size. The paper tries
        0.9, 0.99, 0.999 and 0.9999."""
        gamma: NonNegativeFloat = 0.0
        """Focal exponent, >= 0. 0 is cross entropy."""

    options: Options

    def __init__(
        self, options: Options, *, class_counts: torch.Tensor | None = None, **context: Any
    ) -> None:
        super().__init__(options, class_counts=class_counts, **context)
        counts = known_counts(class_counts, "class_balanced")
        self.class_weights.copy_(effective_number_weights(counts, options.beta))

    def compute(
        self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        return softmax_loss(logits, target, weights, gamma=self.options.gamma)

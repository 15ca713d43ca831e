"""The label-distribution-aware margin loss (Cao et al., NeurIPS 2019)."""

from dataclasses import dataclass
from typing import Any

import torch

from cdb_video.config.types import FractionBelowOne, NonNegativeFloat, PositiveFloat
from cdb_video.losses.base import Loss
from cdb_video.losses.class_weights import effective_number_weights, known_counts
from cdb_video.losses.softmax import softmax_loss
from cdb_video.registry import LOSSES


@LOSSES.register("ldam")
class LDAM(Loss):
    """Cross entropy after subtracting a margin from the true logit, larger for rare classes.

    Then logits are multiplied by ``scale``. The margin of a class with n training samples is
    proportional to ``n ** (-1/4)``, and ``max_margin`` for the smallest. A class without samples
    has ``max_margin``.

    The paper's schedule, LDAM-DRW, is ``BETA: 0.9999`` with ``LOSS.DEFER_EPOCHS`` at 80 % of the
    epochs. Weighted losses are divided by the sum of the batch's weights, as in its authors' code.
    """

    @dataclass(frozen=True)
    class Options:
        """Options of ``ldam``."""

        max_margin: NonNegativeFloat = 0.5
        """Margin of the smallest class in units of the logits, >= 0. 0 is cross entropy of the
        scaled logits."""
        scale: PositiveFloat = 30.0
        """Factor on the logits, > 0. 30 is the paper's, for logits that are cosines (MODEL.HEAD
        cosine). For a linear classifier, whose logits find their own scale, 1 is milder."""
        beta: FractionBelowOne = 0.0
        """Weighting of classes by their effective number of samples, in [0, 1), as in
        ``class_balanced``. 0 is no weights."""

    accepts_soft_targets = False

    options: Options
    margins: torch.Tensor
    """(K,) float32."""

    def __init__(
        self, options: Options, *, class_counts: torch.Tensor | None = None, **context: Any
    ) -> None:
        super().__init__(options, class_counts=class_counts, **context)
        counts = known_counts(class_counts, "ldam")
        smallest = counts[counts > 0].min() if (counts > 0).any() else counts.new_ones(())
        margins = options.max_margin * (counts.clamp(min=float(smallest)) / smallest) ** -0.25
        self.register_buffer("margins", margins.float(), persistent=False)
        self.class_weights.copy_(effective_number_weights(counts, options.beta))

    def compute(
        self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        own, scale = target[:, None], self.options.scale
        margins = self.margins[own].to(logits.dtype)
        scaled = (scale * logits).scatter_add_(1, own, -scale * margins)
        return softmax_loss(scaled, target, weights, reduction="weighted_mean")

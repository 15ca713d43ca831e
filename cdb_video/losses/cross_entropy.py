"""Softmax cross entropy, plain or with class weights that stay as they are."""

from dataclasses import dataclass
from typing import Any, Literal

import torch

from cdb_video.config.types import FractionBelowOne
from cdb_video.losses.base import Loss
from cdb_video.losses.class_weights import known_counts, power_weights
from cdb_video.losses.softmax import softmax_loss
from cdb_video.registry import LOSSES

EXPONENTS = {"inverse": -1.0, "sqrt_inverse": -0.5}


@LOSSES.register("cross_entropy")
class CrossEntropy(Loss):
    """Plain cross entropy, with label smoothing or fixed class weights by choice.

    ``-sum_c w_c t_c log softmax(z)_c``, averaged over the batch.
    """

    @dataclass(frozen=True)
    class Options:
        """Options of ``cross_entropy``."""

        label_smoothing: FractionBelowOne = 0.0
        """Share of the target that is spread evenly over all classes, in [0, 1) (Szegedy et al.,
        CVPR 2016)."""
        class_weights: Literal["none", "inverse", "sqrt_inverse"] = "none"
        """Weight of a class with n training clips: 1, or proportional to 1 / n or 1 / sqrt(n) with
        a mean of 1 over classes. A class without clips has weight 1."""

    options: Options

    def __init__(
        self, options: Options, *, class_counts: torch.Tensor | None = None, **context: Any
    ) -> None:
        super().__init__(options, class_counts=class_counts, **context)
        if options.class_weights != "none":
            counts = known_counts(class_counts, "cross_entropy.class_weights")
            self.class_weights.copy_(power_weights(counts, EXPONENTS[options.class_weights]))

    def compute(
        self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        return softmax_loss(
            logits,
            target,
            weights,
            label_smoothing=self.options.label_smoothing,
        )

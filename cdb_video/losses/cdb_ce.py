"""The Class-wise Difficulty-Balanced cross entropy (Sinha, Ohashi, Nakamura, ACCV 2020)."""

from dataclasses import dataclass
from typing import Any, Literal

import torch

from cdb_video.config.types import NonNegativeFloat
from cdb_video.difficulty import ClassState, ClassWeights, WeightOptions
from cdb_video.losses.by_difficulty import LossByDifficulty, SourceOptions
from cdb_video.losses.softmax import softmax_loss
from cdb_video.registry import LOSSES


@LOSSES.register("cdb_ce")
class CDBCrossEntropy(LossByDifficulty):
    """Cross entropy weighted by how hard the model finds each class.

    With ``d_c = 1 - recall_c`` on the validation set (or in training, see ``source``),
    ``w_c = d_c ** tau``, scaled to a mean of 1 over classes (equations 1, 2 and 7 of the paper).
    Before the first validation every weight is 1. A class without validation samples keeps its
    last difficulty, 1 at first; where every class is perfect, every weight is 1.
    """

    @dataclass(frozen=True)
    class Options(SourceOptions, WeightOptions):
        """Options of ``cdb_ce``; the defaults are the paper's loss."""

        reduction: Literal["mean", "weighted_mean"] = "mean"
        """How the weighted losses of a batch are averaged. 'mean' divides their sum by the number
        of samples (the authors' EGTEA and CIFAR scripts). 'weighted_mean' divides it by the sum of
        the weights (ImageNet-LT script)."""
        gamma: NonNegativeFloat = 0.0
        """Focal exponent, >= 0. The loss of a sample is multiplied with (1 - p_target) ** GAMMA. 0
        is off."""

    options: Options

    def __init__(self, options: Options, **context: Any) -> None:
        super().__init__(options, **context)
        self.classes = ClassWeights(options, self.num_classes)

    def compute(
        self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        return softmax_loss(
            logits,
            target,
            weights,
            gamma=self.options.gamma,
            reduction=self.options.reduction,
        )

    def observe(self, recall: torch.Tensor, counts: torch.Tensor) -> None:
        """Updates difficulties, tau and weights."""
        self.classes.observe(recall, counts)
        self.tau.fill_(self.classes.tau())
        self.class_weights.copy_(self.classes.weights())

    def class_state(self, epoch: int) -> ClassState:
        weights = self.weights_in(epoch).clone()
        return ClassState(self.classes.difficulty.clone(), weights, float(self.tau))

"""The focal loss (Lin et al., ICCV 2017) on a softmax."""

from dataclasses import dataclass

import torch

from cdb_video.config.types import NonNegativeFloat
from cdb_video.losses.base import Loss
from cdb_video.losses.softmax import softmax_loss
from cdb_video.registry import LOSSES


@LOSSES.register("focal")
class Focal(Loss):
    """Cross entropy with less weight the surer the model is of the true class.

    ``-(1 - p_y) ** gamma * log p_y``, averaged over the batch. The paper has one sigmoid for each
    class; here p is a softmax, as in the released CDB code. With class probabilities t as target it
    is the mean over t.
    """

    @dataclass(frozen=True)
    class Options:
        """Options of ``focal``."""

        gamma: NonNegativeFloat = 2.0
        """Exponent, >= 0. The higher it is, the faster a sample loses weight as it becomes easy. 0
        is cross entropy, 2 is the paper's choice."""

    options: Options

    def compute(
        self, logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor
    ) -> torch.Tensor:
        return softmax_loss(logits, target, weights, gamma=self.options.gamma)

"""Plain softmax cross entropy."""

from dataclasses import dataclass

import torch
from torch.nn import functional as F

from cdb_video.losses.base import Loss
from cdb_video.option_types import FractionBelowOne
from cdb_video.registry import LOSSES


@LOSSES.register("cross_entropy")
class CrossEntropy(Loss):
    """``-sum_c t_c log softmax(z)_c``, averaged over the batch."""

    @dataclass(frozen=True)
    class Options:
        """Options of ``cross_entropy``."""

        label_smoothing: FractionBelowOne = 0.0
        """Share of the target spread evenly over all classes (Szegedy et al., CVPR 2016), in
        [0, 1)."""

    options: Options

    def compute(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        return F.cross_entropy(logits, target, label_smoothing=self.options.label_smoothing)

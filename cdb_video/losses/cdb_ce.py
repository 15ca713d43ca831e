"""The Class-wise Difficulty-Balanced cross entropy (Sinha, Ohashi, Nakamura, ACCV 2020)."""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch.nn import functional as F

from cdb_video.losses.base import Loss
from cdb_video.option_types import Fraction, FractionBelowOne, NonNegativeFloat, NonNegativeInt
from cdb_video.registry import LOSSES

RECALL_EPS = 0.01
"""Keeps the ratio of recalls finite in dynamic tau; the value of the released code."""


@LOSSES.register("cdb_ce")
class CDBCrossEntropy(Loss):
    """Cross entropy weighted by how hard the model finds each class.

    With ``d_c = 1 - recall_c`` on the validation set, ``w_c = d_c ** tau``, scaled to a mean of 1
    over classes (equations 1, 2 and 7 of the paper). Before the first validation every weight
    is 1. A class without validation samples keeps its last difficulty, 1 at first; where every
    class is perfect, every weight is 1.
    """

    @dataclass(frozen=True)
    class Options:
        """Options of ``cdb_ce``; the defaults are the paper's loss."""

        tau: NonNegativeFloat | Literal["dynamic", "dynamic_released"] = "dynamic"
        """Exponent on difficulty, >= 0; 0 is plain cross entropy. 'dynamic' is the paper's
        2 * sigmoid(b) with b = max recall / (min recall + 0.01) - 1 (equations 3 and 4), in
        [0.53, 2); 'dynamic_released' is sigmoid(max recall / (min recall + 0.01)) of the authors'
        EGTEA and CIFAR scripts, in [0.5, 1)."""
        reduction: Literal["mean", "weighted_mean"] = "mean"
        """'mean' averages the weighted losses over samples (the authors' EGTEA and CIFAR scripts);
        'weighted_mean' divides their sum by the sum of the batch's weights (ImageNet-LT script)."""
        gamma: NonNegativeFloat = 0.0
        """Focal exponent, >= 0: the loss of a sample is further multiplied with
        (1 - p_target) ** gamma. 0 switches it off."""
        momentum: FractionBelowOne = 0.0
        """Share of a class's previous difficulty that is kept at each validation, in [0, 1)."""
        prior_count: NonNegativeFloat = 0.0
        """Validation samples, >= 0, that each class is given on top of its own, recognised at the
        mean recall of all classes. Smooths the recall of small classes."""
        min_weight: Fraction = 0.0
        """Lowest weight of a class, in [0, 1]: weights become min_weight + (1 - min_weight) * w,
        whose mean stays 1. 1 is plain cross entropy."""
        tau_max: NonNegativeFloat | None = None
        """Upper bound on a dynamic tau, or null for none."""
        warmup_epochs: NonNegativeInt = 0
        """First epochs that train with all weights at 1, while difficulty is already tracked.
        Counted in validations; 0 and 1 are the same, since the first epoch has nothing to go by."""

    options: Options
    difficulty: torch.Tensor
    """(K,) float32 in [0, 1], after smoothing."""
    observed: torch.Tensor
    """(K,) bool: classes that have had a validation sample."""
    num_observed: torch.Tensor
    """() int64: validations so far."""

    def __init__(self, options: Options, **context: Any) -> None:
        super().__init__(options, **context)
        self.register_buffer("difficulty", torch.ones(self.num_classes))
        self.register_buffer("observed", torch.zeros(self.num_classes, dtype=torch.bool))
        self.register_buffer("num_observed", torch.zeros((), dtype=torch.int64))

    def compute(self, logits: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        log_p = F.log_softmax(logits, dim=1)
        if not target.is_floating_point():
            target = F.one_hot(target, self.num_classes).to(log_p.dtype)
        weighted = target * self.class_weights.to(log_p.dtype)
        loss = -weighted * log_p
        if self.options.gamma:
            # 1 - p as a sum of the other classes' p keeps its gradient where p rounds to 1
            loss = loss * (-torch.expm1(log_p)).clamp(min=0) ** self.options.gamma
        if self.options.reduction == "mean":
            return loss.sum() / len(logits)
        return loss.sum() / weighted.sum().clamp(min=torch.finfo(log_p.dtype).tiny)

    @torch.no_grad()
    def observe(self, recall: torch.Tensor, counts: torch.Tensor) -> None:
        """Updates difficulties, tau and weights; arguments as in ``Loss.observe``."""
        recall = recall.to(self.difficulty.device, torch.float64)
        counts = counts.to(self.difficulty.device, torch.float64)
        present = counts > 0
        self.num_observed += 1
        if not present.any():
            return
        prior = self.options.prior_count
        smooth = (recall * counts + prior * recall[present].mean()) / (counts + prior)
        momentum = self.options.momentum
        updated = momentum * self.difficulty + (1 - momentum) * (1 - smooth)
        self.difficulty.copy_(torch.where(present, updated, self.difficulty.double()))
        self.observed |= present
        self.tau.fill_(self._tau(1 - self.difficulty[self.observed].double()))
        if self.num_observed >= self.options.warmup_epochs:
            self.class_weights.copy_(self._weights())

    def _tau(self, recall: torch.Tensor) -> float:
        if not isinstance(self.options.tau, str):
            return self.options.tau
        ratio = recall.max() / (recall.min() + RECALL_EPS)
        if self.options.tau == "dynamic":
            tau = 2 * torch.sigmoid(ratio - 1).item()
        else:
            tau = torch.sigmoid(ratio).item()
        return tau if self.options.tau_max is None else min(tau, self.options.tau_max)

    def _weights(self) -> torch.Tensor:
        weights = self.difficulty.double() ** self.tau.double()
        total = weights.sum()
        if total == 0:
            return torch.ones_like(weights)
        floor = self.options.min_weight
        return floor + (1 - floor) * weights * (self.num_classes / total)

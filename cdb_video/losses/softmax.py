"""Owns the weighted softmax cross entropy, plain or focal, in which most losses end."""

from typing import Literal

import torch
from torch.nn import functional as F


def softmax_loss(
    logits: torch.Tensor,
    target: torch.Tensor,
    weights: torch.Tensor,
    *,
    gamma: float = 0.0,
    label_smoothing: float = 0.0,
    reduction: Literal["mean", "weighted_mean"] = "mean",
) -> torch.Tensor:
    """Sample by sample ``sum_c t_c w_c (1 - p_c) ** gamma * -log p_c``, then averaged.

    Args:
        logits: (B, K).
        target: (B,) int64 class ids, or (B, K) class probabilities t of the logits' type.
        weights: (K,) w.
        gamma: focal exponent, >= 0.
        label_smoothing: share of t spread evenly over all classes; only where gamma is 0.
        reduction: 'mean' divides the sum over samples by B, 'weighted_mean' by the sum of the
            samples' weights.
    """
    weights = weights.to(logits.dtype)
    if gamma:
        total = _focal_sum(logits, target, weights, gamma)
    else:
        total = F.cross_entropy(
            logits, target, weights, reduction="sum", label_smoothing=label_smoothing
        )
    if reduction == "mean":
        return total / len(logits)
    picked = target * weights if target.is_floating_point() else weights[target]
    return total / picked.sum().clamp(min=torch.finfo(logits.dtype).tiny)


def _focal_sum(
    logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor, gamma: float
) -> torch.Tensor:
    log_p = F.log_softmax(logits, dim=1)
    if target.is_floating_point():
        factor = target * weights
    else:
        factor = weights[target]
        log_p = log_p.gather(1, target[:, None]).squeeze(1)
    # Where p rounds to 1 the power's slope is infinite for gamma < 1, and infinity times 0 is NaN.
    rest = (-torch.expm1(log_p)).clamp(min=torch.finfo(log_p.dtype).tiny)
    return -(factor * rest**gamma * log_p).sum()

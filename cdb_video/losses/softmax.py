"""The weighted softmax cross entropy, plain or focal, which most losses use."""

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
    # Dividing the K weights, not the sum of losses, saves a node of the graph.
    weights = weights.to(logits.dtype)
    if reduction == "mean":
        shares = weights / len(logits)
    else:
        picked = target * weights if target.is_floating_point() else weights[target]
        total = picked.sum()
        shares = weights / torch.where(total > 0, total, 1)
    if gamma:
        return _focal_sum(logits, target, shares, gamma)
    return F.cross_entropy(logits, target, shares, reduction="sum", label_smoothing=label_smoothing)


def _focal_sum(
    logits: torch.Tensor, target: torch.Tensor, weights: torch.Tensor, gamma: float
) -> torch.Tensor:
    if target.is_floating_point():
        losses = -F.log_softmax(logits, dim=1)
        factor = target * weights
    else:
        losses = F.cross_entropy(logits, target, reduction="none")
        factor = weights[target]
    # Where p rounds to 1 the power's slope is infinite for gamma < 1, and infinity times 0 is NaN.
    rest = (-torch.expm1(-losses)).clamp(min=torch.finfo(losses.dtype).tiny)
    return (factor * rest**gamma * losses).sum()

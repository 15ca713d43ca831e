"""Class weights from class sizes."""

import torch


def known_counts(counts: torch.Tensor | None, loss: str) -> torch.Tensor:
    """(K,) float64 ``counts``. Raises ``ValueError`` if they are None."""
    if counts is None:
        raise ValueError(f"{loss} needs class_counts, the training samples of each class, got None")
    return counts.double()


def power_weights(counts: torch.Tensor, exponent: float) -> torch.Tensor:
    """(K,) weights proportional to ``n ** exponent``; ``counts`` (K,) float64."""
    return _normalised(counts.clamp(min=1) ** exponent, counts)


def effective_number_weights(counts: torch.Tensor, beta: float) -> torch.Tensor:
    """(K,) weights proportional to ``(1 - beta) / (1 - beta ** n)``; ``counts`` (K,) float64.

    Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019.
    """
    return _normalised((1 - beta) / (1 - beta ** counts.clamp(min=1)), counts)


def _normalised(weights: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
    """Scales to mean 1 over classes. A class without samples gets weight 1 and is left out.

    Its formula would give infinity. With a replacement for its count, it would take weight from the
    classes that are trained.
    """
    present = counts > 0
    result = torch.ones_like(weights)
    if present.any():
        result[present] = weights[present] / weights[present].mean()
    return result.float()

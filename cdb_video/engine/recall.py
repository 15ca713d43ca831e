"""Counts, while a network trains, how many clips of each class it recognises."""

import torch

from cdb_video import distributed


class TrainingRecall:
    """Recall of each class over the clips trained on since the last ``take``.

    Args:
        num_classes: K.
        device: of the logits.
    """

    def __init__(self, num_classes: int, device: torch.device) -> None:
        self._counts = torch.zeros(2, num_classes, dtype=torch.int64, device=device)

    def add(self, logits: torch.Tensor, label: torch.Tensor) -> None:
        """Counts a batch of this process: ``logits`` (B, K), ``label`` (B,) int64."""
        recognised, total = self._counts
        recognised.index_add_(0, label, (logits.detach().argmax(dim=1) == label).long())
        total.index_add_(0, label, torch.ones_like(label))

    def take(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(K,) float64 recall over all processes, 0 without clips; (K,) clips. Counts anew."""
        recognised, total = distributed.sum_(self._counts.clone())
        self._counts.zero_()
        return recognised.double() / total.clamp(min=1), total

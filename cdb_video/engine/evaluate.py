"""Scores of every clip of a split exactly once over all processes, and the numbers made of them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cdb_video import distributed
from cdb_video.data.batch import BatchLoader
from cdb_video.metrics import classification_metrics, recall_per_class


class Evaluation(NamedTuple):
    """What a model makes of the N clips of a split."""

    scores: torch.Tensor
    """(N, K) float64 on the CPU: class probabilities, averaged over views."""
    target: torch.Tensor
    """(N,) int64 true classes."""

    @property
    def prediction(self) -> torch.Tensor:
        """(N,) int64: the class of the highest score, the lowest id where several are equal."""
        return self.scores.argmax(dim=1)

    @property
    def loss(self) -> float:
        """Mean unweighted cross entropy of the scores, comparable between losses."""
        p = self.scores.gather(1, self.target[:, None])
        return float(-p.clamp(min=torch.finfo(torch.float32).tiny).log().mean())

    def recall(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(K,) recall of each class, and (K,) how many clips it has."""
        recall, counts = recall_per_class(self.target, self.prediction, self.scores.shape[1])
        return torch.from_numpy(recall), torch.from_numpy(counts)

    def metrics(
        self, class_names: Sequence[str], groups: Sequence[str], group_names: Sequence[str]
    ) -> dict[str, Any]:
        """The numbers of ``metrics.json`` that depend on predictions alone."""
        return classification_metrics(
            self.target,
            self.prediction,
            len(class_names),
            scores=self.scores,
            class_names=class_names,
            groups=groups,
            group_names=group_names,
        )


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    loader: BatchLoader,
    labels: npt.NDArray[np.int64],
    num_classes: int,
    on_batch: Callable[[], object] = lambda: None,
) -> Evaluation:
    """Runs ``model`` over this process's share of a split; every process gets the whole result.

    Args:
        model: gives logits (B, K) of uint8 clips; without the wrapper for several processes, whose
            hidden exchanges could hang here.
        labels: (N,) true class of each record.
        on_batch: called after each batch.
    """
    model.eval()
    device = next(model.parameters()).device
    scores = torch.zeros(len(labels), num_classes, dtype=torch.float64, device=device)
    views = torch.zeros(len(labels), dtype=torch.int64, device=device)
    for batch in loader.batches():
        batch = batch.to(device)
        probability = model(batch.video).double().softmax(dim=1)
        scores.index_add_(0, batch.index, probability)
        views.index_add_(0, batch.index, torch.ones_like(batch.index))
        on_batch()
    distributed.sum_(scores)
    distributed.sum_(views)
    mean = scores / views[:, None]
    return Evaluation(mean.cpu(), torch.from_numpy(labels))

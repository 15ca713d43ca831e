"""Scores of every clip of a split exactly once over all processes, and the numbers made of them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cdb_video import distributed
from cdb_video.data.batch import Batch, BatchLoader
from cdb_video.engine.inference import Average, elect, votes
from cdb_video.errors import DataError, TrainingError
from cdb_video.metrics import classification_metrics, recall_per_class
from cdb_video.stopping import StopRequest


class Evaluation(NamedTuple):
    """What a model makes of the N clips of a split."""

    scores: torch.Tensor
    """(N, K) float64 on the CPU: class probabilities, averaged over the views that decode."""
    target: torch.Tensor
    """(N,) int64 true classes."""
    valid: torch.Tensor
    """(N,) bool: whether the clip could be decoded; scores are 0 where not."""
    leave_out: bool = True
    """Whether clips that are not valid do not count; otherwise they count as not recognised."""

    @property
    def prediction(self) -> torch.Tensor:
        """(N,) int64: the class of the highest score, the lowest id where several are equal; -1
        for a clip that is not valid."""
        return torch.where(self.valid, self.scores.argmax(dim=1), -1)

    @property
    def loss(self) -> float:
        """Mean unweighted cross entropy of the scores of valid clips, comparable between losses."""
        p = self.scores.gather(1, self.target[:, None])[self.valid]
        return float(-p.clamp(min=torch.finfo(torch.float32).tiny).log().mean())

    @property
    def counted(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(M,) target and prediction of the clips that count."""
        counts = self.valid if self.leave_out else torch.ones_like(self.valid)
        return self.target[counts], self.prediction[counts]

    def recall(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(K,) recall of each class, and (K,) how many clips it has."""
        recall, counts = recall_per_class(*self.counted, self.scores.shape[1])
        return torch.from_numpy(recall), torch.from_numpy(counts)

    def metrics(
        self,
        class_names: Sequence[str],
        groups: Sequence[str],
        group_names: Sequence[str],
        *,
        average_precision: bool = True,
    ) -> dict[str, Any]:
        """The numbers of ``metrics.json`` that depend on predictions alone."""
        metrics = classification_metrics(
            *self.counted,
            len(class_names),
            scores=self.scores[self.valid] if self.leave_out else self.scores,
            class_names=class_names,
            groups=groups,
            group_names=group_names,
            average_precision=average_precision,
        )
        return {**metrics, "num_bad_clips": int((~self.valid).sum())}


@torch.inference_mode()
def evaluate(
    model: nn.Module,
    loader: BatchLoader,
    labels: npt.NDArray[np.int64],
    num_classes: int,
    *,
    leave_out: bool = True,
    average: Average = "probabilities",
    on_batch: Callable[[Batch], object] = lambda batch: None,
    stop: StopRequest | None = None,
) -> Evaluation:
    """Runs ``model`` over this process's share of a split; every process gets the whole result.

    Args:
        model: gives logits (B, K) of uint8 clips; without the wrapper for several processes, whose
            hidden exchanges could hang here.
        labels: (N,) true class of each record.
        leave_out: as in ``Evaluation``.
        average: over the views of a clip.
        on_batch: called after each batch.
        stop: by which this process can be asked to leave off.

    Raises:
        Stopped: a process was asked to.
        DataError: no clip could be decoded.
        TrainingError: the model gives scores that are not finite.
    """
    device = next(model.parameters()).device
    sums = torch.zeros(len(labels), num_classes, dtype=torch.float64, device=device)
    views = torch.zeros(len(labels), dtype=torch.int64, device=device)
    for batch, voted in votes(model, loader, average):
        if len(voted):
            index = batch.index.to(device, non_blocking=True)
            sums.index_add_(0, index, voted)
            views.index_add_(0, index, torch.ones_like(index))
        on_batch(batch)
        if stop is not None and stop.asked:
            break
    if stop is not None and distributed.anywhere(stop.asked):
        raise stop.stopped("validation was begun")
    distributed.sum_(sums)
    distributed.sum_(views)
    scores, valid = elect(sums, views, average).cpu(), (views > 0).cpu()
    scores[~valid] = 0
    if not valid.any():
        raise DataError(f"none of the {len(labels)} clips can be decoded")
    if not scores.isfinite().all():
        raise TrainingError(
            f"the scores of {int((~scores.isfinite()).any(dim=1).sum())} of {len(labels)} clips "
            "are not finite: the weights have overflowed"
        )
    return Evaluation(scores, torch.from_numpy(labels), valid, leave_out)

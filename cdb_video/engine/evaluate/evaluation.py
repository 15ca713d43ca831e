"""Scores of every clip of a split exactly once over all processes, and the numbers made of them."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import nn

from cdb_video import distributed
from cdb_video.data.batches.batch import Batch, BatchLoader
from cdb_video.engine.evaluate.scores import AllScores, BestScores, Gathered, all_scores
from cdb_video.engine.evaluate.votes import Average, of_classes, votes
from cdb_video.errors import DataError, TrainingError
from cdb_video.metrics import classification_metrics, recall_per_class
from cdb_video.metrics.groups import Grouping
from cdb_video.parts import Parts, sizes_of
from cdb_video.system.stopping import StopRequest

TOP = 5
"""Of ``top5``."""


class Evaluation(NamedTuple):
    """What a model makes of the N clips of a split."""

    gathered: Gathered
    target: torch.Tensor
    """(N,) int64 true classes."""
    num_classes: int
    """K."""
    leave_out: bool = True
    """Whether clips that are not valid do not count; otherwise they count as not recognised."""
    parts: tuple[Any, ...] = ()
    """The same of each part of the classes, where a model has a head for each."""

    @property
    def scores(self) -> torch.Tensor:
        """(N, K) or (N, k): class probabilities, averaged over the views that decode."""
        return self.gathered.scores

    @property
    def classes(self) -> torch.Tensor | None:
        """(N, k) of ``scores``; None where these are of all classes in their order."""
        return self.gathered.classes

    @property
    def valid(self) -> torch.Tensor:
        """(N,) bool: whether the clip could be decoded; scores are 0 where not."""
        return self.gathered.valid

    @property
    def counts(self) -> torch.Tensor:
        """(N,) bool: whether the clip counts."""
        return self.valid if self.leave_out else torch.ones_like(self.valid)

    @property
    def prediction(self) -> torch.Tensor:
        """(N,) int64: the class of the highest score, the lowest id where several are equal; -1
        for a clip that is not valid."""
        best = self.scores.argmax(dim=1) if self.classes is None else self.classes[:, 0].long()
        return torch.where(self.valid, best, -1)

    @property
    def loss(self) -> float:
        """Mean unweighted cross entropy of the scores of valid clips, comparable between losses."""
        p = self.gathered.truth[self.valid]
        return float(-p.clamp(min=torch.finfo(torch.float32).tiny).log().mean())

    @property
    def counted(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(M,) target and prediction of the clips that count."""
        return self.target[self.counts], self.prediction[self.counts]

    def recall(self) -> tuple[torch.Tensor, torch.Tensor]:
        """(K,) recall of each class, and (K,) how many clips it has; those of the parts follow."""
        recall, counts = recall_per_class(*self.counted, self.num_classes)
        found = [(torch.from_numpy(recall), torch.from_numpy(counts))]
        found += [part.recall() for part in self.parts]
        together = [torch.cat(column) for column in zip(*found, strict=True)]
        return together[0], together[1]

    def metrics(
        self,
        class_names: Sequence[str],
        grouping: Grouping,
        *,
        average_precision: bool = True,
    ) -> dict[str, Any]:
        """The numbers of ``metrics.json`` that depend on predictions alone."""
        metrics = classification_metrics(
            *self.counted,
            len(class_names),
            scores=self.scores[self.counts] if self.classes is None else None,
            class_names=class_names,
            groups=grouping.groups,
            group_names=grouping.names,
            average_precision=average_precision,
        )
        if self.classes is not None and self.classes.shape[1] >= TOP:
            among = (self.classes[:, :TOP] == self.target[:, None]).any(dim=1) & self.valid
            metrics["top5"] = float(among[self.counts].double().mean())
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
    top_k: int = 0,
    num_views: int = 1,
    parts: Parts = (),
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
        top_k: how many of the scores of a clip are kept; 0 for all.
        num_views: of each clip.
        parts: of the classes, where ``model`` has a head for each.
        on_batch: called after each batch.
        stop: by which this process can be asked to leave off.

    Raises:
        Stopped: a process was asked to.
        DataError: no clip could be decoded.
        TrainingError: the model gives scores that are not finite.
    """
    device = next(model.parameters()).device
    target = torch.from_numpy(labels)
    kept: AllScores | BestScores
    sizes = sizes_of(parts)
    if top_k:
        kept = BestScores(target, min(top_k, num_classes), num_views, average)
    else:
        kept = AllScores(target, sum(sizes) or num_classes, average, device, sizes)
    for batch, voted in votes(model, loader, average):
        if len(voted):
            kept.add(batch.index.to(device, non_blocking=True), voted)
        on_batch(batch)
        if stop is not None and stop.asked:
            break
    if stop is not None and distributed.anywhere(stop.asked):
        raise stop.stopped("validation was begun")
    if parts and isinstance(kept, AllScores):
        return _checked(from_parts(*kept.outputs(), target, parts, leave_out))
    return _checked(Evaluation(kept.gather(), target, num_classes, leave_out))


def _checked(result: Evaluation) -> Evaluation:
    """``result``, or the error that it is of no use."""
    found, labels = result.gathered, result.target
    if not found.valid.any():
        raise DataError(f"none of the {len(labels)} clips can be decoded")
    finite = found.scores.isfinite().all(dim=1)
    if not finite.all():
        raise TrainingError(
            f"the scores of {int((~finite).sum())} of {len(labels)} clips "
            "are not finite: the weights have overflowed"
        )
    return result


def from_parts(
    scores: torch.Tensor, valid: torch.Tensor, target: torch.Tensor, parts: Parts, leave_out: bool
) -> Evaluation:
    """What heads of the parts make of N clips, of the parts and of the classes.

    Args:
        scores: (N, sum of the parts' sizes) probabilities, each part's sum to 1.
        valid: (N,) bool: which clips could be decoded.
        target: (N,) int64 true classes.
    """
    own = []
    for part, columns in zip(parts, torch.split(scores, sizes_of(parts), dim=1), strict=True):
        truth = torch.tensor(part.of_class)[target]
        own.append(Evaluation(all_scores(columns, truth, valid), truth, len(columns[0]), leave_out))
    joint = of_classes(scores, parts)
    found = all_scores(joint, target, valid)
    return Evaluation(found, target, joint.shape[1], leave_out, tuple(own))

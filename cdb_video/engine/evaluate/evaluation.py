"""The scores of a model on a split, and the metrics made of them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from cdb_video.difficulty import ClassRecall, Recalls
from cdb_video.metrics import classification_metrics, recall_per_class
from cdb_video.metrics.groups import Grouping
from cdb_video.models.joint import joint_probabilities
from cdb_video.outputs import Outputs

TOP = 5
"""Of ``top5``."""


class Scores(NamedTuple):
    """The results of N records from all processes, on the CPU; 0 for a record without a view."""

    values: Tensor
    """(N, K) float64 class probabilities, averaged over the views that decode; or the highest,
    (N, k) float32, falling."""
    valid: Tensor
    """(N,) bool: whether there was a view."""
    truth: Tensor
    """(N,) score of the true class."""
    classes: Tensor | None = None
    """(N, k) of ``values``; None where these are of all classes in their order."""

    @classmethod
    def of_all(cls, values: Tensor, labels: Tensor, valid: Tensor) -> "Scores":
        """Made of the scores (N, K) of all classes."""
        return cls(values, valid, values.gather(1, labels[:, None])[:, 0])


class Evaluation(NamedTuple):
    """The results of a model on the N clips of a split."""

    found: Scores
    target: Tensor
    """(N,) int64 true classes."""
    num_classes: int
    """K."""
    leave_out: bool = True
    """Whether clips that are not valid do not count; otherwise they count as not recognised."""
    several: tuple[Any, ...] = ()
    """An ``Evaluation`` of each output, where there are several."""

    @property
    def scores(self) -> Tensor:
        """As ``Scores.values``."""
        return self.found.values

    @property
    def classes(self) -> Tensor | None:
        """As in ``Scores``."""
        return self.found.classes

    @property
    def valid(self) -> Tensor:
        """(N,) bool: whether the clip could be decoded. Otherwise its scores are 0."""
        return self.found.valid

    @property
    def counts(self) -> Tensor:
        """(N,) bool: whether the clip counts."""
        return self.valid if self.leave_out else torch.ones_like(self.valid)

    @property
    def prediction(self) -> Tensor:
        """(N,) int64: the class of the highest score, the lowest id among equals. -1 for an invalid
        clip."""
        best = self.scores.argmax(dim=1) if self.classes is None else self.classes[:, 0].long()
        return torch.where(self.valid, best, -1)

    @property
    def loss(self) -> float:
        """Mean cross entropy of valid clips, without weights, so that losses can be compared."""
        p = self.found.truth[self.valid]
        return float(-p.clamp(min=torch.finfo(torch.float32).tiny).log().mean())

    @property
    def counted(self) -> tuple[Tensor, Tensor]:
        """(M,) target and prediction of the clips that count."""
        return self.target[self.counts], self.prediction[self.counts]

    @property
    def recalls(self) -> Recalls:
        """The recall of the classes, and of each output."""
        recall, counts = recall_per_class(*self.counted, self.num_classes)
        own = ClassRecall(torch.from_numpy(recall), torch.from_numpy(counts))
        return Recalls(own, [one.recalls.classes for one in self.several] or [own])

    def metrics(
        self,
        class_names: Sequence[str],
        grouping: Grouping,
        *,
        average_precision: bool = True,
    ) -> dict[str, Any]:
        """The part of ``metrics.json`` that depends on predictions only."""
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


def of_outputs(
    scores: Tensor, valid: Tensor, target: Tensor, outputs: Outputs, leave_out: bool
) -> Evaluation:
    """Made of the probabilities of all outputs.

    Args:
        scores: (N, P1 + P2 + ...), those of each output sum to 1.
        valid: (N,) bool: which clips could be decoded.
        target: (N,) int64 true classes.
    """
    several = []
    for output, columns in zip(outputs, torch.split(scores, outputs.sizes, dim=1), strict=True):
        truth, size = torch.tensor(output.of_class)[target], len(output.class_names)
        several.append(Evaluation(Scores.of_all(columns, truth, valid), truth, size, leave_out))
    if not outputs.several:
        return several[0]
    found = Scores.of_all(joint_probabilities(scores, outputs), target, valid)
    return Evaluation(found, target, len(outputs.class_names), leave_out, tuple(several))

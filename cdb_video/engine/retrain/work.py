"""The input of every retraining method."""

from typing import Any, NamedTuple

import torch
from rich.console import Console
from torch import Tensor, nn

from cdb_video.engine.evaluate.evaluation import Evaluation, Scores
from cdb_video.engine.record.log import RunLog
from cdb_video.engine.retrain.kept_features import Features
from cdb_video.metrics.groups import Grouping

Made = tuple[nn.Linear, dict[str, Any]]
"""A classifier, and plain values that say how it came about."""


class Work(NamedTuple):
    """A trained classifier, and its input features."""

    best_metric: str
    seed: int
    class_names: list[str]
    grouping: Grouping
    features: dict[str, Features]
    """By split."""
    leave_out: bool
    """Whether bad clips do not count."""
    trained: nn.Linear
    """The classifier of the checkpoint."""
    mix_options: Any
    """Those of MIX.LMR, where MIX.NAME is lmr; else None."""
    log: RunLog
    screen: Console

    @property
    def counts(self) -> Tensor:
        """(K,) training clips of each class."""
        labels = self.features["train"].labels
        return torch.bincount(labels, minlength=self.trained.out_features)

    def fresh(self) -> nn.Linear:
        """A new classifier, the same for the same seed."""
        torch.manual_seed(self.seed)
        return nn.Linear(self.trained.in_features, self.trained.out_features)

    def evaluate(self, head: nn.Module, split: str) -> Evaluation:
        """Evaluates a classifier on a split."""
        return evaluate_head(head, self.features[split], self.leave_out)

    def metrics(self, result: Evaluation) -> dict[str, Any]:
        """The numbers of ``metrics.json``."""
        return result.metrics(self.class_names, self.grouping)

    def score(self, head: nn.Module) -> float:
        """TRAIN.BEST_METRIC on the validation split."""
        return float(self.metrics(self.evaluate(head, "val"))[self.best_metric])


@torch.inference_mode()
def evaluate_head(head: nn.Module, split: Features, leave_out: bool = True) -> Evaluation:
    """Evaluates a classifier on the features of a split: probabilities averaged over views."""
    scores = head(split.features).double().softmax(dim=-1).mean(dim=1)
    scores[~split.valid] = 0
    found = Scores.of_all(scores, split.labels, split.valid)
    return Evaluation(found, split.labels, scores.shape[1], leave_out)

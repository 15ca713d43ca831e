"""Gathers what views add to their records, over batches and processes."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from cdb_video import distributed
from cdb_video.engine.evaluate.votes import Average, elect


class Gathered(NamedTuple):
    """What all processes know of N records, on the CPU; 0 where there was no view."""

    scores: Tensor
    """(N, K) float64, or the highest, (N, k) float32, falling."""
    valid: Tensor
    """(N,) bool: whether there was a view."""
    truth: Tensor
    """(N,) score of the true class."""
    classes: Tensor | None = None
    """(N, k) of ``scores``; None where these are of all classes in their order."""


class AllScores:
    """The scores of all K classes of N records: N times K times 8 bytes.

    Args:
        labels: (N,) true classes.
        average: over the views of a record.
        device: of the votes.
        sizes: of the parts of the K outputs, as of ``probabilities``.
    """

    def __init__(
        self,
        labels: Tensor,
        num_classes: int,
        average: Average,
        device: torch.device,
        sizes: Sequence[int] = (),
    ) -> None:
        self._labels, self._average, self._sizes = labels, average, sizes
        self._sums = torch.zeros(len(labels), num_classes, dtype=torch.float64, device=device)
        self._views = torch.zeros(len(labels), dtype=torch.int64, device=device)

    def add(self, index: Tensor, voted: Tensor) -> None:
        """Takes the votes (B, K) of views of the records ``index`` (B,)."""
        self._sums.index_add_(0, index, voted)
        self._views.index_add_(0, index, torch.ones_like(index))

    def outputs(self) -> tuple[Tensor, Tensor]:
        """Scores (N, K), and (N,) which records have a view; every process must call it."""
        distributed.sum_(self._sums)
        distributed.sum_(self._views)
        scores = elect(self._sums, self._views, self._average, self._sizes).cpu()
        valid = self._views.cpu() > 0
        scores[~valid] = 0
        return scores, valid

    def gather(self) -> Gathered:
        """The scores of classes; every process must call it."""
        scores, valid = self.outputs()
        return all_scores(scores, self._labels, valid)


def all_scores(scores: Tensor, labels: Tensor, valid: Tensor) -> Gathered:
    """From the scores (N, K) of all classes."""
    return Gathered(scores, valid, scores.gather(1, labels[:, None])[:, 0])


class BestScores:
    """The highest scores of each record, those of all classes only while its views come.

    Args:
        labels: (N,) true classes.
        count: of the scores that are kept.
        num_views: of each record.
        average: over the views of a record.
    """

    def __init__(self, labels: Tensor, count: int, num_views: int, average: Average) -> None:
        self._labels, self._num_views, self._average = labels, num_views, average
        self._pending: dict[int, tuple[Tensor, int]] = {}
        self._scores = torch.zeros(len(labels), count)
        self._classes = torch.zeros(len(labels), count, dtype=torch.int32)
        self._truth = torch.zeros(len(labels))

    def add(self, index: Tensor, voted: Tensor) -> None:
        """Takes the votes (B, K) of views of the records ``index`` (B,)."""
        done = []
        for record, vote in zip(index.tolist(), voted, strict=True):
            before, num = self._pending.pop(record, (torch.zeros_like(vote), 0))
            self._pending[record] = (before + vote, num + 1)
            if num + 1 == self._num_views:
                done.append(record)
        if done:
            self._keep(done)

    def _keep(self, records: list[int]) -> None:
        found = [self._pending.pop(record) for record in records]
        views = torch.tensor([num for _, num in found], device=found[0][0].device)
        scores = elect(torch.stack([vote for vote, _ in found]), views, self._average).cpu()
        # As argmax, the lowest of equal classes comes first.
        best = scores.sort(dim=1, descending=True, stable=True)
        count, place = self._scores.shape[1], torch.tensor(records)
        self._scores[place] = best.values[:, :count].float()
        self._classes[place] = best.indices[:, :count].int()
        self._truth[place] = scores.gather(1, self._labels[place, None])[:, 0].float()

    def gather(self) -> Gathered:
        """The scores; every process must call it."""
        if self._pending:
            self._keep([*self._pending])
        scores, truth, classes = map(distributed.total, (self._scores, self._truth, self._classes))
        return Gathered(scores, scores.sum(dim=1) > 0, truth, classes)

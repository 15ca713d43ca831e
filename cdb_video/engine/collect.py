"""Gathers what views add to their records, over batches and processes."""

import torch
from torch import Tensor

from cdb_video import distributed
from cdb_video.engine.inference import Average, elect


class AllScores:
    """The scores of all K classes of N records: N times K times 8 bytes.

    Args:
        average: over the views of a record.
        device: of the votes.
    """

    def __init__(self, num_records: int, num_classes: int, average: Average, device: torch.device):
        self._average = average
        self._sums = torch.zeros(num_records, num_classes, dtype=torch.float64, device=device)
        self._views = torch.zeros(num_records, dtype=torch.int64, device=device)

    def add(self, index: Tensor, voted: Tensor) -> None:
        """Takes the votes (B, K) of views of the records ``index`` (B,)."""
        self._sums.index_add_(0, index, voted)
        self._views.index_add_(0, index, torch.ones_like(index))

    def gather(self) -> tuple[Tensor, Tensor]:
        """Scores (N, K) float64 of all processes on the CPU, 0 without a view; valid (N,) bool."""
        distributed.sum_(self._sums)
        distributed.sum_(self._views)
        scores, valid = elect(self._sums, self._views, self._average).cpu(), self._views.cpu() > 0
        scores[~valid] = 0
        return scores, valid


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
        self.scores = torch.zeros(len(labels), count)
        self.classes = torch.zeros(len(labels), count, dtype=torch.int32)
        self.truth = torch.zeros(len(labels))

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
        count, place = self.scores.shape[1], torch.tensor(records)
        self.scores[place] = best.values[:, :count].float()
        self.classes[place] = best.indices[:, :count].int()
        self.truth[place] = scores.gather(1, self._labels[place, None])[:, 0].float()

    def gather(self) -> tuple[Tensor, Tensor]:
        """Scores (N, count) float32 of all processes, 0 without a view; valid (N,) bool.

        ``classes`` and ``truth`` are those of all processes then, too.
        """
        if self._pending:
            self._keep([*self._pending])
        for values in (self.scores, self.classes, self.truth):
            values.copy_(distributed.total(values))
        return self.scores, self.scores.sum(dim=1) > 0

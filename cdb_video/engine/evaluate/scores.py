"""Scores of every clip of a split exactly once, gathered over views, batches and processes."""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from cdb_video import distributed
from cdb_video.data.batches.batch import Batch, BatchLoader
from cdb_video.engine.evaluate.evaluation import Evaluation, Scores, of_outputs
from cdb_video.engine.evaluate.votes import Average, elect, votes
from cdb_video.errors import DataError, TrainingError
from cdb_video.models import Classifier
from cdb_video.outputs import Outputs
from cdb_video.system.stopping import StopRequest


class Evaluating(NamedTuple):
    """Options: how the clips of a split are scored."""

    leave_out: bool = True
    """As in ``Evaluation``."""
    average: Average = "probabilities"
    """What is averaged over the views of a clip."""
    top_k: int = 0
    """How many of the scores of a clip are kept; 0 for all. Of a single output only."""
    num_views: int = 1
    """Of each clip."""


class AllScores:
    """The scores of all outputs of N records. Takes N times P1 + P2 + ... times 8 bytes.

    Args:
        labels: (N,) true classes.
        device: of the votes.
    """

    def __init__(
        self, labels: Tensor, outputs: Outputs, how: Evaluating, device: torch.device
    ) -> None:
        self._labels, self._outputs, self._how = labels, outputs, how
        shape = (len(labels), sum(outputs.sizes))
        self._sums = torch.zeros(shape, dtype=torch.float64, device=device)
        self._views = torch.zeros(len(labels), dtype=torch.int64, device=device)

    def add(self, index: Tensor, voted: Tensor) -> None:
        """Adds the votes (B, P1 + P2 + ...) of views of the records ``index`` (B,)."""
        self._sums.index_add_(0, index, voted)
        self._views.index_add_(0, index, torch.ones_like(index))

    def evaluation(self) -> Evaluation:
        """The result. Every process must call it."""
        distributed.sum_(self._sums)
        distributed.sum_(self._views)
        scores = elect(self._sums, self._views, self._how.average, self._outputs).cpu()
        valid = self._views.cpu() > 0
        scores[~valid] = 0
        return of_outputs(scores, valid, self._labels, self._outputs, self._how.leave_out)


class BestScores:
    """The highest scores of each record. Scores of all classes are held only while its views come.

    Args:
        labels: (N,) true classes.
        outputs: of the network; a single one.
    """

    def __init__(self, labels: Tensor, outputs: Outputs, how: Evaluating) -> None:
        self._labels, self._outputs, self._how = labels, outputs, how
        count = min(how.top_k, len(outputs.class_names))
        self._pending: dict[int, tuple[Tensor, int]] = {}
        self._scores = torch.zeros(len(labels), count)
        self._classes = torch.zeros(len(labels), count, dtype=torch.int32)
        self._truth = torch.zeros(len(labels))

    def add(self, index: Tensor, voted: Tensor) -> None:
        """Adds the votes (B, K) of views of the records ``index`` (B,)."""
        done = []
        for record, vote in zip(index.tolist(), voted, strict=True):
            before, num = self._pending.pop(record, (torch.zeros_like(vote), 0))
            self._pending[record] = (before + vote, num + 1)
            if num + 1 == self._how.num_views:
                done.append(record)
        if done:
            self._keep(done)

    def _keep(self, records: list[int]) -> None:
        found = [self._pending.pop(record) for record in records]
        views = torch.tensor([num for _, num in found], device=found[0][0].device)
        sums = torch.stack([vote for vote, _ in found])
        scores = elect(sums, views, self._how.average, self._outputs).cpu()
        # As in argmax, the lowest of equal classes comes first.
        best = scores.sort(dim=1, descending=True, stable=True)
        count, place = self._scores.shape[1], torch.tensor(records)
        self._scores[place] = best.values[:, :count].float()
        self._classes[place] = best.indices[:, :count].int()
        self._truth[place] = scores.gather(1, self._labels[place, None])[:, 0].float()

    def evaluation(self) -> Evaluation:
        """The result. Every process must call it."""
        if self._pending:
            self._keep([*self._pending])
        scores, truth, classes = map(distributed.total, (self._scores, self._truth, self._classes))
        found = Scores(scores, scores.sum(dim=1) > 0, truth, classes)
        num_classes = len(self._outputs.class_names)
        return Evaluation(found, self._labels, num_classes, self._how.leave_out)


@torch.inference_mode()
def evaluate(
    model: Classifier,
    loader: BatchLoader,
    labels: npt.NDArray[np.int64],
    how: Evaluating = Evaluating(),  # noqa: B008  # a tuple, which nobody changes
    *,
    on_batch: Callable[[Batch], object] = lambda batch: None,
    stop: StopRequest | None = None,
) -> Evaluation:
    """Runs ``model`` over this process's share of a split; every process gets the whole result.

    Args:
        model: takes uint8 clips. Not in the wrapper for several processes: its communication
            could hang here.
        labels: (N,) true class of each record.
        on_batch: called after each batch.
        stop: asks this process to stop.

    Raises:
        Stopped: a process was asked to.
        DataError: no clip could be decoded.
        TrainingError: the model gives scores that are not finite.
    """
    device, target = next(model.parameters()).device, torch.from_numpy(labels)
    kept: AllScores | BestScores
    if how.top_k:
        kept = BestScores(target, model.outputs, how)
    else:
        kept = AllScores(target, model.outputs, how, device)
    for batch, voted in votes(model, loader, how.average):
        if len(voted):
            kept.add(batch.index.to(device, non_blocking=True), voted)
        on_batch(batch)
        if stop is not None and stop.asked:
            break
    if stop is not None and distributed.anywhere(stop.asked):
        raise stop.stopped("validation was begun")
    return _checked(kept.evaluation())


def _checked(result: Evaluation) -> Evaluation:
    """``result``, or the error that no score is usable."""
    if not result.valid.any():
        raise DataError(f"none of the {len(result.target)} clips can be decoded")
    finite = result.scores.isfinite().all(dim=1)
    if not finite.all():
        raise TrainingError(
            f"the scores of {int((~finite).sum())} of {len(result.target)} clips "
            "are not finite: the weights have overflowed"
        )
    return result

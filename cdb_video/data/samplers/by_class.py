"""Samplers that draw a class first, and then a record of that class."""

from typing import Any

import numpy as np
import numpy.typing as npt

from cdb_video.data.samplers.base import Order, Sampler, systematic_counts

Weights = npt.NDArray[np.float64]


class ByClass(Sampler):
    """Base of samplers by class probability. An epoch has as many draws as records.

    A class with probability p gets p * N of the N draws of an epoch, rounded up or down at random
    with mean p * N. Its records come in random order, and each comes once before any comes again.
    """

    def __init__(self, options: Any, **context: Any) -> None:
        super().__init__(options, **context)
        self.class_counts = np.bincount(self.labels, minlength=self.num_classes)
        by_class = np.argsort(self.labels, kind="stable")
        self._members = np.split(by_class, np.cumsum(self.class_counts)[:-1])

    def weights(self, epoch: int) -> Weights:
        """(K,) >= 0: what the probabilities of the classes in ``epoch`` are proportional to.

        The weight of a class without records has no effect.
        """
        raise NotImplementedError

    def probabilities(self, epoch: int) -> Weights:
        """(K,), sum 1: how likely a draw of ``epoch`` is of each class.

        0 for a class without records; equal over the others where all their weights are 0.
        """
        present = self.class_counts > 0
        weights: Weights = np.where(present, self.weights(epoch), 0.0)
        if not weights.any():
            weights = present.astype(np.float64)
        weights /= weights.sum()
        return weights

    def indices(self, epoch: int) -> Order:
        rng = np.random.default_rng([self.seed, epoch])
        num_draws = len(self)
        quotas = systematic_counts(num_draws * self.probabilities(epoch), num_draws, rng)
        streams = [
            _cycle(members, quota, rng)
            for members, quota in zip(self._members, quotas, strict=True)
            if quota
        ]
        classes = rng.permutation(np.repeat(np.arange(self.num_classes), quotas))
        order = np.empty(num_draws, dtype=np.int64)
        order[np.argsort(classes, kind="stable")] = np.concatenate(streams)
        return order


def _cycle(members: Order, length: int, rng: np.random.Generator) -> Order:
    rounds = -(-length // len(members))
    return np.concatenate([rng.permutation(members) for _ in range(rounds)])[:length]

"""The base of samplers, and the dealing of an epoch's order to the ranks."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import torch

from cdb_video.difficulty import ClassState

Order = npt.NDArray[np.int64]
EpochOrder = Callable[[int], Order]
"""Epoch -> its record indices, of all ranks together."""


class Sampler:
    """The order in which an epoch goes through the training records.

    Args:
        options: of the sampler itself.
        labels: ``(N,)`` class of each record.
        num_classes: K.
        seed: of the run. The order depends only on it, the epoch, and the observed recall.
        num_epochs: of the run; they count from 1.
    """

    source: Literal["val", "train"] = "val"
    """The split whose recall ``observe`` is given."""
    needs_validation: bool = False
    """Whether the order is not what the sampler says without ``observe``."""

    @dataclass(frozen=True)
    class Options:
        """No options."""

    def __init__(
        self,
        options: Any,
        *,
        labels: npt.NDArray[np.int64],
        num_classes: int,
        seed: int,
        num_epochs: int = 1,
    ) -> None:
        self.options = options
        self.labels = labels
        self.num_classes = num_classes
        self.seed = seed
        self.num_epochs = num_epochs

    def __len__(self) -> int:
        """Length of every epoch's order, M."""
        return len(self.labels)

    def indices(self, epoch: int) -> Order:
        """The ``(M,)`` record indices of ``epoch``, of all ranks together, same on every rank."""
        raise NotImplementedError

    def observe(self, recall: torch.Tensor, counts: torch.Tensor) -> None:
        """Takes the recall ``(K,)`` on ``source`` and its sample counts ``(K,)``. Ignored here."""

    def class_state(self, epoch: int) -> ClassState | None:
        """Difficulties, odds and tau of ``epoch``; None for a sampler without difficulties."""
        return None

    def state_dict(self) -> dict[str, Any]:
        """The state that ``observe`` changes, for the checkpoint."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores the state of ``state_dict``."""


def shard_of_rank(order: Order, rank: int, world_size: int, *, pad: bool) -> Order:
    """Every ``world_size``-th entry of ``order``, from ``rank`` on.

    The same slice of ``order`` then makes up a batch of all ranks, for any number of ranks. With
    ``pad``, the order is first repeated from its start until it divides evenly, so that every rank
    takes the same number of training steps. Without it, every entry goes to exactly one rank, as
    evaluation needs.
    """
    if pad:
        order = np.resize(order, -(-len(order) // world_size) * world_size)
    return order[rank::world_size]


def rank_batches(
    order_length: int,
    *,
    batch_size: int,
    rank: int = 0,
    world_size: int = 1,
    training: bool,
) -> list[Order]:
    """The places in the epoch's order over all ranks that make up each batch of one rank.

    They are the same in every epoch.

    Args:
        training: all ranks get equally many samples. A last batch of one sample joins the one
            before it, because batch norm cannot average over a single clip. Otherwise every
            place is in exactly one batch of one rank.
    """
    places = shard_of_rank(np.arange(order_length), rank, world_size, pad=training)
    batches = [places[begin : begin + batch_size] for begin in range(0, len(places), batch_size)]
    if training and batch_size > 1 and len(batches) > 1 and len(batches[-1]) == 1:
        batches[-2:] = [np.concatenate(batches[-2:])]
    return batches


def repeat_numbers(order: Order) -> Order:
    """How often each entry of ``order`` came before: 0 at its first place, then 1, ..."""
    places = np.argsort(order, kind="stable")
    starts = np.flatnonzero(np.diff(order[places], prepend=-1))
    lengths = np.diff(starts, append=len(order))
    numbers = np.empty_like(order)
    numbers[places] = np.arange(len(order)) - np.repeat(starts, lengths)
    return numbers


def systematic_counts(
    expected: npt.NDArray[np.float64], total: int, rng: np.random.Generator
) -> Order:
    """Rounds ``expected``, which sums to ``total``, to integers with the same sum.

    Each count is its expected value rounded up or down, and equals it on average. An expected 0
    stays 0. This is systematic sampling: one random offset for all.
    """
    counts = np.zeros(len(expected), dtype=np.int64)
    order = rng.permutation(np.flatnonzero(expected > 0))
    edges = np.floor(np.cumsum(expected[order])[:-1] + rng.random())
    counts[order] = np.diff(np.minimum(edges, total), prepend=0, append=total)
    return counts

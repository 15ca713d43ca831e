"""Class difficulty, measured by validation: the state behind CDB weights and probabilities."""

from dataclasses import dataclass
from typing import Literal, NamedTuple, Protocol

import torch
from torch import nn

from cdb_video.config.types import Fraction, FractionBelowOne, NonNegativeFloat, NonNegativeInt

RECALL_EPS = 0.01
"""Keeps the ratio of recalls finite in dynamic tau; the value of the released code."""


@dataclass(frozen=True)
class DifficultyOptions:
    """Options: recall to difficulty. The defaults are the paper's."""

    momentum: FractionBelowOne = 0.0
    """Share of a class's previous difficulty that is kept at each validation, in [0, 1). In short
    runs 0.7 keeps classes from swinging between learnt and forgotten (docs/results.md)."""
    prior_count: NonNegativeFloat = 0.0
    """Validation samples that each class is given on top of its own, >= 0. They count as recognised
    at the mean recall of all classes, which smooths the recall of small classes."""
    warmup_epochs: NonNegativeInt = 0
    """First epochs that train with all classes equal, while difficulty is tracked already. They are
    counted in validations. 0 and 1 are the same, since the first epoch has no recall yet."""


@dataclass(frozen=True)
class WeightOptions(DifficultyOptions):
    """Options: difficulty to weight. The defaults are the paper's."""

    tau: NonNegativeFloat | Literal["dynamic", "dynamic_released"] = "dynamic"
    """Exponent on difficulty, >= 0. 0 makes all classes equal. 'dynamic' is the paper's 2 *
    sigmoid(b) with b = max recall / (min recall + 0.01) - 1 (equations 3 and 4), in [0.53, 2).
    'dynamic_released' is sigmoid(max recall / (min recall + 0.01)) of the authors' EGTEA and CIFAR
    scripts, in [0.5, 1)."""
    min_weight: Fraction = 0.0
    """Lowest weight of a class, in [0, 1]. Weights become MIN_WEIGHT + (1 - MIN_WEIGHT) * w, and
    their mean stays 1. 1 makes all classes equal."""
    tau_max: NonNegativeFloat | None = None
    """Upper bound of a dynamic tau. null sets no bound."""


class ClassState(NamedTuple):
    """The difficulties and weights that a loss or sampler uses in one epoch."""

    difficulty: torch.Tensor
    """(K,) in [0, 1]."""
    weight: torch.Tensor
    """(K,): what the loss of a class is multiplied with, or how much likelier than the average
    class it is drawn."""
    tau: float
    """The exponent between the two; 0 where none is."""


class ClassRecall(NamedTuple):
    """The recall of each class."""

    recall: torch.Tensor
    """(K,) in [0, 1]; 0 without samples."""
    counts: torch.Tensor
    """(K,) samples of each class."""


class Recalls(NamedTuple):
    """The recall on one split."""

    classes: ClassRecall
    """Of the K classes of the data set."""
    outputs: list[ClassRecall]
    """Of what each output tells apart; of a single output that is ``classes``."""


class Feedback(Protocol):
    """The common interface of losses and samplers that may learn from recall."""

    @property
    def source(self) -> Literal["val", "train"]:
        """The split whose recall ``observe`` takes: 'val' after each validation, or 'train' after
        each epoch."""

    @property
    def needs_validation(self) -> bool:
        """Whether it needs recall on the validation split to do its work."""

    def observe(self, recall: torch.Tensor, counts: torch.Tensor) -> None:
        """Takes the recall (K,) in [0, 1] and the number of samples (K,) of each class."""

    def class_state(self, epoch: int) -> ClassState | None:
        """Difficulties and weights in ``epoch``, from 1; None without difficulties."""


class ClassDifficulty(nn.Module):
    """Difficulty ``d_c = 1 - recall_c`` of each class, smoothed over validations.

    Before the first validation every difficulty is 1. A class without validation samples keeps its
    last difficulty. (Equation 1 of Sinha, Ohashi, Nakamura, ACCV 2020.)

    Args:
        options: of the loss or sampler.
        num_classes: K >= 1.
    """

    difficulty: torch.Tensor
    """(K,) float32 in [0, 1], after smoothing."""
    observed: torch.Tensor
    """(K,) bool: classes that have had a validation sample."""
    num_observed: torch.Tensor
    """() int64: validations so far."""

    def __init__(self, options: DifficultyOptions, num_classes: int) -> None:
        super().__init__()
        self.options = options
        self.register_buffer("difficulty", torch.ones(num_classes))
        self.register_buffer("observed", torch.zeros(num_classes, dtype=torch.bool))
        self.register_buffer("num_observed", torch.zeros((), dtype=torch.int64))

    @property
    def warming_up(self) -> bool:
        """Whether the next epoch still trains with equal weights."""
        return int(self.num_observed) < self.options.warmup_epochs

    @torch.no_grad()
    def observe(self, recall: torch.Tensor, counts: torch.Tensor) -> None:
        """Updates the difficulties.

        Args:
            recall: (K,) in [0, 1]. The value of a class without samples is ignored.
            counts: (K,) number of validation samples of each class.
        """
        recall = recall.to(self.difficulty.device, torch.float64)
        counts = counts.to(self.difficulty.device, torch.float64)
        present = counts > 0
        self.num_observed += 1
        if not present.any():
            return
        prior, momentum = self.options.prior_count, self.options.momentum
        smooth = (recall * counts + prior * recall[present].mean()) / (counts + prior)
        updated = momentum * self.difficulty + (1 - momentum) * (1 - smooth)
        self.difficulty.copy_(torch.where(present, updated, self.difficulty.double()))
        self.observed |= present


class ClassWeights(ClassDifficulty):
    """Difficulties, and weights ``d_c ** tau`` scaled to a mean of 1.

    Before the first validation every weight is 1, and where every class is perfect. (Equations 2
    to 4 and 7 of Sinha, Ohashi, Nakamura, ACCV 2020.)
    """

    options: WeightOptions

    def tau(self) -> float:
        """The exponent that goes with the difficulties; 0 before the first validation."""
        if not self.observed.any():
            return 0.0
        if not isinstance(self.options.tau, str):
            return self.options.tau
        recall = 1 - self.difficulty[self.observed].double()
        ratio = recall.max() / (recall.min() + RECALL_EPS)
        if self.options.tau == "dynamic":
            tau = 2 * torch.sigmoid(ratio - 1).item()
        else:
            tau = torch.sigmoid(ratio).item()
        return tau if self.options.tau_max is None else min(tau, self.options.tau_max)

    def weights(self) -> torch.Tensor:
        """(K,) float64, mean 1 over classes; all 1 during the warm-up."""
        powers: torch.Tensor = self.difficulty.double() ** self.tau()
        total = powers.sum()
        if self.warming_up or total == 0:
            return torch.ones_like(powers)
        floor = self.options.min_weight
        return floor + (1 - floor) * powers * (len(powers) / total)

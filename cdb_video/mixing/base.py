"""The base of mixing methods."""

from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cdb_video.difficulty import ClassState

Level = Literal["input", "feature"]


class Mixer(nn.Module):
    """Base of methods that mix the clips of a batch, in training only.

    A subclass implements ``forward``. It draws from torch's default CPU generator, which training
    seeds from (seed, epoch, step, rank).

    Args:
        options: the subclass's ``Options``.
        num_classes: K.
        class_counts: (K,) training clips of each class.
    """

    levels: ClassVar[tuple[Level, ...]] = ("input", "feature")
    """What it can mix: normalised clips, or features before the classifier."""
    gives_shares: ClassVar[bool] = True
    """Whether targets are shares of classes."""
    level: Level
    """What it does mix; the first of ``levels`` unless said otherwise."""
    source: Literal["val", "train"] = "train"
    """The split whose recall ``observe`` is given."""
    needs_validation = False
    """Whether it is not what it says without recall on the validation split."""

    def __init__(self, options: Any, *, num_classes: int, class_counts: Tensor) -> None:
        super().__init__()
        self.options = options
        self.level = self.levels[0]
        self.num_classes = num_classes
        self.counts: Tensor
        self.register_buffer("counts", class_counts.long(), persistent=False)

    def forward(self, inputs: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Mixed inputs, in the same shape, and their targets.

        Args:
            inputs: (B, 3, T, H, W) or (B, F), float.
            labels: (B,) int64.

        Returns:
            inputs; (B, K) float32 shares of the classes, which sum to 1.
        """
        raise NotImplementedError

    def observe(self, recall: Tensor, counts: Tensor) -> None:
        """Takes the recall (K,) on ``source`` and its clips (K,). Most methods ignore it."""

    def class_state(self, epoch: int) -> ClassState | None:
        """None: only losses and samplers have difficulties."""
        return None

    def one_hot(self, labels: Tensor) -> Tensor:
        """(B, K) float32."""
        return F.one_hot(labels, self.num_classes).float()


def beta(alpha: float) -> float:
    """A draw from Beta(alpha, alpha), in [0, 1]."""
    concentration = torch.tensor(alpha, dtype=torch.float64)
    return float(torch.distributions.Beta(concentration, concentration).sample())


def blend(inputs: Tensor, others: Tensor, share: Tensor | float) -> Tensor:
    """``share * inputs + (1 - share) * others``. ``share`` is a number, or (B,)."""
    if isinstance(share, Tensor):
        share = share.to(inputs).reshape(-1, *[1] * (inputs.ndim - 1))
    return inputs * share + others * (1 - share)
